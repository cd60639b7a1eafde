"""An image's root filesystem as a read-only mapping, and how two trees differ."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property

from harness.images.layerindex import BuiltLayer, LayerIndex
from harness.trees import Fifo, File, Folder, HardLink, Link, as_bytes, clean
from kubeimage.errors import DestinationError
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry, Kind

_SHOWN_WHOLE = 4096


@dataclass(frozen=True, eq=False)
class RootfsEntry:
    """What stands at one path of an image."""

    entry: Entry
    index: LayerIndex

    def __repr__(self) -> str:
        return f"<{self.path}: {describe(self)}>"

    def __eq__(self, other: object) -> bool:
        """Whether the same stands there: type, mode, target, attributes and content; not where, nor since when."""
        if not isinstance(other, RootfsEntry):
            return NotImplemented
        one, two = self.entry, other.entry
        alike = (one.kind, one.mode, one.size, one.target, one.xattrs) == (
            two.kind,
            two.mode,
            two.size,
            two.target,
            two.xattrs,
        )
        return alike and (not self.is_file or self.digest == other.digest)

    __hash__ = None  # type: ignore[assignment]

    @property
    def path(self) -> str:
        """The path from the image's root, without a slash at either end."""
        return self.entry.path

    @property
    def mode(self) -> int:
        """The permission bits, as in ``0o755``."""
        return self.entry.mode

    @property
    def size(self) -> int:
        """The bytes of a file's content; 0 for anything else."""
        return self.entry.size

    @property
    def target(self) -> str:
        """What a symlink says; empty for anything else."""
        return self.entry.target

    @property
    def mtime(self) -> int:
        """The time of the last change, in seconds since 1970."""
        return self.entry.mtime

    @property
    def xattrs(self) -> dict[str, bytes]:
        """The extended attributes."""
        return dict(self.entry.xattrs)

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self.entry.kind is Kind.FILE

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return self.entry.kind is Kind.DIRECTORY

    @property
    def is_symlink(self) -> bool:
        """Whether it is a symlink; none is followed."""
        return self.entry.kind is Kind.SYMLINK

    @property
    def layer(self) -> BuiltLayer:
        """The layer that put it there."""
        return self.index.layer_of(self.path)

    @cached_property
    def digest(self) -> Digest:
        """The digest of a file's content."""
        with self.open() as stream:
            return Digest(hashlib.file_digest(stream, "sha256").hexdigest())

    def open(self) -> AbstractContextManager[io.BufferedReader]:
        """Open a file's content for reading piece by piece.

        Raises: IsADirectoryError, or ValueError for what has no content.
        """
        __tracebackhide__ = True
        if self.is_dir:
            raise IsADirectoryError(f"{self.path} is a directory in the image")
        if not self.is_file:
            raise ValueError(f"{self.path} is a {self.entry.kind.value} in the image, which has no content")
        return self.index.open(self.path)

    def read_bytes(self) -> bytes:
        """Read a file's content.

        Raises: IsADirectoryError, or ValueError for what has no content.
        """
        __tracebackhide__ = True
        with self.open() as stream:
            return stream.read()

    def read_text(self, encoding: str = "utf-8") -> str:
        """Read a file's content as text."""
        __tracebackhide__ = True
        return self.read_bytes().decode(encoding)


class Rootfs(Mapping[str, RootfsEntry]):
    """The merged root filesystem of an image: path -> what stands there.

    A path is relative to the image's root, and may be written with ``/`` before or behind it. Symlinks on the way to
    the last name are followed, inside the root. Compared with a dict, it says whether the tree is just that: text or
    bytes stand for a file of any mode, None for a directory; directories that are not empty need no mention.
    """

    def __init__(self, index: LayerIndex) -> None:
        self._index = index

    def __getitem__(self, path: str) -> RootfsEntry:
        __tracebackhide__ = True
        found = self._find(path)
        if found is None:
            near = near_names(path, self._index.tree, 1) if isinstance(path, str) else []
            raise KeyError(f"{path} (did you mean {near[0]}?)" if near else path)
        return RootfsEntry(found, self._index)

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self._find(path) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._index.tree))

    def __len__(self) -> int:
        return len(self._index.tree)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return next(differing_paths(self, other), None) is None

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<rootfs with {len(self)} entries>"

    def glob(self, pattern: str) -> list[str]:
        """Return the paths that ``pattern`` matches, sorted; ``**`` stands for any number of directories."""
        matches = _compile(clean(pattern)).fullmatch
        return [path for path in self if matches(path)]

    def _find(self, path: str) -> Entry | None:
        tree = self._index.tree
        try:
            name = clean(path)
        except ValueError:
            return None
        if (found := tree.get(name)) is not None:
            return found
        parent, _, last = name.rpartition("/")
        try:
            real = tree.resolve_directory(parent)
        except DestinationError:
            return None
        return tree.get(f"{real}/{last}" if real else last)


