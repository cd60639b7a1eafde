"""What is wrong within the files that a build searches for container images: broken YAML, names that are none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from kubeimage.discovery.finder import decode, plan_search
from kubeimage.discovery.search import Search
from kubeimage.errors import Diagnostic, KubeimageError, Location
from kubeimage.kubefile.codes import Advice
from kubeimage.kubefile.statement import quoted
from kubeimage.layer.entry import Entry
from kubeimage.lint.project import Copied, Project
from kubeimage.packing.files import ContextFiles

if TYPE_CHECKING:
    from kubeimage.discovery.documents import Document
    from kubeimage.discovery.findings import Unreadable

_LARGEST = 16 << 20
_TEMPLATE = re.compile(r"\{\{|\$\{|\$\(|<%|@[A-Z][A-Z0-9_]*@|__[A-Z][A-Z0-9_]*__")
_LINE = re.compile(r"line (\d+)")


class Found(NamedTuple):
    """What is to be said of a file that a COPY brings."""

    copied: Copied
    diagnostic: Diagnostic


class _Text(NamedTuple):
    """A file that is searched. Shape: ``path`` is its place in the image, ``file`` its name for people."""

    path: str
    file: str
    text: str
    copied: Copied


def about_manifests(project: Project) -> Iterator[Found]:
    """Yield what is to be said of manifests and image lists, file by file."""
    lists, manifests = _texts(project)
    if not lists and not manifests:
        return
    from kubeimage.discovery.imagelist import find_in_list
    from kubeimage.discovery.manifests import find_in_manifest

    for one in lists:
        yield from _unreadable(one, find_in_list(one.text, one.file).unreadable)
    for one in manifests:
        yield from _broken(one)
        yield from _unreadable(one, find_in_manifest(one.text, one.file).unreadable)


def _texts(project: Project) -> tuple[list[_Text], list[_Text]]:
    """Read the files that a build would search, each with the COPY that brings it."""
    owners: dict[str, tuple[Entry, Copied]] = {}
    for copied in project.copies:
        owners.update((entry.path, (entry, copied)) for entry in copied.entries)
    try:
        files = ContextFiles(entry for copied in project.copies for entry in copied.entries)
        plan = plan_search(files, Search())
        wanted = [path for path in (*plan.lists, *plan.manifests) if files.size(path) <= _LARGEST]
        texts = [
            _Text(path, project.shown(owners[path][0]), decode(data), owners[path][1])
            for path, data in files.read(wanted)
        ]
    except KubeimageError:
        # What cannot be read, or merged into one tree, is the build's to say.
        return [], []
    lists = set(plan.lists)
    return [one for one in texts if one.path in lists], [one for one in texts if one.path not in lists]


def _broken(one: _Text) -> Iterator[Found]:
    if one.path.endswith(".tmpl"):
        return
    from kubeimage.discovery.documents import iter_documents

    for document in iter_documents(one.text):
        if document.problem is not None and not _TEMPLATE.search(document.text):
            yield Found(one.copied, _broken_document(one, document))


def _broken_document(one: _Text, document: Document) -> Diagnostic:
    found = _LINE.match(document.problem or "")
    number = int(found[1]) if found else document.line
    lines = one.text.split("\n")
    number = min(number, len(lines))
    # A mark at the end of the text is of no use to anybody: the last line that says something is.
    while number > document.line and not lines[number - 1].strip():
        number -= 1
    reason = (document.problem or "").partition(": ")[2] if found else document.problem
    message = f"not YAML: {reason}"
    hint = "kubectl would refuse the file; a template that a RUN fills in is better named .tmpl"
    return Diagnostic(Advice.BROKEN_YAML.code, message, _line_of(one, number), hint, "warning")


def _unreadable(one: _Text, names: tuple[Unreadable, ...]) -> Iterator[Found]:
    for name in names:
        message = f"{quoted(name.text)} names no container image: {name.reason}"
        near = f"did you mean {name.near}? " if name.near else ""
        hint = f"{near}an image is named as in docker.io/library/nginx:1.25; a build that packs refuses this"
        place = _line_of(one, max(name.line, 1), name.text)
        yield Found(one.copied, Diagnostic(Advice.UNREADABLE_IMAGE.code, message, place, hint, "warning"))


def _line_of(one: _Text, number: int, name: str = "") -> Location:
    line = one.text.split("\n")[number - 1].rstrip("\r")
    start = line.find(name) if name else len(line) - len(line.lstrip())
    return Location(
        one.file, number, max(start, 0) + 1, line, len(name) if name and start >= 0 else len(line.strip()) or 1
    )
