"""Another image's root as something that COPY takes from: read off its layers, of which only what is copied is written.

Owners, set-id bits and xattrs are those of the image. A symlink is followed inside the image, wherever it points.
"""

from __future__ import annotations

import os
import posixpath
import shutil
from collections.abc import Sequence
from typing import cast

from kubeimage.context.dockercopy import DockerSearch
from kubeimage.context.dockerignore import IGNORE_FILES, DockerIgnoreRules
from kubeimage.context.placement import PlacedTree, Placement
from kubeimage.context.tree import Node
from kubeimage.layer.entry import Entry, Kind, canonical_order, identity_of
from kubeimage.layer.stack import LayerStack
from kubeimage.protocols.context import Collected, CopyRequest

_PIECE = 1 << 20


class LayerRoot:
    """A `RootCollector` over layers. ``folder`` is an empty one, which contents are written to."""

    label = "the image"

    def __init__(self, stack: LayerStack, folder: str) -> None:
        self._stack = stack
        self._folder = folder
        self._count = 0

    def look(self, path: str) -> Node | None:
        """Say what stands at ``path``; a symlink's target is told from where it stands."""
        if not path:
            return Node(is_directory=True)
        found = self._stack.tree.get(path)
        if found is None:
            return None
        target = found.target if found.kind is Kind.SYMLINK else None
        if target is not None and target.startswith("/"):
            target = posixpath.relpath(target, posixpath.join("/", posixpath.dirname(path)))
        return Node(found.kind is Kind.DIRECTORY, target)

    def names(self, path: str) -> Sequence[str]:
        """List the directory ``path``."""
        return self._stack.tree.children(path)

    def begins(self, path: str, start: bytes) -> bool:
        """Whether a regular file stands at ``path`` that begins so."""
        found = self._stack.tree.get(path)
        if found is None or found.kind is not Kind.FILE:
            return False
        return any(content.read(len(start)) == start for _, content in self._stack.contents([path]))

    def collect(self, request: CopyRequest) -> Collected:
        """Find what ``request`` copies, with the contents at hand.

        Raises: SourceNotFoundError, DestinationError; BlobNotFoundError, LayerFormatError; StoreFullError.
        """
        rules = DockerIgnoreRules.read("", IGNORE_FILES[-1], request.excludes)
        search = DockerSearch(self, rules, request)
        trees = [self._tree(placement, rules, request) for placement in search.placements()]
        collected = search.collected(trees)
        return self._with_contents(collected)

    def _tree(self, placement: Placement, rules: DockerIgnoreRules, request: CopyRequest) -> PlacedTree:
        found: list[Entry] = []
        todo = [placement.source] if not placement.contents else self._below(placement.source)
        while todo:
            path = todo.pop()
            entry = self._stack.tree[path]
            if rules.leaves_out(path, is_directory=entry.kind is Kind.DIRECTORY) is not None:
                continue
            found.append(_taken(entry, self._landed(path, placement), request))
            if entry.kind is Kind.DIRECTORY:
                todo += self._below(path)
        return PlacedTree(placement, canonical_order(found))

    def _below(self, path: str) -> list[str]:
        return [f"{path}/{name}" if path else name for name in self.names(path)]

    def _landed(self, path: str, placement: Placement) -> str:
        tail = path[len(placement.source) :].lstrip("/")
        return "/".join(part for part in (placement.destination, tail) if part)

    def _with_contents(self, collected: Collected) -> Collected:
        """Write the contents of the files, and say of each where it is."""
        wanted = {cast("str", entry.source) for entry in collected.entries if entry.kind is Kind.FILE}
        written: dict[str, str] = {}
        for path, content in self._stack.contents(sorted(wanted)):
            self._count += 1
            written[path] = os.path.join(self._folder, str(self._count))
            with open(written[path], "xb") as file:
                shutil.copyfileobj(content, file, _PIECE)
        entries = [_at(entry, written) for entry in collected.entries]
        return Collected(
            entries,
            collected.directories,
            collected.warnings,
            alone=collected.alone,
            between=collected.between,
            owner=collected.owner,
        )


def _taken(entry: Entry, path: str, request: CopyRequest) -> Entry:
    mode = entry.mode if request.chmod is None or entry.kind is Kind.SYMLINK else request.chmod
    mtime = entry.mtime if request.mtime is None else request.mtime
    # Where it is in the image, until its content is written.
    return entry._replace(path=path, mode=mode, mtime=mtime, source=entry.path, identity=None)


def _at(entry: Entry, written: dict[str, str]) -> Entry:
    if entry.kind is not Kind.FILE:
        return entry._replace(source=None)
    path = written[cast("str", entry.source)]
    return entry._replace(source=path, identity=identity_of(os.stat(path)))
