"""What Hypothesis's statistics and observations say of a case: layers, whiteouts, cache hits, dialects.

`pytest --hypothesis-show-statistics` prints them; tools that read Hypothesis's observations draw them.
"""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import currently_in_test_context, event

from harness.model.tree import WHITEOUT, Layer, name_of


def say(what: str, value: str | int) -> None:
    """Say one thing of the case; outside of Hypothesis's tests nothing."""
    if currently_in_test_context():
        event(what, value)


def say_layers(layers: Iterable[Layer]) -> None:
    """Say how many layers a case has, and how many whiteouts are in them."""
    known = list(layers)
    say("layers", len(known))
    say("whiteouts", count_whiteouts(known))


def count_whiteouts(layers: Iterable[Layer]) -> int:
    """Return how many whiteouts are in some layers."""
    return sum(_is_whiteout(path) for layer in layers for path in layer)


def _is_whiteout(path: str) -> bool:
    return WHITEOUT in path and name_of(path).startswith(WHITEOUT)
