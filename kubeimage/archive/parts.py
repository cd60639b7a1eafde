"""Archives that came in parts: put together in whatever order they are named, each verified as it is read.

What is wrong with parts is told of all of them at once, each by the name of its file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from kubeimage.archive.bundle import BUNDLE, PART, SUMS, Bundle, PartOf
from kubeimage.archive.members import MemberFiles, Members
from kubeimage.archive.outgoing import parse_piece_name
from kubeimage.errors import ArchiveError
from kubeimage.image.digest import Digest
from kubeimage.values import dataclass

_AGAIN = "copy the part again from where it was saved"
_SUM_WORDS = 2


class NamedMembers(NamedTuple):
    """An archive and the name of its file, for people."""

    where: str
    members: Members


@dataclass(frozen=True)
class Part:
    """One part, of which what it says of itself is verified. Shape: ``sums`` are sha256 in hex, by name."""

    where: str
    members: Members
    part: PartOf
    bundle: Bundle
    sums: Mapping[str, str]

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield what the part has under a name, and verify it at the end.

        Raises: ArchiveError that names the part.
        """
        found = hashlib.sha256()
        for chunk in self.members.chunks(name):
            found.update(chunk)
            yield chunk
        if found.hexdigest() != self.sums.get(name):
            raise ArchiveError(f"{self.where} is damaged: {name!r} in it has other bytes than were saved", hint=_AGAIN)

    @property
    def described(self) -> str:
        """Which part it is, for people."""
        return f"{self.where}: part {self.part.number} of {self.part.total} of {_names(self.bundle)}, whole"

    def verify(self) -> None:
        """Read all of the part.

        Raises: ArchiveError that names it.
        """
        for name in self.sums:
            for _ in self.chunks(name):
                pass


def is_part(members: Members) -> bool:
    """Whether an archive is a part of a bundle."""
    return PART in members


def read_part(where: str, members: Members) -> Part:
    """Read what a part says of itself, and verify that much.

    Raises: ArchiveError that names the part.
    """
    if SUMS not in members:
        raise ArchiveError(f"{where} is cut short: it ends before its {SUMS}", hint=_AGAIN)
    try:
        sums = dict(_read_sums(members.read(SUMS)))
        stated, said = (members.read(name) for name in (BUNDLE, PART))
        part, bundle = PartOf.from_bytes(said), Bundle.from_bytes(stated)
    except ArchiveError as error:
        raise ArchiveError(f"{where} is damaged: {error.message}", hint=_AGAIN) from error
    known = {BUNDLE: stated, PART: said}
    others = {name for name in members if name != SUMS} ^ sums.keys()
    if others or any(hashlib.sha256(data).hexdigest() != sums[name] for name, data in known.items()):
        raise ArchiveError(f"{where} is damaged: it is not as its {SUMS} says", hint=_AGAIN)
    if part.bundle != Digest.of(stated):
        raise ArchiveError(f"{where} is damaged: its {PART} and its {BUNDLE} do not belong together", hint=_AGAIN)
    return Part(where, members, part, bundle, sums)


def _read_sums(data: bytes) -> Iterator[tuple[str, str]]:
    for line in data.decode("utf-8", "replace").splitlines():
        words = line.split("  ", 1)
        if len(words) != _SUM_WORDS:
            raise ArchiveError(f"its {SUMS} cannot be understood")
        yield words[1], words[0]


def join_parts(parts: Sequence[Part]) -> list[MemberFiles]:
    """Return the archives that parts of one or several bundles make, in whatever order.

    Raises: ArchiveError that names each part that is missing, there twice with other contents, or of another bundle.
    """
    bundles: dict[Digest, dict[int, Part]] = {}
    for part in parts:
        bundles.setdefault(part.part.bundle, {}).setdefault(part.part.number, part)
    problems = [problem for found in bundles.values() for problem in _missing(found)]
    if problems:
        if len(bundles) > 1:
            problems += [_described(found) for found in bundles.values()]
        raise ArchiveError("; ".join(problems), hint="name all parts, or their folder: kubeimage load -i FOLDER")
    return [PartedMembers(found) for found in bundles.values()]


def _missing(found: Mapping[int, Part]) -> Iterator[str]:
    one = next(iter(found.values()))
    lacking = [number for number in range(1, one.part.total + 1) if number not in found]
    if lacking:
        are = f"part {lacking[0]} is" if len(lacking) == 1 else f"parts {', '.join(map(str, lacking))} are"
        yield f"{are} missing of the {one.part.total} of {_names(one.bundle)}"


def _described(found: Mapping[int, Part]) -> str:
    one = next(iter(found.values()))
    files = ", ".join(f"{part.where} (part {number})" for number, part in sorted(found.items()))
    return f"of {_names(one.bundle)}, bundle {one.part.bundle.short}, there are: {files}"


def _names(bundle: Bundle) -> str:
    return ", ".join(name for name, _ in bundle.images) or "an image without a name"


class _Piece(NamedTuple):
    part: Part
    name: str
    size: int


class PartedMembers(MemberFiles):
    """The files of an archive that lies in parts, all of which are there. Shape: ``parts`` are by their numbers."""

    def __init__(self, parts: Mapping[int, Part]) -> None:
        super().__init__()
        self.parts = parts
        one = next(iter(parts.values()))
        self._sizes = {member.name: member.size for member in one.bundle.members}
        self._pieces = _pieces_of(self._sizes, parts)
        self._bundle = one.bundle

    def __contains__(self, name: str) -> bool:
        return name in self._sizes or (name == BUNDLE and bool(self._bundle.left_out))

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def size(self, name: str) -> int:
        """Return how many bytes a file has.

        Raises: ArchiveError where there is none.
        """
        if name == BUNDLE:
            return len(self._bundle.to_bytes())
        if name not in self._sizes:
            raise ArchiveError(f"the archive lacks {name!r}, which it speaks of", hint=_AGAIN)
        return self._sizes[name]

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes in pieces.

        Raises: ArchiveError that names the part that is damaged.
        """
        if name == BUNDLE:
            yield self._bundle.to_bytes()
            return
        self.size(name)
        for piece in self._pieces[name]:
            yield from piece.part.chunks(piece.name)


def _pieces_of(sizes: Mapping[str, int], parts: Mapping[int, Part]) -> dict[str, list[_Piece]]:
    """Return the pieces of each member, in order, which together are all of it.

    Raises: ArchiveError.
    """
    found: dict[str, dict[int, _Piece]] = {name: {} for name in sizes}
    for part in parts.values():
        for own in part.sums:
            member, offset = parse_piece_name(own)
            if member in found:
                found[member][offset] = _Piece(part, own, part.members.size(own))
    for name, pieces in found.items():
        ends = list(accumulate(pieces[offset].size for offset in sorted(pieces)))
        if [0, *ends] != [*sorted(pieces), sizes[name]]:
            names = _names(next(iter(parts.values())).bundle)
            raise ArchiveError(f"the parts of {names} do not make all of {name!r}", hint=_AGAIN)
    return {name: [pieces[offset] for offset in sorted(pieces)] for name, pieces in found.items()}
