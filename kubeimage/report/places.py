"""A file as a report names it, and what tells one finding from another, run after run."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator

from kubeimage.errors import Diagnostic


def relative_to(root: str, file: str) -> str:
    """Return ``file`` as seen from the absolute path ``root``, with ``/``; what lies outside stays absolute."""
    path = os.path.normpath(os.path.join(root, file))
    inside = os.path.relpath(path, root)
    return path if inside.startswith("..") else inside


def with_fingerprints(root: str, diagnostics: Iterable[Diagnostic]) -> Iterator[tuple[Diagnostic, str]]:
    """Yield each finding with a digest (64 hex digits) of its code, its file and the text of its line.

    A line that moves keeps its digests. Findings that are alike in all of that are told apart by their order.
    """
    seen: Counter[tuple[str, ...]] = Counter()
    for one in diagnostics:
        place = one.location
        # A line that is not told, as that of a secret is not, leaves the message.
        said = (place.text.strip() or one.message) if place else one.message
        facts = (one.code, relative_to(root, place.file) if place else "", said)
        seen[facts] += 1
        framed = "\0".join((*facts, str(seen[facts])))
        yield one, hashlib.sha256(framed.encode("utf-8", "backslashreplace")).hexdigest()