def differences(rootfs: Rootfs, expected: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """Yield where a tree is not what is expected: the path, what is expected there, and what is found.

    Shape: an absent expectation or finding is ``""``.
    """
    wanted = _cleaned(expected)
    for path in differing_paths(rootfs, expected):
        found = rootfs.get(path)
        yield path, describe(wanted[path]) if path in wanted else "", describe(found) if found is not None else ""


def differing_paths(rootfs: Rootfs, expected: Mapping[str, object]) -> Iterator[str]:
    """Yield the paths where a tree is not what is expected, sorted."""
    wanted = _cleaned(expected)
    mentioned = {parent for path in wanted for parent in _parents(path)}
    for path in sorted(rootfs.keys() | wanted.keys()):
        found = rootfs.get(path)
        if path in wanted:
            if found is None or not _is_like(found, wanted[path], rootfs):
                yield path
        elif found is not None and not (found.is_dir and (path in mentioned or _has_children(path, rootfs))):
            yield path


def _cleaned(expected: Mapping[str, object]) -> dict[str, object]:
    return {clean(path): content for path, content in expected.items()}


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _has_children(path: str, rootfs: Rootfs) -> bool:
    return bool(rootfs._index.tree.children(path))  # noqa: SLF001 - one thing in two pieces


def _is_like(found: RootfsEntry, wanted: object, rootfs: Rootfs) -> bool:
    """Whether what stands at a path is what a test asks for; ``rootfs`` has what a hard link leads to.

    Example: a file of mode 0o755 is like ``"text"`` if that is its content, but not like ``File("text")`` of 0o644.
    """
    match wanted:
        case RootfsEntry():
            return found == wanted
        case None:
            return found.is_dir
        case Folder():
            return found.is_dir and found.mode == wanted.mode
        case Link():
            return found.is_symlink and found.target == wanted.target
        case HardLink():
            return found.is_file and wanted.path in rootfs and found == rootfs[wanted.path]
        case str() | bytes():
            return found.is_file and _has_content(found, as_bytes(wanted))
        case File():
            return found.is_file and found.mode == wanted.mode and _has_content(found, wanted.data)
        case Fifo():
            return found.entry.kind is Kind.FIFO and found.mode == wanted.mode
    return False


def _has_content(found: RootfsEntry, data: bytes) -> bool:
    return found.size == len(data) and found.read_bytes() == data


def describe(content: object) -> str:
    """Say in a few words what stands at a path, or is expected there."""
    if isinstance(content, RootfsEntry):
        return _describe_entry(content)
    if isinstance(content, str | bytes):
        return _shown(as_bytes(content))
    if isinstance(content, File):
        return f"{_shown(content.data)} with mode {content.mode:o}"
    if content is None or isinstance(content, Folder):
        return "a directory" if content is None else f"a directory with mode {content.mode:o}"
    if isinstance(content, Link):
        return f"a symlink to {content.target!r}"
    return f"a hard link to {content.path!r}" if isinstance(content, HardLink) else repr(content)


def _describe_entry(found: RootfsEntry) -> str:
    if found.is_symlink:
        return f"a symlink to {found.target!r}"
    if not found.is_file:
        return f"a {found.entry.kind.value} with mode {found.mode:o}"
    what = _shown(found.read_bytes()) if found.size <= _SHOWN_WHOLE else f"a file of {found.size} bytes"
    return f"{what} with mode {found.mode:o}"


def _shown(data: bytes, most: int = 60) -> str:
    try:
        text = repr(data.decode())
    except UnicodeDecodeError:
        text = repr(data)
    return text if len(text) <= most else f"{text[:most]}… ({len(data)} bytes)"


def _compile(pattern: str) -> re.Pattern[str]:
    """Translate a glob: ``*`` and ``?`` stay within a name, ``**/`` spans directories, ``[...]`` is a set."""
    parts = []
    for piece in re.findall(r"\*\*/|\*\*|\*|\?|\[!?\]?[^]]*\]|.", pattern, re.DOTALL):
        if piece == "**/":
            parts.append("(?:.*/)?")
        elif piece == "**":
            parts.append(".*")
        elif piece in "*?":
            parts.append("[^/]*" if piece == "*" else "[^/]")
        elif len(piece) > 1:
            parts.append("[" + piece[1:-1].replace("\\", "\\\\").replace("!", "^", piece[1] == "!") + "]")
        else:
            parts.append(re.escape(piece))
    return re.compile("".join(parts), re.DOTALL)


def near_names(path: str, paths: Iterable[str], most: int = 3) -> list[str]:
    """Return the paths that somebody may have meant by ``path``: the same name elsewhere, then names like it."""
    import difflib

    name = path.rpartition("/")[2]
    same = [other for other in paths if other.rpartition("/")[2] == name]
    return [*dict.fromkeys([*sorted(same, key=len), *difflib.get_close_matches(path, list(paths), n=most)])][:most]
