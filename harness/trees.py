"""Trees as a test writes them: a mapping from paths to what stands there.

    {"bin/helm": File("...", 0o755), "etc/app.yaml": "replicas: 1", "lib": Link("usr/lib"), "var/": None}

Text and bytes are a file's content. None is a folder, which needs naming only where it is empty.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

_FILE_MODE = 0o644


class Printer(Protocol):
    """What Hypothesis and IPython print values with."""

    def text(self, text: str) -> None:
        """Print a text as it is."""
        ...


class Pasted:
    """A value that is printed as what can be pasted into a test, and not field by field."""

    def _repr_pretty_(self, printer: Printer, _cycle: bool) -> None:
        printer.text(repr(self))


@dataclass(frozen=True)
class File(Pasted):
    """A file, where its mode matters.

    Shape: ``mtime`` and ``xattrs`` are what it has in a build context, and never come into an image.
    Units: ``mtime`` in seconds.
    """

    content: str | bytes = b""
    mode: int = _FILE_MODE
    mtime: int | None = None
    xattrs: tuple[tuple[str, bytes], ...] = ()

    @property
    def data(self) -> bytes:
        """The content as bytes."""
        return as_bytes(self.content)

    def __repr__(self) -> str:
        mode = "" if self.mode == _FILE_MODE else f", {self.mode:#o}"
        mtime = "" if self.mtime is None else f", mtime={self.mtime}"
        xattrs = f", xattrs={self.xattrs!r}" if self.xattrs else ""
        return f"File({as_written(self.content)}{mode}{mtime}{xattrs})"


@dataclass(frozen=True)
class Folder(Pasted):
    """A folder, where its mode matters."""

    mode: int = 0o755

    def __repr__(self) -> str:
        return f"Folder({self.mode:#o})"


@dataclass(frozen=True)
class Link(Pasted):
    """A symbolic link."""

    target: str

    def __repr__(self) -> str:
        return f"Link({self.target!r})"


@dataclass(frozen=True)
class HardLink(Pasted):
    """Another name of the file at ``path``, which is a path of the same tree."""

    path: str

    def __repr__(self) -> str:
        return f"HardLink({self.path!r})"


@dataclass(frozen=True)
class Fifo(Pasted):
    """A named pipe."""

    mode: int = _FILE_MODE

    def __repr__(self) -> str:
        return f"Fifo({self.mode:#o})"


Content = str | bytes | File | Folder | Link | HardLink | Fifo | None
Tree = Mapping[str, Content]


def as_bytes(content: str | bytes) -> bytes:
    """Return a file's content as bytes; text is UTF-8."""
    return content.encode() if isinstance(content, str) else content


def as_written(content: str | bytes) -> str:
    """Return a content as a person would write it: a long repetition as one."""
    for size in (1, 2):
        count = len(content) // size
        if count > 50 and content[:size] * count == content:
            return f"{content[:size]!r} * {count}"
    return repr(content)


def clean(path: str) -> str:
    """Return a path of a tree without what makes no difference: ``./``, doubled slashes, and one at either end.

    Raises: ValueError for a path that leaves the tree.
    """
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ValueError(f"a path in a tree has no '..': {path!r}")
    return "/".join(parts)


def write_tree(folder: str, tree: Tree) -> None:
    """Make everything in ``tree`` below ``folder``, which is made too."""
    os.makedirs(folder, exist_ok=True)
    last = [(path, content) for path, content in tree.items() if isinstance(content, HardLink)]
    first = [(path, content) for path, content in tree.items() if not isinstance(content, HardLink)]
    for path, content in [*first, *last]:
        place = os.path.join(folder, clean(path))
        _make_folder(os.path.dirname(place))
        _write(folder, place, content)
    # From the inside out: a folder that is to be read-only is so when all is in it.
    for path, content in sorted(first, key=lambda item: -len(item[0])):
        if isinstance(content, Folder):
            os.chmod(os.path.join(folder, clean(path)), content.mode)


def _make_folder(place: str) -> None:
    """Make a folder and those above it, of mode 0755 whatever the umask is."""
    missing = []
    while not os.path.isdir(place):
        missing.append(place)
        place = os.path.dirname(place)
    for folder in reversed(missing):
        os.mkdir(folder)
        os.chmod(folder, 0o755)  # noqa: S103


def _write(folder: str, place: str, content: Content) -> None:
    if content is None or isinstance(content, Folder):
        _make_folder(place)
    elif isinstance(content, Link):
        os.symlink(content.target, place)
    elif isinstance(content, HardLink):
        os.link(os.path.join(folder, clean(content.path)), place)
    elif isinstance(content, Fifo):
        os.mkfifo(place)
        os.chmod(place, content.mode)
    else:
        file = content if isinstance(content, File) else File(content)
        with open(place, "wb") as stream:
            stream.write(file.data)
        for name, value in file.xattrs:
            # Not every file system has them.
            with suppress(OSError):
                os.setxattr(place, name, value)
        if file.mtime is not None:
            os.utime(place, (file.mtime, file.mtime))
        os.chmod(place, file.mode)


def read_tree(folder: str) -> dict[str, File | Folder | Link | Fifo]:
    """Read all that stands below ``folder``, also what nobody but root may: the reverse of `write_tree`.

    Shape: files have bytes for content; a hard link is a file like any other.
    """
    tree: dict[str, File | Folder | Link | Fifo] = {}
    pending = [""]
    while pending:
        inside = pending.pop()
        with _opened(os.path.join(folder, inside)):
            for name in os.listdir(os.path.join(folder, inside)):
                path = os.path.join(inside, name)
                tree[path] = _read(os.path.join(folder, path))
                pending += [path] if isinstance(tree[path], Folder) else []
    return tree


def _read(place: str) -> File | Folder | Link | Fifo:
    status = os.lstat(place)
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return Link(os.readlink(place))
    if stat.S_ISDIR(status.st_mode):
        return Folder(mode)
    if stat.S_ISFIFO(status.st_mode):
        return Fifo(mode)
    with _opened(place), open(place, "rb") as stream:
        return File(stream.read(), mode)


@contextmanager
def _opened(place: str) -> Iterator[None]:
    """Make what stands at a path readable for its owner, meanwhile."""
    mode = stat.S_IMODE(os.lstat(place).st_mode)
    wanted = os.R_OK | os.X_OK if os.path.isdir(place) else os.R_OK
    closed = not os.access(place, wanted, effective_ids=True)
    if closed:
        os.chmod(place, mode | 0o700)
    try:
        yield
    finally:
        if closed:
            os.chmod(place, mode)
