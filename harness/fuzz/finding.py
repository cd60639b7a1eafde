"""What a search has found: how it is told, kept, and handed from worker to worker."""

from __future__ import annotations

import base64
import json
import os
import traceback
from dataclasses import asdict, dataclass, replace

from harness.fuzz.corpus import Corpus

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep


@dataclass(frozen=True)
class Finding:
    """A case that fails.

    Shape: ``origin`` is the type of the exception and the line that raised it, by which findings are told apart.
           ``case`` is the case as its target writes it, or the buffer where ``is_buffer``. ``trace`` and ``shown`` are
           what a person reads. ``is_small`` says that it was made as small as possible.
    """

    origin: str
    case: bytes
    is_buffer: bool = False
    is_small: bool = False
    trace: str = ""
    shown: str = ""

    def dump(self) -> bytes:
        """Return it as a document."""
        fields = asdict(self) | {"case": base64.b64encode(self.case).decode()}
        return json.dumps(fields, sort_keys=True).encode()

    @property
    def text(self) -> str:
        """What is printed of it, but for where it was saved."""
        return "\n\n".join(part for part in (self.trace, self.shown) if part)


def load_finding(data: bytes) -> Finding:
    """Read what `Finding.dump` wrote.

    Raises: ValueError for anything else.
    """
    try:
        fields = json.loads(data)
        found = Finding(**{**fields, "case": base64.b64decode(fields["case"], validate=True)})
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError("this is no finding") from error
    texts, flags = (found.origin, found.trace, found.shown), (found.is_buffer, found.is_small)
    if not (all(isinstance(one, str) for one in texts) and all(isinstance(one, bool) for one in flags)):
        raise ValueError("this is no finding")
    return found


def origin_text(error: BaseException) -> str:
    """Return what an error is told from others by: its type, and the line that raised it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} {os.path.abspath(frame.filename).removeprefix(_ROOT)}:{frame.lineno}"


def without_words(finding: Finding) -> Finding:
    """Return what a database keeps of a finding: a document of the same bytes, whoever found it."""
    return replace(finding, trace="")


def keep(finding: Finding, crashes: Corpus) -> str:
    """Save the case of a finding, and say where; what cannot be saved must be seen all the same."""
    try:
        path = crashes.keep(finding.case) if finding.is_buffer else crashes.keep_crash(finding.case)
    except OSError as error:
        return f"not saved: {error}"
    return f"saved: {path}"
