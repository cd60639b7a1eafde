"""The grammar of ``RUN --mount``.

Source: moby's Dockerfile reference, "RUN --mount".
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping

from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.dockerfile.statement import Reading
from kubeimage.kubefile.instructions import RunMount
from kubeimage.kubefile.secretmounts import SECRET_KEYS, secret_mount, secret_problem
from kubeimage.kubefile.statement import quoted

KINDS = ("bind", "cache", "tmpfs", "secret")

_SHORT = {"dst": "target", "destination": "target", "src": "source", "ro": "readonly", "rw": "readwrite"}
_KNOWN = {
    "bind": ("target", "source", "from", "readwrite", "readonly"),
    "cache": ("target", "id", "sharing", "mode", "uid", "gid", "readonly", "readwrite"),
    "tmpfs": ("target", "size"),
    "secret": SECRET_KEYS,
}
_SIZE = re.compile(r"(?P<number>[0-9]{1,15})(?P<unit>[kmgt]?)(?:i?b)?", re.IGNORECASE)
_SWITCH = re.compile("|true|false")
_VALUES = {
    "sharing": re.compile("shared|private|locked"),
    "mode": re.compile("0*[0-7]{1,4}"),
    "uid": re.compile("[0-9]{1,9}"),
    "gid": re.compile("[0-9]{1,9}"),
    "size": _SIZE,
    "readonly": _SWITCH,
    "readwrite": _SWITCH,
}
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_NOT_YET = ("ssh",)
_EXAMPLE = "as in: RUN --mount=type=cache,target=/root/.cache make"


def read_mount(reading: Reading, text: str) -> RunMount | None:
    """Return what one ``--mount`` says; None where something was complained of."""
    pairs = [part.partition("=") for part in next(csv.reader([text]), [])]
    found = {_SHORT.get(key.strip().lower(), key.strip().lower()): value for key, _, value in pairs}
    kind = found.pop("type", "bind")
    problem = _problem(kind, found)
    if problem is None and kind == "secret":
        return secret_mount(found)
    if problem is not None:
        mistake = Mistake.NOT_TAKEN if kind in _NOT_YET else Mistake.FLAG_VALUE
        reading.refuse(mistake, problem, _EXAMPLE)
        return None
    return RunMount(
        kind,
        found["target"],
        found.get("source", ""),
        found.get("from", ""),
        found.get("id", ""),
        found.get("sharing", "shared"),
        read_only=_is_on(found, "readonly") or (kind == "bind" and not _is_on(found, "readwrite")),
        mode=int(found.get("mode", "755"), 8),
        owner=(int(found.get("uid", "0")), int(found.get("gid", "0"))),
        size=_size(found["size"]) if "size" in found else None,
    )


def _problem(kind: str, found: Mapping[str, str]) -> str | None:
    if kind in _NOT_YET:
        return f"RUN does not take --mount=type={kind}"
    if kind not in KINDS:
        return f"--mount knows the types {', '.join(KINDS)}, found {quoted(kind)}"
    unknown = next((key for key in found if key not in _KNOWN[kind]), None)
    if unknown is not None:
        return f"a mount of type {kind} has no {quoted(unknown)}; it has {', '.join(_KNOWN[kind])}"
    if kind == "secret" and (problem := secret_problem(found)) is not None:
        return problem
    if kind != "secret" and not found.get("target"):
        return f"a mount of type {kind} needs its target"
    bad = next((key for key, value in found.items() if key in _VALUES and not _VALUES[key].fullmatch(value)), None)
    return f"--mount: {bad} cannot be {quoted(found[bad])}" if bad is not None else None


def _is_on(found: Mapping[str, str], name: str) -> bool:
    return name in found and found[name] != "false"


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text)
    assert found is not None
    return int(found["number"]) * _UNITS[found["unit"].lower()]
