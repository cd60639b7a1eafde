"""Is what several processes saw what they would have seen one after the other?

An operation happens in one moment between its beginning and its end, or in several: a build finds its base in one, and
names its image in another. A history is good if there is an order of all moments in which each comes to what was seen.
Source: M. Herlihy and J. Wing, "Linearizability: a correctness condition for concurrent objects", 1990.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Names = Mapping[str, str]
"""Which image each name has."""

Moment = Callable[[Names], Names | None]
"""Gives the names afterwards; None where what was seen cannot come from the names before."""


class Seen(NamedTuple):
    """An operation that was seen. Shape: operations of one process don't overlap; so do ``began`` and ``ended`` say."""

    what: object
    moments: Sequence[Moment]
    began: int
    ended: int


def find_order(history: Sequence[Seen], before: Names, after: Names) -> list[object] | None:
    """Return operations in an order, each as often as it has moments, that leads from ``before`` to ``after``."""
    dead_ends: set[tuple[tuple[int, ...], frozenset[tuple[str, str]]]] = set()

    def search(done: tuple[int, ...], names: Names) -> list[object] | None:
        if all(count == len(seen.moments) for count, seen in zip(done, history, strict=True)):
            return [] if names == after else None
        state = done, frozenset(names.items())
        if state in dead_ends:
            return None
        for number in _next(history, done):
            following = history[number].moments[done[number]](names)
            if following is not None:
                rest = search((*done[:number], done[number] + 1, *done[number + 1 :]), following)
                if rest is not None:
                    return [history[number].what, *rest]
        dead_ends.add(state)
        return None

    return search((0,) * len(history), before)


def _next(history: Sequence[Seen], done: Sequence[int]) -> list[int]:
    """Return the operations whose next moment may come now: all that ended before they began are over."""
    open_ = [number for number, seen in enumerate(history) if done[number] < len(seen.moments)]
    first_end = min(history[number].ended for number in open_)
    return [number for number in open_ if history[number].began <= first_end]
