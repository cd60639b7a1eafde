"""What a COPY brings that its author did not mean, and what it cannot bring."""

from __future__ import annotations

import os
import posixpath
import shlex
from collections.abc import Iterator

from kubeimage.context.names import looks_secret
from kubeimage.discovery.finder import find_strays
from kubeimage.discovery.search import Search
from kubeimage.errors import Diagnostic, KubeimageError, Location
from kubeimage.kubefile.codes import Advice
from kubeimage.kubefile.statement import cut
from kubeimage.layer.entry import Kind
from kubeimage.lint.project import Copied, Project
from kubeimage.packing.files import ContextFiles

_MOST_NAMES = 3
_FILE_SUFFIXES = frozenset(
    (
        ".yaml",
        ".yml",
        ".json",
        ".toml",
        ".conf",
        ".cfg",
        ".ini",
        ".env",
        ".sh",
        ".txt",
        ".tgz",
        ".tar",
        ".gz",
        ".service",
    )
)


def about_copies(project: Project) -> Iterator[Diagnostic]:
    """Yield what is to be said of each COPY, in their order."""
    folders: set[str] = set()
    for copied in project.copies:
        yield from _failures(copied)
        yield from _file_like_folder(copied, folders)
        yield from _secrets(project, copied)
        yield from _strays(copied)
        folders.update(entry.path for entry in copied.entries if entry.kind is Kind.DIRECTORY)


def _failures(copied: Copied) -> Iterator[Diagnostic]:
    for index, error in copied.failures:
        yield Diagnostic(error.code, error.message, _place_of_source(copied, index), error.hint)


def _place_of_source(copied: Copied, index: int) -> Location:
    written = copied.instruction.sources
    span = copied.instruction.span
    return (span.word(written[index]) if index < len(written) else span).location


def _file_like_folder(copied: Copied, folders: set[str]) -> Iterator[Diagnostic]:
    """A file that is to get a new name gets a folder of that name instead."""
    request, files = copied.request, [entry for entry in copied.entries if entry.kind is Kind.FILE]
    destination = posixpath.normpath(request.destination.lstrip("/") or ".")
    folder = any(entry.path == destination and entry.kind is Kind.DIRECTORY for entry in copied.entries)
    if request.exact or request.destination.endswith("/") or len(files) != 1 or not folder or destination in folders:
        return
    made, suffix = files[0].path, posixpath.splitext(destination)[1]
    source_suffix = posixpath.splitext(made)[1]
    if posixpath.dirname(made) != destination or suffix not in _FILE_SUFFIXES | {source_suffix} or not suffix:
        return
    source, written = copied.instruction.sources[0], copied.instruction.destination
    message = f"this makes the folder {cut(destination)} and {cut(made)} in it; Docker would make a file of that name"
    rename = f"COPY --exact {shlex.quote(cut(source))} {shlex.quote(cut(written))}"
    hint = f"to give the file that name: {rename}; to mean a folder, end it with a /"
    place = copied.instruction.span.word(written).location
    yield Diagnostic(Advice.FILE_LIKE_FOLDER.code, message, place, hint, "warning")


def _secrets(project: Project, copied: Copied) -> Iterator[Diagnostic]:
    sources = [entry.source for entry in copied.entries if entry.kind is Kind.FILE and isinstance(entry.source, str)]
    found = [project.relative(source) for source in sources if looks_secret(os.path.basename(source))]
    if not found:
        return
    verb = "looks like a key or a credential" if len(found) == 1 else "look like keys or credentials"
    message = f"{_listed(found)} {verb}, and would be in the image for everybody to read"
    hint = "leave it out with a line in .kubeignore, and let the cluster provide it"
    written = copied.instruction.sources
    index = written.index(found[0]) if found[0] in written else len(written)
    yield Diagnostic(Advice.COPIED_SECRET.code, message, _place_of_source(copied, index), hint, "warning")


def _strays(copied: Copied) -> Iterator[Diagnostic]:
    """YAML that names images, where no build looks for them."""
    try:
        strays = find_strays(ContextFiles(copied.entries), Search())
    except KubeimageError:
        # It cannot be read; the build says so.
        return
    if not strays:
        return
    images = {str(image) for found in strays.values() for image in found}
    what = f"{len(images)} image{'' if len(images) == 1 else 's'} named by {_listed(sorted(strays))}"
    message = f"{what} will be left behind: images are looked for in manifests/ and charts/"
    hint = "copy it into manifests, or build with --discover DIR"
    yield Diagnostic(Advice.IMAGES_LEFT_BEHIND.code, message, copied.step.location, hint, "warning")


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(map(cut, names[:_MOST_NAMES])) + (f" and {more} more" if more > 0 else "")
