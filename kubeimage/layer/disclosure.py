"""Secrets that must not be told: found in what a layer would hold, and taken out of what a command prints.

A value is looked for as it is, in base64 wherever it begins in the text that was encoded, in hex, and URL-escaped.
Base64 and hex may be broken into lines, as ``base64`` (76 columns), PEM files (64) and ``xxd -p`` (60) do.

Source: the project's design, "Images travel light, and whole".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.writer import write_layer

_LINE_END = b"\r\n"
_BREAK = rb"\r?\n[ \t]{0,32}"
_BREAKS = re.compile(_BREAK + rb"|\r\Z")


_SHORTEST_LINE = 16
_LONGEST_BREAK = 34


class Secrets:
    """The values of secrets, by their ids; their texts are shown nowhere."""

    def __init__(self, values: Mapping[str, bytes]) -> None:
        self._values = dict(values)

    def __bool__(self) -> bool:
        return bool(self._values)

    @cached_property
    def _by_form(self) -> dict[bytes, str]:
        whole = {form: name for name, value in self._values.items() for form in forms(value)}
        return whole | {form: name for name, value in self._values.items() for form in breakable_forms(value)}

    @cached_property
    def _breakable(self) -> frozenset[bytes]:
        return frozenset(form for value in self._values.values() for form in breakable_forms(value))

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        # Longest first: a form may be a part of another one.
        longest_first = sorted(self._by_form, key=len, reverse=True)
        return re.compile(b"|".join(map(self._pattern_of, longest_first)))

    def _pattern_of(self, form: bytes) -> bytes:
        if form not in self._breakable:
            return re.escape(form)
        return (b"(?:" + _BREAK + b")?").join(re.escape(form[at : at + 1]) for at in range(len(form)))

    def find(self, data: bytes) -> str | None:
        """Return the id of the first secret in ``data``; None where there is none."""
        found = self._pattern.search(data) if self else None
        return self._name_of(found) if found is not None else None

    def without(self, data: bytes) -> bytes:
        """Return ``data`` with each secret replaced by its id."""
        return self._pattern.sub(self._mask, data) if self else data

    def held_back(self, data: bytes) -> int:
        """Return from where on the end of ``data`` may be the beginning of a secret; its length where it is none."""
        places = [_open_end(data, form) for form in self._by_form]
        places += [_open_end(data, form, broken=True) for form in self._breakable]
        return min(places, default=len(data))

    def _name_of(self, found: re.Match[bytes]) -> str:
        name = self._by_form.get(found[0])
        return name if name is not None else self._by_form[_BREAKS.sub(b"", found[0])]

    def _mask(self, found: re.Match[bytes]) -> bytes:
        return f"[secret {self._name_of(found)}]".encode()


class Redactor:
    """What a command prints, in pieces, without the secrets in it: also where two pieces part one."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._waiting = b""

    def feed(self, data: bytes) -> bytes:
        """Return what can be told by now."""
        if not self._secrets:
            return data
        told = self._secrets.without(self._waiting + data)
        end = self._secrets.held_back(told)
        self._waiting = told[end:]
        return told[:end]

    def finish(self) -> bytes:
        """Return what was held back."""
        rest, self._waiting = self._waiting, b""
        return rest


def forms(value: bytes) -> set[bytes]:
    """Return the texts that give a value away; a line end behind it is none of it."""
    bare = value.rstrip(_LINE_END)
    found = {bare}
    from urllib.parse import quote_from_bytes

    escaped = quote_from_bytes(bare, safe="")
    found |= {escaped.encode(), _lower_escapes(escaped).encode(), quote_from_bytes(bare).encode()}
    return found | breakable_forms(value)


def breakable_forms(value: bytes) -> set[bytes]:
    """Return those of the texts that programs break into lines: base64 and hex."""
    bare = value.rstrip(_LINE_END)
    found = {bare.hex().encode(), bare.hex().upper().encode()}
    for offset in range(3):
        inner = _in_base64(bare, offset)
        found |= {inner, inner.translate(_URL_SAFE)}
    return found


def find_disclosed(changes: Sequence[Entry], secrets: Secrets) -> tuple[str, str] | None:
    """Return the path in a changeset that tells a secret, and the secret's id.

    It is looked for in contents, names, targets and attributes.

    Raises: what reading the sources raises.
    """
    if not secrets:
        return None
    for entry in changes:
        # A link's content is its first file's.
        found = secrets.find(_texts(entry)) or (_find_in_file(entry, secrets) if entry.kind is Kind.FILE else None)
        if found is not None:
            return entry.path, found
    return None


def _find_in_file(entry: Entry, secrets: Secrets) -> str | None:
    seen: list[str] = []
    window = b""

    def look(piece: bytes | memoryview) -> None:
        nonlocal window
        window += bytes(piece)
        if not seen and (found := secrets.find(window)) is not None:
            seen.append(found)
        window = window[secrets.held_back(window) :]

    write_layer([entry], look)
    return seen[0] if seen else None


def _texts(entry: Entry) -> bytes:
    texts: Iterable[bytes] = (
        entry.path.encode("utf-8", "surrogateescape"),
        entry.target.encode("utf-8", "surrogateescape"),
    )
    attributes = (name.encode() + b"=" + value for name, value in entry.xattrs)
    return b"\n".join((*texts, *attributes))


def _in_base64(value: bytes, offset: int) -> bytes:
    """Return what of ``value`` is sure in the base64 of a text where it begins at ``offset`` (mod 3)."""
    encoded = base64.b64encode(b"\0" * offset + value)
    first, last = (offset * 8 + 5) // 6, (offset + len(value)) * 8 // 6
    return encoded[first:last]


def _lower_escapes(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), text)


def _open_end(data: bytes, form: bytes, *, broken: bool = False) -> int:
    """Return from where on the end of ``data`` is a beginning of ``form``; the length of ``data`` where it is none.

    With ``broken``, line breaks in ``data`` count for nothing. Lines are 16 characters long at least.
    """
    most = len(form) + (len(form) // _SHORTEST_LINE + 1) * _LONGEST_BREAK if broken else len(form) - 1
    place = data.find(form[:1], max(0, len(data) - most))
    while place >= 0:
        rest = data[place:]
        if form.startswith(_BREAKS.sub(b"", rest) if broken else rest):
            return place
        place = data.find(form[:1], place + 1)
    return len(data)


_URL_SAFE = bytes.maketrans(b"+/", b"-_")

__all__ = ["Redactor", "Secrets", "breakable_forms", "find_disclosed", "forms"]
