"""Where one text makes two trees: what COPY places by the rules of sealer, and by Docker's.

A file that says its dialect in a line ``# syntax=`` has an author who knows; any other gets one note.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import replace

from kubeimage.context import ContextCollector
from kubeimage.errors import Diagnostic, KubeimageError
from kubeimage.image.compatibility import DEFAULT_DIALECT, Dialect
from kubeimage.kubefile import Kubefile
from kubeimage.kubefile.codes import Advice
from kubeimage.kubefile.dialects import read_directives
from kubeimage.kubefile.statement import cut
from kubeimage.layer.entry import Kind
from kubeimage.lint.project import Copied, Project, entries_of
from kubeimage.protocols.context import CopyRequest

_MOST_PATHS = 4
_OTHER: dict[Dialect, Dialect] = {"sealer": "sealos", "sealos": "sealer", "sealer-0.9": "sealer"}

Tree = dict[str, Kind]


def about_placements(project: Project) -> Iterator[Diagnostic]:
    """Yield a note, with both trees, where the other rules would make another one of the file's COPYs."""
    kubefile = project.kubefile
    if read_directives(kubefile.source).dialect is not None or not project.is_whole or not project.copies:
        return
    here: Tree = {}
    there: Tree = {}
    collector = ContextCollector(project.context)
    first: Copied | None = None
    for copied in project.copies:
        here.update((entry.path, entry.kind) for entry in copied.entries)
        try:
            request = _by_other_rules(copied.request, there, kubefile)
            there.update((entry.path, entry.kind) for entry in entries_of(collector.collect(request)))
        except KubeimageError as error:
            yield _note(kubefile, copied, _listed(here), f"an error: {error.message}")
            return
        first = first or (copied if here != there else None)
    if first is not None and here != there:
        yield _note(kubefile, first, _listed(_only(here, there)), _listed(_only(there, here)))


def _by_other_rules(request: CopyRequest, tree: Tree, kubefile: Kubefile) -> CopyRequest:
    if kubefile.dialect != DEFAULT_DIALECT:
        return CopyRequest(request.sources, request.destination, chmod=request.chmod, mtime=request.mtime)
    written = request.destination
    place = posixpath.normpath(posixpath.join("/", written)).lstrip("/")
    into = written.endswith("/") or written.rpartition("/")[2] in (".", "..") or tree.get(place) is Kind.DIRECTORY
    return replace(request, exact=False, by_docker=True, into=into)


def _only(tree: Tree, other: Tree) -> Tree:
    return {path: kind for path, kind in tree.items() if other.get(path) is not kind}


def _listed(tree: Tree) -> str:
    """Return some paths of a tree: files say more than the folders that they stand in."""
    paths = sorted(path for path, kind in tree.items() if kind is not Kind.DIRECTORY) or sorted(tree)
    more = len(paths) - _MOST_PATHS
    return (", ".join(map(cut, paths[:_MOST_PATHS])) + (f" and {more} more" if more > 0 else "")) or "nothing else"


def _note(kubefile: Kubefile, copied: Copied, here: str, there: str) -> Diagnostic:
    dialect, other = kubefile.dialect, _OTHER[kubefile.dialect]
    message = f"the dialect {other} would make another tree: in {dialect} it is {here}; in {other} it would be {there}"
    hint = f"say which rules are meant: # syntax={dialect} or # syntax={other} as the first line"
    return Diagnostic(Advice.ANOTHER_TREE.code, message, copied.step.location, hint, "note")
