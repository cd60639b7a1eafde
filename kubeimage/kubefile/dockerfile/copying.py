"""The grammar of COPY and ADD in the dialects after Docker's rules."""

from __future__ import annotations

import re

from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.dockerfile.statement import Reading, read_array
from kubeimage.kubefile.instructions import Add, Copy
from kubeimage.kubefile.statement import quoted

_MODE = re.compile(r"0*[0-7]{1,4}")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")
_OTHER_SCHEMES = re.compile(r"(?:ftp|git|ssh)://|git@|(?:https?://)?[^ ]+\.git(?:#|$)", re.IGNORECASE)
_WEB = re.compile(r"https?://", re.IGNORECASE)
_FETCH = "fetch it first, and COPY what comes of it"
_FLAGS = {
    "COPY": ("from", "chown", "chmod", "exclude", "link", "parents"),
    "ADD": ("checksum", "chown", "chmod", "exclude", "link"),
}


def read_copy(reading: Reading) -> Copy | None:
    """Return the COPY; None where something was complained of."""
    read = _read(reading)
    if read is None:
        return None
    names, found, excludes = read
    remote = next((name for name in names[:-1] if _WEB.match(name) or _OTHER_SCHEMES.match(name)), None)
    if remote is not None:
        hint = "ADD fetches it" if _WEB.match(remote) else _FETCH
        reading.refuse(Mistake.REMOTE_SOURCE, f"COPY takes files of the build context, found {quoted(remote)}", hint)
        return None
    return Copy(
        names[:-1],
        names[-1],
        chmod=_mode(found),
        excludes=excludes,
        origin=found.get("from", ""),
        owner=found.get("chown", ""),
        parents=_is_on(found, "parents"),
        span=reading.span,
        written=reading.written,
    )


def read_add(reading: Reading) -> Add | None:
    """Return the ADD; None where something was complained of."""
    read = _read(reading)
    if read is None:
        return None
    names, found, excludes = read
    git = next((name for name in names[:-1] if _OTHER_SCHEMES.match(name)), None)
    if git is not None:
        reading.refuse(Mistake.NOT_TAKEN, f"ADD takes files, archives and URLs, found {quoted(git)}", _FETCH)
        return None
    webs = [name for name in names[:-1] if _WEB.match(name)]
    if "checksum" in found and (len(webs) != 1 or len(names) != 2):
        hint = "as in: ADD --checksum=sha256:… https://example.org/tool bin/"
        reading.refuse(Mistake.FLAG_VALUE, "--checksum is for one URL that stands alone", hint)
        return None
    return Add(
        names[:-1],
        names[-1],
        chmod=_mode(found),
        excludes=excludes,
        owner=found.get("chown", ""),
        checksum=found.get("checksum", ""),
        span=reading.span,
        written=reading.written,
    )


def is_web(source: str) -> bool:
    """Whether a source is a file on the web."""
    return _WEB.match(source) is not None


def is_checksum(text: str) -> bool:
    """Whether a text is a checksum that a file can be held against."""
    return _CHECKSUM.fullmatch(text) is not None


def _read(reading: Reading) -> tuple[tuple[str, ...], dict[str, str], tuple[str, ...]] | None:
    """Return the names, the flags and what is left out; None where something was complained of."""
    flags, text = reading.take_flags()
    excludes = tuple(value for name, value in flags if name == "exclude")
    checked = [_check_flag(reading, name, value) for name, value in flags]
    if not all(checked):
        return None
    array = read_array(text)
    names = tuple(text.split()) if array is None else array
    if len(names) < 2:
        hint = f"as in: {reading.keyword} charts ./charts"
        message = f"{reading.keyword} takes a source and a destination, found {len(names)}"
        reading.refuse(Mistake.FEW_NAMES, message, hint)
        return None
    return names, {name: value for name, value in flags if name != "exclude"}, excludes


def _check_flag(reading: Reading, name: str, value: str) -> bool:
    known = _FLAGS[reading.keyword]
    if name == "keep-git-dir" and reading.keyword == "ADD":
        reading.refuse(Mistake.NOT_TAKEN, "ADD does not take --keep-git-dir, for it takes no git repository", _FETCH)
        return False
    if name not in known:
        hint = f"it has {' '.join(f'--{one}' for one in known)}"
        reading.refuse(Mistake.UNKNOWN_FLAG, f"{reading.keyword} has no flag --{name}", hint)
        return False
    problem = _problem(name, value)
    if problem is not None:
        reading.refuse(
            Mistake.FLAG_VALUE, problem, "as in: COPY --chmod=755 --chown=1000:1000 --exclude=*.md tool bin/"
        )
    return problem is None


def _problem(name: str, value: str) -> str | None:
    problems = {
        "link": (value in ("", "true", "false"), "--link is true or false"),
        "parents": (value in ("", "true", "false"), "--parents is true or false"),
        "chmod": (bool(_MODE.fullmatch(value)), "--chmod takes an octal mode"),
        "chown": (value.count(":") <= 1 and bool(value.strip(":")), "--chown takes USER, USER:GROUP or :GROUP"),
        "checksum": (is_checksum(value) or "$" in value, "--checksum takes sha256: and 64 hex digits"),
        "from": (value not in ("", "scratch"), "--from takes the name of a stage or of an image"),
        "exclude": (bool(value), "--exclude takes a pattern"),
    }
    is_good, problem = problems[name]
    return None if is_good else f"{problem}, found {quoted(value)}"


def _mode(found: dict[str, str]) -> int | None:
    return int(found["chmod"], 8) if "chmod" in found else None


def _is_on(found: dict[str, str], name: str) -> bool:
    return name in found and found[name] != "false"
