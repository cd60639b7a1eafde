"""The one form of JSON that is ever digested.

Keys sorted, no blanks, UTF-8: equal values give equal bytes, on any machine.
"""

from __future__ import annotations

import json
from typing import Any

JsonObject = dict[str, Any]


def encode(value: JsonObject) -> bytes:
    """Give ``value`` as canonical JSON bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def loads(data: str | bytes) -> Any:
    """Read any JSON value.

    Raises: ValueError for what is not JSON, or nested so deep that nobody means it.
    """
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def decode(data: bytes) -> JsonObject:
    """Read one JSON object.

    Raises: ValueError for what is not UTF-8, not JSON, or not an object.
    """
    value = loads(data.decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, found {type(value).__name__}")
    return value
