"""The secrets that RUNs are shown: where their values come from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from kubeimage.disk.smallfile import read_small
from kubeimage.errors import UsageError

SHORTEST_SECRET = 8
"""Bytes: a shorter value would be found in every layer."""

_LARGEST = 500 << 10
_HINT = "write it as --secret id=ID,src=FILE or --secret id=ID,env=NAME"


def read_secrets(texts: Sequence[str], environment: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """Return the values of secrets by their ids; each text is ``id=ID,src=FILE`` or ``id=ID,env=NAME``.

    Raises: UsageError, which shows no value: for what is neither, for one that is not there, and for a value of fewer
            than `SHORTEST_SECRET` or more than 512,000 bytes.
    """
    if not texts:
        return {}
    from kubeimage.kubefile.secretmounts import SECRET_ID

    known = os.environ if environment is None else environment
    found: dict[str, bytes] = {}
    for text in texts:
        pairs = dict(part.partition("=")[::2] for part in text.split(","))
        name = pairs.pop("id", "")
        pairs.pop("type", None)
        if not SECRET_ID.fullmatch(name) or len(pairs) != 1:
            raise UsageError("--secret names no secret", hint=_HINT)
        if name in found:
            raise UsageError(f"--secret: {name} comes twice")
        found[name] = _checked(name, _read(name, *pairs.popitem(), known))
    return found


def _read(name: str, kind: str, where: str, environment: Mapping[str, str]) -> bytes:
    if kind == "env":
        if where not in environment:
            raise UsageError(f"--secret {name}: the variable {where} is not set")
        return environment[where].encode("utf-8", "surrogateescape")
    if kind not in ("src", "source"):
        raise UsageError(f"--secret {name} comes from nowhere", hint=_HINT)
    try:
        return read_small(where, most=_LARGEST)
    except OSError as error:
        raise UsageError(f"--secret {name}: cannot read {where!r}: {error.strerror}") from error


def _checked(name: str, value: bytes) -> bytes:
    size = len(value.rstrip(b"\r\n"))
    if size < SHORTEST_SECRET:
        raise UsageError(
            f"--secret {name} has {size} bytes, and needs {SHORTEST_SECRET}: a shorter value cannot be looked for",
            hint="a layer that holds a secret is refused, and a short text may stand in it by chance",
        )
    if len(value) > _LARGEST:
        raise UsageError(f"--secret {name} has more than {_LARGEST} bytes")
    return value


__all__ = ["SHORTEST_SECRET", "read_secrets"]
