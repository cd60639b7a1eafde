"""Mounts in memory: a tree that a RUN's stand-in changes, with the answers that an overlay would give.

with mounts.mount([base]) as mount:
    mount.tree.write("etc/app.yaml", "replicas: 2")
    mount.tree.remove("etc/old")
    changes = mount.changes()
assert [event.action for event in mounts.events] == ["mount", "unmount"]

mounts.refuse()  # or fail_unmount(), be_busy(); with times=1 only once
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from harness.fakes.memory_tree import ROOTFS, MemoryTree, Node
from kubeimage.errors import MountError
from kubeimage.image.digest import Digest
from kubeimage.layer.diff import diff_trees
from kubeimage.layer.entry import Entry, Kind, Owner
from kubeimage.layer.reader import iter_contents
from kubeimage.layer.tree import Tree
from kubeimage.mount.inspection import check_name
from kubeimage.protocols.layers import LayerStore


@dataclass
class MemoryMount:
    """A tree to change, and what it was made of; the tree can still be looked at when it is mounted no more."""

    tree: MemoryTree
    lower: Tree = field(repr=False)
    rootfs: str = ROOTFS
    prefix: tuple[str, ...] = ()
    mounted: bool = True

    def changes(self, owners: Mapping[str, Owner] | None = None) -> list[Entry]:
        """Compare the tree with the layers.

        Raises: UnsupportedSourceError for names that no layer can hold; MountError once it is unmounted.
        """
        if not self.mounted:
            raise MountError("the changes were asked for after the rootfs was unmounted")
        upper: dict[str, Entry] = {}
        firsts: dict[int, str] = {}
        for path in sorted(self.tree):
            node = self.tree[path]
            check_name(path.rpartition("/")[2], path)
            first = firsts.setdefault(id(node), path) if node.kind is Kind.FILE else path
            link = Entry(path, Kind.HARDLINK, node.mode, target=first)
            upper[path] = _entry(path, node) if first == path else link
        found = diff_trees(self.lower, upper)
        # Nothing here changes owners: what stood below goes on to be whose it was.
        return found if not owners else [one._replace(owner=owners.get(one.path, one.owner)) for one in found]

    def keep(self, directory: str) -> None:
        """Write the tree into ``directory``, which is made."""
        os.mkdir(directory)
        for path in sorted(self.tree):
            _write_node(self.tree[path], f"{directory}/{path}")


@dataclass(frozen=True)
class MountEvent:
    """Something that happened to a mount. Shape: ``layers`` lowest first."""

    action: Literal["mount", "unmount", "refuse", "fail to unmount"]
    layers: tuple[Digest, ...]


@dataclass
class _Trouble:
    """Something that goes wrong, so many times (None: always)."""

    reason: str
    left: int | None

    def strikes(self) -> bool:
        if self.left is None:
            return True
        self.left -= 1
        return self.left >= 0


class MemoryMounter:
    """Mounts in memory what ``layers`` holds; notes every mount and unmount, and fails where it is told to."""

    name = "memory"

    def __init__(self, layers: LayerStore) -> None:
        self.events: list[MountEvent] = []
        self.mounts: list[MemoryMount] = []
        self._layers = layers
        self._refusal = self._stuck = _Trouble("", 0)

    @property
    def mounted(self) -> int:
        """How many mounts there are now."""
        return sum({"mount": 1, "unmount": -1}.get(event.action, 0) for event in self.events)

    def use(self, layers: LayerStore) -> None:
        """Mount what another store holds, from now on."""
        self._layers = layers

    def refuse(self, reason: str = "the kernel refuses to mount", *, times: int | None = None) -> None:
        """Raise MountError for the next mounts, or for every mount from now on."""
        self._refusal = _Trouble(reason, times)

    def fail_unmount(self, reason: str = "Input/output error", *, times: int | None = None) -> None:
        """Leave mounted what is mounted, and raise MountError when it should be unmounted."""
        self._stuck = _Trouble(reason, times)

    def be_busy(self, *, times: int | None = None) -> None:
        """Fail to unmount as if a process that a RUN left behind still had a file open."""
        self.fail_unmount("target is busy", times=times)

    @contextmanager
    def mount(self, layers: Sequence[Digest]) -> Iterator[MemoryMount]:
        """Merge ``layers``, lowest first.

        Raises: MountError where it was told to.
        """
        stack = tuple(layers)
        if self._refusal.strikes():
            self.events.append(MountEvent("refuse", stack))
            raise MountError(f"cannot mount: {self._refusal.reason}")
        mount = _merge(self._layers, stack)
        self.events.append(MountEvent("mount", stack))
        self.mounts.append(mount)
        try:
            yield mount
        finally:
            self._unmount(mount, stack)

    def _unmount(self, mount: MemoryMount, stack: tuple[Digest, ...]) -> None:
        if self._stuck.strikes():
            self.events.append(MountEvent("fail to unmount", stack))
            raise MountError(f"cannot unmount: {self._stuck.reason}")
        mount.mounted = False
        self.events.append(MountEvent("unmount", stack))


FakeMounts = MemoryMounter


def _merge(layers: LayerStore, stack: Sequence[Digest]) -> MemoryMount:
    lower = Tree()
    for number, diff_id in enumerate(stack):
        with layers.open(diff_id) as tar:
            entries = [
                entry._replace(source=content.read()) if content is not None and entry.kind is Kind.FILE else entry
                for entry, content in iter_contents(tar)
            ]
        lower.apply(entries, layer=number)
    return MemoryMount(MemoryTree({path: _node(entry) for path, entry in lower.items()}), lower)


def _node(entry: Entry) -> Node:
    content = entry.source if isinstance(entry.source, bytes) else b""
    return Node(entry.kind, entry.mode, content, entry.target, dict(entry.xattrs))


def _entry(path: str, node: Node) -> Entry:
    xattrs = tuple(sorted(node.xattrs.items()))
    if node.kind is Kind.FILE:
        return Entry(path, Kind.FILE, node.mode, len(node.content), xattrs=xattrs, source=node.content)
    return Entry(path, node.kind, node.mode, target=node.target, xattrs=xattrs)


def _write_node(node: Node, full: str) -> None:
    makers: dict[Kind, Callable[[], object]] = {
        Kind.DIRECTORY: lambda: os.mkdir(full),
        Kind.SYMLINK: lambda: os.symlink(node.target, full),
        Kind.FIFO: lambda: os.mkfifo(full),
    }
    if node.kind is Kind.FILE:
        with open(full, "xb") as file:
            file.write(node.content)
    else:
        makers[node.kind]()
    if node.kind is not Kind.SYMLINK:
        os.chmod(full, node.mode | stat.S_IRWXU if node.kind is Kind.DIRECTORY else node.mode)
