"""``manifests/imageList``: one image a line; comments, blanks and repeats are welcome anywhere."""

from __future__ import annotations

import re

from kubeimage.discovery.findings import Findings, Found, Notebook, Place, Skipped
from kubeimage.discovery.references import read_name

RULE = "image list"
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_DASH = re.compile(r"^-\s+")


def find_in_list(text: str, file: str) -> Findings:
    """Read an image list: names may be quoted, or items of a YAML list."""
    notes, seen = Notebook(), set[str]()
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        name = _DASH.sub("", _COMMENT.sub("", line).strip()).strip().strip("\"'").strip()
        if not name or name in seen or name == "---":
            continue
        seen.add(name)
        place = Place(file, path=f"line {number}")
        image = read_name(name, certain=True)
        if isinstance(image, str):
            notes.skipped.append(Skipped(name, place, image))
        else:
            notes.found.append(Found(image, place, RULE))
    return notes.close()
