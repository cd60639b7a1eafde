"""How a lock and a project differ: each difference by the name of what differs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from kubeimage.image.platform import Platform
from kubeimage.lock.lockfile import Entry, Lock, LockedChart, LockedImage

Kind = Literal["platform", "base", "image", "chart", "url"]
What = Literal["new", "unused", "changed"]

_LISTS: tuple[tuple[Kind, str], ...] = (
    ("base", "bases"),
    ("image", "images"),
    ("chart", "charts"),
    ("url", "urls"),
)


class Drift(NamedTuple):
    """One difference.

    Shape: ``what`` is ``new`` for what the project names and the lock lacks, ``unused`` for the reverse. ``locked``
           and ``found`` say what the lock has and what is there, where ``what`` is ``changed``.
    """

    kind: Kind
    name: str
    what: What
    locked: str = ""
    found: str = ""

    def __str__(self) -> str:
        match self.what:
            case "new":
                return f"the {self.kind} {self.name} is not in the lock"
            case "unused":
                return f"the {self.kind} {self.name} is in the lock, and nothing names it"
            case "changed":
                return f"the {self.kind} {self.name} has changed: {self.locked} in the lock, {self.found} now"


def compare_locks(locked: Lock, found: Lock) -> tuple[Drift, ...]:
    """Return how a project, as it was ``found``, differs from what is ``locked``, in a lock's order."""
    drifts = [Drift("platform", str(one), "new") for one in _without(found.platforms, locked.platforms)]
    drifts += [Drift("platform", str(one), "unused") for one in _without(locked.platforms, found.platforms)]
    for kind, name in _LISTS:
        drifts += compare_entries(kind, getattr(locked, name), getattr(found, name))
    return tuple(drifts)


def compare_entries(kind: Kind, locked: Iterable[Entry], found: Iterable[Entry]) -> list[Drift]:
    """Return how entries of one kind differ, sorted by their names."""
    before, now = {one.key: one for one in locked}, {one.key: one for one in found}
    drifts = []
    for key in sorted(before.keys() | now.keys()):
        if key not in before:
            drifts.append(Drift(kind, key, "new"))
        elif key not in now:
            drifts.append(Drift(kind, key, "unused"))
        elif before[key] != now[key]:
            drifts.append(Drift(kind, key, "changed", *_describe(before[key], now[key])))
    return drifts


def compare_names(kind: Kind, locked: Iterable[Entry], named: Iterable[str]) -> list[Drift]:
    """Return which names the lock lacks, and which it has for nothing."""
    before, now = {one.key for one in locked}, set(named)
    return [Drift(kind, one, "unused" if one in before else "new") for one in sorted(before ^ now)]


def _describe(old: Entry, new: Entry) -> tuple[str, str]:
    """Return what differs between two entries of one name, as each has it."""
    if old.digest != new.digest:
        return _say(old), _say(new)
    if isinstance(old, LockedImage) and isinstance(new, LockedImage) and old.platforms != new.platforms:
        differing = [one for one in sorted({*old.platforms, *new.platforms}) if _differs(old, new, one)]
        return _manifests(old, differing), _manifests(new, differing)
    return _for_whom(old), _for_whom(new)


def _say(entry: Entry) -> str:
    return f"{entry.name} {entry.version} {entry.digest}" if isinstance(entry, LockedChart) else str(entry.digest)


def _differs(old: LockedImage, new: LockedImage, platform: Platform) -> bool:
    return old.platforms.get(platform) != new.platforms.get(platform)


def _manifests(entry: LockedImage, platforms: Sequence[Platform]) -> str:
    return ", ".join(f"{one} {entry.platforms.get(one, 'nothing')}" for one in platforms)


def _for_whom(entry: Entry) -> str:
    named = f" {entry.name} {entry.version}" if isinstance(entry, LockedChart) else ""
    return f"for {', '.join(map(str, entry.only)) or 'all platforms'}{named}"


def _without(platforms: Sequence[Platform], others: Sequence[Platform]) -> list[Platform]:
    return [one for one in platforms if not any(one.matches(other) for other in others)]


__all__ = ["Drift", "Kind", "What", "compare_entries", "compare_locks", "compare_names"]
