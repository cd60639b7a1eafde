"""What a cut lays out, as files."""

from collections.abc import Iterable, Mapping, Sequence

from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry, Kind
from kubeimage.packing.cutting import Piece, cut
from kubeimage.packing.layout import Contents


def files_of(images: Sequence[Contents], blobs: Mapping[Digest, bytes]) -> dict[str, bytes]:
    """Return all files that ``images`` are laid out as, in however many layers."""
    return union(cut(images, [], tree={}, packed={}, room=128, mtime=0), blobs)


def union(pieces: Iterable[Piece], blobs: Mapping[Digest, bytes]) -> dict[str, bytes]:
    """Return the files of all layers; one that is in several must be the same in each."""
    made: dict[str, bytes] = {}
    for entry in (entry for piece in pieces for entry in piece.entries if entry.kind is Kind.FILE):
        content = _content(entry, blobs)
        assert made.setdefault(entry.path, content) == content
    return made


def _content(entry: Entry, blobs: Mapping[Digest, bytes]) -> bytes:
    if isinstance(entry.source, bytes):
        return entry.source
    assert entry.digest is not None
    return blobs[Digest(entry.digest.hex())]
