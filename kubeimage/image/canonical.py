"""The one form of JSON that is ever digested.

Keys sorted, no blanks, UTF-8: equal values give equal bytes, on any machine.
"""

from __future__ import annotations

import json
import math
from typing import Any

JsonObject = dict[str, Any]

_WORDS = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def encode(value: JsonObject) -> bytes:
    """Return ``value`` as canonical JSON bytes."""
    return _ENCODER.encode(value).encode()


def loads(data: str | bytes) -> Any:
    """Read any JSON value.

    Raises: ValueError for what is not JSON, or nested too deep, or could not be written again: infinite numbers, halves
            of characters.
    """
    text = data if isinstance(data, str) else _text(data, "utf-8-sig")
    try:
        value = _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON, at line {error.lineno}, column {error.colno}") from error
    if "\\u" in text:
        # Half of a surrogate pair is no character; only an escape can say one.
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _text(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8, at byte {error.start}") from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no number that JSON can write")
    return value


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)


def decode(data: bytes) -> JsonObject:
    """Read one JSON object.

    Raises: ValueError for what is not UTF-8, not JSON, or not an object.
    """
    value = loads(_text(data, "utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"it is no JSON object, but {_WORDS.get(type(value), 'a number')}")
    return value
