"""Where one text makes two trees: what COPY places by the rules of sealer, and by Docker's.

A file that says its dialect in a line ``# syntax=`` has an author who knows; so has one that no other dialect can read,
and one beside an ignore file that its own dialect alone reads. Any other gets one note, where the trees differ.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from dataclasses import replace

from kubeimage.builder.dockerscope import SCRATCH
from kubeimage.context.dockerignore import IGNORE_FILES
from kubeimage.context.ignore import IGNORE_FILE
from kubeimage.errors import Diagnostic, KubefileError, KubeimageError
from kubeimage.image.compatibility import DEFAULT_DIALECT, Dialect
from kubeimage.kubefile import Kubefile, Run, parse
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
    if not project.is_whole or not project.copies or _says_its_dialect(project):
        return
    here: Tree = {}
    there: Tree = {}
    first: Copied | None = None
    for copied in project.copies:
        here.update((entry.path, entry.kind) for entry in copied.entries)
        try:
            request = _by_other_rules(copied, there, kubefile)
            there.update((entry.path, entry.kind) for entry in entries_of(project.collector.collect(request)))
        except KubeimageError as error:
            if _is_readable_elsewhere(kubefile):
                yield _note(kubefile, copied, _listed(here), f"an error: {error.message}")
            return
        first = first or (copied if here != there else None)
    if first is not None and here != there and _is_readable_elsewhere(kubefile):
        yield _note(kubefile, first, _listed(_only(here, there)), _listed(_only(there, here)))


def _says_its_dialect(project: Project) -> bool:
    """Whether a directive or an ignore file says it."""
    kubefile = project.kubefile
    if read_directives(kubefile.source).dialect is not None:
        return True
    own = (IGNORE_FILE,) if kubefile.dialect == DEFAULT_DIALECT else IGNORE_FILES
    return any(os.path.isfile(os.path.join(project.context, name)) for name in own)


def _is_readable_elsewhere(kubefile: Kubefile) -> bool:
    """Whether no word says the dialect: another one can read the file. Few are asked, for that reads it once more."""
    try:
        parse(kubefile.source.text, file=kubefile.file, dialect=_OTHER[kubefile.dialect])
    except KubefileError:
        return False
    return True


def _by_other_rules(copied: Copied, tree: Tree, kubefile: Kubefile) -> CopyRequest:
    request = copied.request
    if kubefile.dialect != DEFAULT_DIALECT:
        return CopyRequest(request.sources, request.destination, chmod=request.chmod, mtime=request.mtime)
    written = request.destination
    place = posixpath.normpath(posixpath.join("/", written)).lstrip("/")
    is_there = tree.get(place) is Kind.DIRECTORY or _may_have_folder(kubefile, copied)
    into = written.endswith("/") or written.rpartition("/")[2] in (".", "..") or is_there
    return replace(request, exact=False, by_docker=True, into=into)


def _may_have_folder(kubefile: Kubefile, copied: Copied) -> bool:
    """Whether something that is not looked at here may have made the destination: the base, or a RUN above."""
    above = kubefile.instructions[: kubefile.instructions.index(copied.instruction)]
    return kubefile.base.name != SCRATCH or any(isinstance(one, Run) for one in above)


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
