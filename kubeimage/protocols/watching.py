"""Who watches an operation: a function that is called with each event."""

from __future__ import annotations


def ignore(_event: object) -> None:
    """Observe nothing."""
