"""Who a program of an image runs as: what ``User`` of its config says, looked up in the image's own lists.

It is used by `kubeimage.run.serving`, inside the image's root, and so imports the standard library alone.

Source: OCI image-spec v1.1, config.md, "User"; passwd(5), group(5). Where those are silent, as Docker has it: a number
that no list knows stands for itself, with the group 0 and the home ``/``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

_LARGEST = (1 << 32) - 2
_READ = 1 << 20


class UnknownUserError(Exception):
    """A user or a group that the image does not know."""


class Account(NamedTuple):
    """Shape: ``groups`` are the further ones."""

    user: int
    group: int
    groups: tuple[int, ...]
    home: str


def find_account(text: str, folder: str = "/etc") -> Account:
    """Return who ``text`` stands for: ``USER`` or ``USER:GROUP``, names or numbers; an empty one is root.

    Raises: UnknownUserError.
    """
    name, _, group_name = text.partition(":")
    name = name or "0"
    users, groups = list(_lines(f"{folder}/passwd", 6)), list(_lines(f"{folder}/group", 4))
    number = _number(name)
    found = next((one for one in users if one[0] == name), None)
    if found is None and number is not None:
        found = next((one for one in users if _number(one[2]) == number), None)
    if found is None and number is None:
        raise UnknownUserError("user", name)
    user = number if number is not None and (found is None or found[0] != name) else _number(found[2]) if found else 0
    own = _number(found[3]) if found else 0
    login = found[0] if found else name
    if group_name:
        return Account(user or 0, _group(group_name, groups), (), _home(found))
    further = sorted({_number(one[2]) or 0 for one in groups if login in one[3].split(",") and found})
    return Account(user or 0, own or 0, tuple(further), _home(found))


def _home(found: Sequence[str] | None) -> str:
    return found[5] if found and found[5] else "/"


def _group(name: str, groups: Sequence[Sequence[str]]) -> int:
    for one in groups:
        if one[0] == name:
            return _number(one[2]) or 0
    number = _number(name)
    if number is None:
        raise UnknownUserError("group", name)
    return number


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) <= _LARGEST else None


def _lines(path: str, fields: int) -> Iterator[list[str]]:
    """Yield the fields of each line that has enough of them; a list that is not there is empty."""
    try:
        with open(path, "rb") as file:
            text = file.read(_READ).decode("utf-8", "surrogateescape")
    except OSError:
        return
    for line in text.split("\n"):
        parts = line.rstrip("\r").split(":")
        if len(parts) >= fields and parts[0]:
            yield parts
