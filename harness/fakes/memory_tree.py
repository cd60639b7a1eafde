"""A root filesystem in memory that can be changed as a RUN would change it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from errno import EEXIST, EINVAL, EISDIR, ELOOP, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, EXDEV

from kubeimage.layer.entry import Kind

ROOTFS = "/rootfs"

_MOST_SYMLINKS = 40


@dataclass(eq=False)
class Node:
    """What stands at a path; hard links are one node under several paths."""

    kind: Kind
    mode: int
    content: bytes = b""
    target: str = ""
    xattrs: dict[str, bytes] = field(default_factory=dict)


class MemoryTree(Mapping[str, Node]):
    """A rootfs that can be changed: path -> Node, the root left out.

    Shape:  paths are relative to the root, or absolute within it, with or without ``ROOTFS`` before them; symlinks on
            the way are followed inside the root.
    Raises: the OSErrors that a file system would, with the path as it was given.
    """

    def __init__(self, nodes: Mapping[str, Node] | None = None) -> None:
        self._nodes = dict(nodes or {})

    def __getitem__(self, path: str) -> Node:
        return self._nodes[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        return self._file(path).content

    def write(self, path: str, content: str | bytes, mode: int | None = None) -> None:
        """Set a file's content, in place; a new one gets ``mode``, or 0644."""
        node = self._file(path, create=True)
        node.content = _bytes(content)
        node.mode = mode if mode is not None else _mode_once_written(node.mode)

    def append(self, path: str, content: str | bytes) -> None:
        """Add to the end of a file, which is made if need be."""
        node = self._file(path, create=True)
        if content:
            node.content += _bytes(content)
            node.mode = _mode_once_written(node.mode)

    def mkdir(self, path: str, mode: int = 0o755, *, parents: bool = False) -> None:
        """Make a directory; with ``parents`` those above it as well, and none that is there is an error."""
        if parents:
            self._make_parents(path)
        if parents and self._is_directory(self._place(path, follow=True)):
            return
        self._new(self._place(path), Node(Kind.DIRECTORY, mode), path)

    def mkfifo(self, path: str, mode: int = 0o644) -> None:
        """Make a named pipe."""
        self._new(self._place(path), Node(Kind.FIFO, mode), path)

    def symlink(self, target: str, path: str) -> None:
        """Make a symlink."""
        self._new(self._place(path), Node(Kind.SYMLINK, 0o777, target=target), path)

    def link(self, old: str, new: str) -> None:
        """Link a file to one more name."""
        node = self.node(old, follow=False)
        if node.kind is Kind.DIRECTORY:
            raise _error(EPERM, new)
        self._new(self._place(new), node, new)

    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove what stands at a path; a directory with something in it only if ``recursive``."""
        place = self._place(path)
        node = self.node(path, follow=False)
        below = self._below(place)
        if node.kind is Kind.DIRECTORY and below and not recursive:
            raise _error(ENOTEMPTY, path)
        if not place:
            raise _error(EINVAL, path)
        for name in (place, *below):
            del self._nodes[name]

    def rename(self, old: str, new: str) -> None:
        """Move what stands at ``old`` to ``new``, over what stands there, as rename(2) does."""
        source, target = self._place(old), self._place(new)
        node = self.node(old, follow=False)
        if source == target:
            return
        if target.startswith(source + "/") or not source or not target:
            raise _error(EINVAL, new)
        self._make_way(node, target, new)
        for name in (source, *self._below(source)):
            self._nodes[target + name[len(source) :]] = self._nodes.pop(name)

    def chmod(self, path: str, mode: int) -> None:
        """Set permission bits."""
        self.node(path).mode = mode

    def touch(self, path: str) -> None:
        """Make an empty file where there is nothing; times are no part of a tree."""
        if not self.exists(path):
            self._file(path, create=True)

    def set_xattr(self, path: str, name: str, value: bytes) -> None:
        """Set an extended attribute."""
        self.node(path).xattrs[name] = value

    def exists(self, path: str, *, follow: bool = True) -> bool:
        """Whether something stands at a path."""
        try:
            self.node(path, follow=follow)
        except OSError:
            return False
        return True

    def node(self, path: str, *, follow: bool = True) -> Node:
        """Return what stands at a path, the root included."""
        place = self._place(path, follow=follow)
        if not place:
            return Node(Kind.DIRECTORY, 0o755)
        if place not in self._nodes:
            raise _error(ENOENT, path)
        node = self._nodes[place]
        if path.endswith("/") and node.kind is not Kind.DIRECTORY:
            raise _error(ENOTDIR, path)
        return node

    def children(self, path: str) -> list[str]:
        """Return the names in a directory, sorted."""
        if self.node(path).kind is not Kind.DIRECTORY:
            raise _error(ENOTDIR, path)
        place = self._place(path, follow=True)
        start = len(place) + 1 if place else 0
        return sorted(name[start:] for name in self._below(place) if "/" not in name[start:])

    def place(self, path: str) -> str:
        """Return the place of a path, the symlinks of its directories followed, and its own not."""
        return self._place(path)

    def resolve(self, path: str) -> str:
        """Return the place that a path leads to, all symlinks followed."""
        return self._place(path, follow=True)

    def _file(self, path: str, *, create: bool = False) -> Node:
        place = self._place(path, follow=True)
        if place not in self._nodes and create and place and not path.endswith("/"):
            self._new(place, Node(Kind.FILE, 0o644), path)
        node = self.node(path)
        if node.kind is Kind.DIRECTORY:
            raise _error(EISDIR, path)
        return node

    def _new(self, place: str, node: Node, path: str) -> None:
        if not place or place in self._nodes:
            raise _error(EEXIST, path)
        parent = place.rpartition("/")[0]
        if parent and parent not in self._nodes:
            raise _error(ENOENT, path)
        if not self._is_directory(parent):
            raise _error(ENOTDIR, path)
        self._nodes[place] = node

    def _make_parents(self, path: str) -> None:
        names = path.rstrip("/").split("/")
        for count in range(1, len(names)):
            above = "/".join(names[:count])
            place = self._place(above, follow=True)
            if place and place not in self._nodes:
                # A symlink that leads nowhere stands in the way.
                self._new(self._place(above), Node(Kind.DIRECTORY, 0o755), path)
            elif not self._is_directory(place):
                raise _error(ENOTDIR, path)

    def _make_way(self, node: Node, target: str, path: str) -> None:
        there = self._nodes.get(target)
        parent = target.rpartition("/")[0]
        if parent and parent not in self._nodes:
            raise _error(ENOENT, path)
        if there is None:
            return
        if node.kind is Kind.DIRECTORY and there.kind is not Kind.DIRECTORY:
            raise _error(ENOTDIR, path)
        if node.kind is not Kind.DIRECTORY and there.kind is Kind.DIRECTORY:
            raise _error(EISDIR, path)
        if self._below(target):
            raise _error(ENOTEMPTY, path)
        del self._nodes[target]

    def _is_directory(self, place: str) -> bool:
        return not place or (place in self._nodes and self._nodes[place].kind is Kind.DIRECTORY)

    def _below(self, place: str) -> list[str]:
        start = place + "/" if place else ""
        return [name for name in self._nodes if name.startswith(start)]

    def _place(self, path: str, *, follow: bool = False) -> str:
        """Return the place of a path: its directories' symlinks followed, its own only if asked for."""
        todo = _inside(path).split("/")[::-1]
        done: list[str] = []
        links = 0
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                del done[-1:]
                continue
            node = self._nodes.get("/".join((*done, name)))
            if node is not None and node.kind is Kind.SYMLINK and (follow or any(todo)):
                links += 1
                if links > _MOST_SYMLINKS:
                    raise _error(ELOOP, path)
                todo += _inside(node.target, path).split("/")[::-1]
                if node.target.startswith("/"):
                    done.clear()
                continue
            if node is not None and node.kind is not Kind.DIRECTORY and any(todo):
                raise _error(ENOTDIR, path)
            done.append(name)
        return "/".join(done)


def _inside(path: str, shown: str | None = None) -> str:
    """Return the path relative to the root.

    Raises: OSError for an absolute path that leads out of it, into the host.
    """
    if path == ROOTFS or path.startswith(ROOTFS + "/"):
        return path[len(ROOTFS) :]
    if path.startswith("/"):
        raise _error(EXDEV, shown or path)
    return path


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _mode_once_written(mode: int) -> int:
    """Return the mode of a file after a write: the kernel takes off the bits that lend rights of owner or group."""
    return mode & ~(0o6000 if mode & 0o010 else 0o4000)
