"""The grammar of COPY in the dialects after Docker's rules."""

from __future__ import annotations

import re

from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.dockerfile.statement import Reading, read_array
from kubeimage.kubefile.instructions import Copy
from kubeimage.kubefile.statement import quoted

_ROOT_OWNERS = re.compile(r"(?:0|root)(?::(?:0|root))?")
_MODE = re.compile(r"0*[0-7]{1,4}")
_REMOTE = re.compile(r"(?:https?|ftp|git|ssh)://|git@", re.IGNORECASE)
_FETCH = "fetch it first, and COPY what comes of it"
_NOT_TAKEN = {
    "parents": "write a COPY for each folder, with the folder as its destination",
}


def read_copy(reading: Reading) -> Copy | None:
    """Return the COPY; None where something was complained of."""
    flags, text = reading.take_flags()
    excludes = tuple(value for name, value in flags if name == "exclude")
    found = {name: value for name, value in flags if name != "exclude"}
    checked = [_check_flag(reading, name, value) for name, value in flags]
    if not all(checked):
        return None
    names = read_array(text)
    names = tuple(text.split()) if names is None else names
    if len(names) < 2:
        hint = "as in: COPY charts ./charts"
        reading.refuse(Mistake.FEW_NAMES, f"COPY takes a source and a destination, found {len(names)}", hint)
        return None
    remote = next((name for name in names[:-1] if _REMOTE.match(name)), None)
    if remote is not None:
        reading.refuse(Mistake.REMOTE_SOURCE, f"COPY takes files of the build context, found {quoted(remote)}", _FETCH)
        return None
    chmod = int(found["chmod"], 8) if "chmod" in found else None
    return Copy(
        names[:-1],
        names[-1],
        chmod=chmod,
        excludes=excludes,
        origin=found.get("from", ""),
        span=reading.span,
        written=reading.written,
    )


def _check_flag(reading: Reading, name: str, value: str) -> bool:
    if name == "link":
        problem = None if value in ("", "true", "false") else f"--{name} is true or false, found {quoted(value)}"
    elif name == "chmod":
        problem = None if _MODE.fullmatch(value) else f"--chmod takes an octal mode, found {quoted(value)}"
    elif name == "chown":
        problem = None
        if not _ROOT_OWNERS.fullmatch(value):
            hint = (
                "layers keep no owners: all that is copied belongs to 0:0, and runners of cluster images set modes anew"
            )
            reading.refuse(Mistake.NOT_TAKEN, f"COPY does not take --chown={value}", hint)
            return False
    elif name == "exclude":
        problem = None if value else "--exclude takes a pattern"
    elif name == "from":
        problem = None if value and value != "scratch" else "--from takes the name of a stage or of an image"
    elif name in _NOT_TAKEN:
        reading.refuse(Mistake.NOT_TAKEN, f"COPY does not take --{name}", _NOT_TAKEN[name])
        return False
    else:
        reading.refuse(Mistake.UNKNOWN_FLAG, f"COPY has no flag --{name}", "it has --from --chmod --exclude --link")
        return False
    if problem is not None:
        reading.refuse(Mistake.FLAG_VALUE, problem, "as in: COPY --chmod=755 --exclude=*.md tool bin/")
    return problem is None
