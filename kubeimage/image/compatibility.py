"""By which rules an image was made: the dialect of its Kubefile, and the compatibility version.

A build is a pure function of its inputs and of the compatibility version. So an image id changes only where a Kubefile,
its context or its base change, or where this number does.

Source: decision 024; BuildKit, which marks its own history entries as ``buildkit.dockerfile.v0``.
"""

from __future__ import annotations

import re
from typing import Literal

COMPATIBILITY = 3
"""Raised with each change that moves the id of any image. The changelog says what has changed."""

Dialect = Literal["sealer", "sealer-0.9", "sealos"]
DIALECTS: tuple[Dialect, ...] = ("sealer", "sealer-0.9", "sealos")
DEFAULT_DIALECT: Dialect = "sealer"

_MARK = r"kubeimage\.(?P<dialect>[a-z0-9.-]+)\.v(?P<version>[0-9]{1,9})"


def history_comment(dialect: Dialect) -> str:
    """Return the comment of a history entry that was made by today's rules.

    >>> history_comment("sealer")
    'kubeimage.sealer.v3'
    """
    return f"kubeimage.{dialect}.v{COMPATIBILITY}"


def read_comment(comment: str) -> tuple[str, int] | None:
    """Return the dialect and the compatibility version that a history entry names; None for one of another tool."""
    found = re.fullmatch(_MARK, comment)
    return (found["dialect"], int(found["version"])) if found else None
