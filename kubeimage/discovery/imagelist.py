"""Image lists: one image a line; comments, blanks and repeats are welcome anywhere.

    manifests/imageList       sealer's; also beside manifests/, at the root
    images/shim/**            sealos's: files of any name
    images/skopeo/tar.txt     sealos's: ``docker-archive:FILE@NAME``, images that lie in archives beside it

Source: sealer v0.8, build/layerutils; sealos v5, pkg/buildah/imagesaver.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from kubeimage.discovery.findings import Findings, Found, Notebook, Place, Skipped, Unreadable
from kubeimage.discovery.names import TEMPLATE, suggest
from kubeimage.discovery.references import has_template, read_name
from kubeimage.image.reference import Reference

RULE = "image list"
ARCHIVE_RULE = "archive list"
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_DASH = re.compile(r"^-\s+")
_ARCHIVE = re.compile(r"(?:docker|oci)-archive:(?P<path>[^@]*)@")


def find_in_list(text: str, file: str) -> Findings:
    """Read an image list: names may be quoted, or items of a YAML list. A line that is no name is unreadable."""
    return _read(text, file, RULE)


def find_in_archive_list(text: str, file: str) -> Findings:
    """Read a list of archives: each line says under which name the archive's image is wanted."""
    return _read(text, file, ARCHIVE_RULE)


class ArchivedImage(NamedTuple):
    """A line of a list of archives: the archive's path beside the list, and the name of its image.

    Units: ``line`` counts from 1.
    """

    path: str
    image: Reference
    line: int


def archived_images(text: str) -> Iterator[ArchivedImage]:
    """Yield the lines of a list of archives that can be read."""
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        plain = _plain(line)
        found = _ARCHIVE.match(plain)
        image = read_name(plain[found.end() :], certain=True) if found is not None else ""
        if found is not None and not isinstance(image, str):
            yield ArchivedImage(found["path"], image, number)


def _plain(line: str) -> str:
    """Return a line without its comment, dash and quotes."""
    return _DASH.sub("", _COMMENT.sub("", line).strip()).strip().strip("\"'").strip()


def _read(text: str, file: str, rule: str) -> Findings:
    notes, seen = Notebook(), set[str]()
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        name = _plain(line)
        if rule == ARCHIVE_RULE:
            name = _ARCHIVE.sub("", name, count=1)
        if not name or name in seen or name == "---":
            continue
        seen.add(name)
        place = Place(file, path=f"line {number}")
        image = read_name(name, certain=True)
        if not isinstance(image, str):
            notes.found.append(Found(image, place, rule))
        elif has_template(name):
            notes.skipped.append(Skipped(name, place, TEMPLATE))
        else:
            notes.unreadable.append(Unreadable(name, place, number, image, suggest(name)))
    return notes.close()
