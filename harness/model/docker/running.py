"""RUN: what a command is given, written down in the image.

No program of an image is run: a stand-in writes what it was asked for into a file, and the model says what that is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from harness.model.docker.owned import Owner

RAN = "ran"
"""The file that all RUNs write to."""


def describe_run(words: Sequence[str], variables: Mapping[str, str], folder: str, user: Owner) -> bytes:
    """Return the line that one RUN adds to the file."""
    return json.dumps([list(words), dict(sorted(variables.items())), folder, list(user)]).encode() + b"\n"
