"""What differs first in two images of one build: the layer, the path, the bytes, and what kind of difference it is.

Layers are compared uncompressed, entry by entry in the order of their tars. What is before the first difference is
alike in both, so its bytes stand at the same place.
"""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, BinaryIO, Literal, NamedTuple

from kubeimage.api.opening import OpenImage

Kind = Literal["mtime", "owner", "mode", "order", "content", "compression", "config"]

_PIECE = 1 << 20
_BLOCK = 512


@dataclass(frozen=True)
class Difference:
    """The first thing that differs.

    Shape: ``layer`` counts from 1, lowest first, and is None for a difference in the config. ``path`` is the entry's,
           or the config's key. ``first`` and ``last`` are the first byte and the last one that differ in what ``path``
           takes of the layer's tar, from 0. ``kinds`` are all that differ at this path, the plainest first.
           ``counts`` says how often each kind is met in the whole layer.
    """

    kinds: tuple[Kind, ...]
    path: str
    layer: int | None = None
    first: int | None = None
    last: int | None = None
    details: tuple[str, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield what a person is told."""
        where = f"layer {self.layer}: {self.path}" if self.layer is not None else f"the config: {self.path}"
        yield f"{where} differs in its {' and '.join(self.kinds)}"
        if self.first is not None:
            yield f"bytes {self.first}-{self.last} of the layer's tar"
        yield from self.details
        if self.counts:
            yield f"in this layer differ: {', '.join(f'{count} x {kind}' for kind, count in self.counts)}"


def find_difference(one: OpenImage, two: OpenImage) -> Difference | None:
    """Return what differs first in two images; None where they are alike, byte for byte.

    Raises: KubeimageError where one of them cannot be read.
    """
    pairs = zip_longest(one.image.layers, two.image.layers)
    for number, (first, second) in enumerate(pairs, 1):
        if first is None or second is None:
            counts = f"{len(one.image.layers)} layers, and {len(two.image.layers)}"
            return Difference(("content",), "the layer itself", number, details=(counts,))
        if first.diff_id != second.diff_id:
            with one.layers.open(first.diff_id) as before, two.layers.open(second.diff_id) as after:
                return _Layers(before, after).difference(number)
    found = _in_config(one.image.config, two.image.config)
    if found is not None:
        return found
    for number, (before_blob, after_blob) in enumerate(zip(one.manifest.layers, two.manifest.layers, strict=True), 1):
        if before_blob.digest != after_blob.digest:
            sizes = f"{before_blob.size} bytes, and {after_blob.size}: its tar is alike in both"
            return Difference(("compression",), "the compressed blob", number, details=(sizes,))
    if one.manifest.to_bytes() != two.manifest.to_bytes():
        return Difference(("config",), "the manifest", details=("its annotations or media types are not alike",))
    return None


class _Member(NamedTuple):
    """An entry of a tar, and where it lies. Shape: its bytes are those from ``start`` up to ``end``."""

    info: tarfile.TarInfo
    start: int
    end: int

    @property
    def path(self) -> str:
        return self.info.name or "/"


def _members(tar: BinaryIO) -> list[_Member]:
    with tarfile.open(fileobj=tar, mode="r:") as archive:
        infos = archive.getmembers()
    # An entry begins where its extended headers do, which is where the one before it ends.
    ends = [info.offset_data + (-(-info.size // _BLOCK) * _BLOCK if info.isreg() else 0) for info in infos]
    return [_Member(info, start, end) for info, start, end in zip(infos, [0, *ends], ends, strict=False)]


class _Layers:
    """The tars of one layer in both images."""

    def __init__(self, before: BinaryIO, after: BinaryIO) -> None:
        self._before, self._after = before, after
        self.one, self.two = _members(before), _members(after)
        self.paths = {member.path for member in self.one}, {member.path for member in self.two}

    def difference(self, number: int) -> Difference:
        """Return what differs first."""
        for first, second in zip(self.one, self.two, strict=False):
            found = self._span((first.start, first.end), (second.start, second.end))
            if found is None:
                continue
            path = first.path if first.path == second.path else self._alone(first, second)
            kinds, details = self._kinds(first, second)
            return Difference(kinds, path, number, *found, details, self._counts())
        return self._at_the_end(number)

    def _at_the_end(self, number: int) -> Difference:
        shorter = min(len(self.one), len(self.two))
        if len(self.one) == len(self.two):
            end = self.one[-1].end if self.one else 0
            details = ("what follows the last entry differs",)
            return Difference(("content",), "the end of the tar", number, end, end, details)
        member = max(self.one, self.two, key=len)[shorter]
        where = "the first" if len(self.one) > shorter else "the second"
        span = member.start, member.end - 1
        return Difference(("content",), member.path, number, *span, (f"it is in {where} image alone",), self._counts())

    def _alone(self, first: _Member, second: _Member) -> str:
        """Return which of two paths at one place is the one to look at: that which the other image lacks, if any."""
        is_new = second.path not in self.paths[0] and first.path in self.paths[1]
        return second.path if is_new else first.path

    def _kinds(self, first: _Member, second: _Member) -> tuple[tuple[Kind, ...], tuple[str, ...]]:
        if first.path != second.path:
            if first.path in self.paths[1] and second.path in self.paths[0]:
                text = f"at this place stands {first.path} in the first image, {second.path} in the second"
                return ("order",), (text,)
            where = "the first" if self._alone(first, second) == first.path else "the second"
            return ("content",), (f"it is in {where} image alone",)
        found = [*_changes(first.info, second.info), *self._content(first, second)]
        if not found:
            found = [("content", "its headers are written in another way")]
        return tuple(dict.fromkeys(kind for kind, _ in found)), tuple(text for _, text in found)

    def _content(self, first: _Member, second: _Member) -> Iterator[tuple[Kind, str]]:
        if not (first.info.isreg() and second.info.isreg()):
            return
        one, two = ((found.info.offset_data, found.info.offset_data + found.info.size) for found in (first, second))
        span = self._span(one, two)
        if span is None:
            return
        if first.info.size != second.info.size:
            yield "content", f"content: {first.info.size} bytes, and {second.info.size}"
        else:
            yield "content", f"content: bytes {span[0] - one[0]}-{span[1] - one[0]} of the file's {first.info.size}"

    def _span(self, one: tuple[int, int], two: tuple[int, int]) -> tuple[int, int] | None:
        """Return the first byte and the last one that differ, as places of the first tar; None where none does."""
        size = min(one[1] - one[0], two[1] - two[0])
        first = last = None
        for at in range(0, size, _PIECE):
            wanted = min(_PIECE, size - at)
            self._before.seek(one[0] + at)
            self._after.seek(two[0] + at)
            before, after = self._before.read(wanted), self._after.read(wanted)
            if before != after:
                first = at + _common(before, after) if first is None else first
                last = at + wanted - 1 - _common(before[::-1], after[::-1])
        if one[1] - one[0] != two[1] - two[0]:
            last = max(one[1] - one[0], two[1] - two[0]) - 1
            first = size if first is None else first
        return None if first is None or last is None else (one[0] + first, one[0] + last)

    def _counts(self) -> tuple[tuple[str, int], ...]:
        """Return how often each kind of difference is met, entries of one path set against each other."""
        others = {member.path: member for member in self.two}
        found: Counter[str] = Counter()
        for member in self.one:
            other = others.get(member.path)
            if other is None:
                found["content"] += 1
                continue
            changes = [*_changes(member.info, other.info), *self._content(member, other)]
            found.update({kind for kind, _ in changes})
        found["content"] += len(self.paths[1] - self.paths[0])
        return tuple((kind, count) for kind, count in found.most_common() if count)


def _common(one: bytes, two: bytes) -> int:
    """Return how many bytes at the beginning are alike in two texts of one length."""
    low, high = 0, len(one)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == two[low:middle] else (low, middle - 1)
    return low


def _changes(one: tarfile.TarInfo, two: tarfile.TarInfo) -> Iterator[tuple[Kind, str]]:
    if one.mtime != two.mtime:
        yield "mtime", f"mtime: {one.mtime}, and {two.mtime}"
    owners = [(info.uid, info.gid, info.uname, info.gname) for info in (one, two)]
    if owners[0] != owners[1]:
        texts = [f"{user}:{group} ({names[0]}:{names[1]})" for user, group, *names in owners]
        yield "owner", f"owner: {texts[0]}, and {texts[1]}"
    if one.mode != two.mode:
        yield "mode", f"mode: {one.mode:o}, and {two.mode:o}"
    if one.type != two.type:
        yield "content", f"type: {one.type!r}, and {two.type!r}"
    elif one.linkname != two.linkname:
        yield "content", f"target: {one.linkname!r}, and {two.linkname!r}"
    extended = [_extended(info) for info in (one, two)]
    for key in sorted(extended[0].keys() | extended[1].keys()):
        if extended[0].get(key) != extended[1].get(key):
            kind: Kind = "mtime" if key in {"atime", "ctime"} else "content"
            yield kind, f"{key}: {extended[0].get(key)}, and {extended[1].get(key)}"


def _extended(info: tarfile.TarInfo) -> dict[str, str]:
    told = {"mtime", "path", "linkpath", "size", "uid", "gid", "uname", "gname"}
    return {key: text for key, text in info.pax_headers.items() if key not in told}


def _in_config(one: bytes, two: bytes) -> Difference | None:
    if one == two:
        return None
    try:
        found = next(_json_differences("", json.loads(one), json.loads(two)), None)
    except ValueError:
        found = None
    if found is None:
        return Difference(("config",), "its form", details=("it says the same in other bytes",))
    key, before, after = found
    return Difference(("config",), key, details=(f"{before}, and {after}",))


def _json_differences(key: str, one: Any, two: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(one, dict) and isinstance(two, dict):
        for name in sorted(one.keys() | two.keys()):
            yield from _json_differences(f"{key}.{name}".lstrip("."), one.get(name), two.get(name))
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for at, (first, second) in enumerate(zip(one, two, strict=True)):
            yield from _json_differences(f"{key}[{at}]", first, second)
    elif one != two:
        yield key, json.dumps(one), json.dumps(two)


__all__ = ["Difference", "Kind", "find_difference"]
