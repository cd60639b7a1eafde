"""Cache keys as text: one field or source a line, its kind, its label and its value, with tabs between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import overload

from kubeimage.protocols.cachekey import CacheKey, Fields

_BATCH = 1 << 13
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t"})


def render_key_fields(key: CacheKey) -> bytes:
    """Return a key's fields and sources as text, one a line: its kind, its label and its value, with tabs between."""
    return b"".join(iter_key_fields(key))


def iter_key_fields(key: CacheKey) -> Iterator[bytes]:
    """Yield what `render_key_fields` returns, some thousand lines at a time."""
    for kind, pairs in (("field", key.fields), ("source", key.sources)):
        left = iter(pairs)
        while batch := list(islice(left, _BATCH)):
            text = "".join([f"{kind}\t{label}\t{value}\n" for label, value in batch])
            # Nearly no text has anything to escape; to ask each would take longer than to write it.
            if "\\" in text or text.count("\t") != 2 * len(batch) or text.count("\n") != len(batch):
                text = "".join([f"{kind}\t{_escape(label)}\t{_escape(value)}\n" for label, value in batch])
            yield text.encode("utf-8", "surrogateescape")


def parse_key_fields(data: bytes) -> tuple[Fields, Fields]:
    """Read the fields and the sources of a key.

    Raises: ValueError for a line that is neither.
    """
    found: dict[str, list[tuple[str, str]]] = {"field": [], "source": []}
    for line in data.decode("utf-8", "surrogateescape").split("\n")[:-1]:
        kind, *words = line.split("\t")
        if kind not in found or len(words) != 2:
            raise ValueError(f"it has a line that is no field: {line[:80]!r}")
        found[kind].append((_unescape(words[0]), _unescape(words[1])))
    return tuple(found["field"]), tuple(found["source"])


def _escape(text: str) -> str:
    return text.translate(_ESCAPES) if "\\" in text or "\n" in text or "\t" in text else text


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    parts = text.split("\\\\")
    return "\\".join(part.replace("\\n", "\n").replace("\\t", "\t") for part in parts)


class LongSources(Sequence[tuple[str, str]]):
    """The sources in a record, read line by line each time; a line that is none ends them."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __iter__(self) -> Iterator[tuple[str, str]]:
        with suppress(OSError, ValueError), open(self._path, "rb") as file:
            for line in file:
                if line.startswith(b"source\t"):
                    _, label, value = line[:-1].decode("utf-8", "surrogateescape").split("\t")
                    yield _unescape(label), _unescape(value)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[str, str]]: ...
    def __getitem__(self, index: int | slice) -> tuple[str, str] | list[tuple[str, str]]:
        return list(self)[index]
