"""Pull the plug: every state that a file system may be left in when the power fails in the midst of some work.

    for cut in cuts_during(folder, lambda: build(...), model="posix", limit=300):
        cut.write_to(place)
        # whatever is at `place`, the store there is whole or can be mended

What was waited for with fsync is there. Of all else some may be lost, as the ``model`` says:

- ``posix`` promises no more than POSIX does: each name, mode and piece of data that was not synced is there or not,
  in any order; a piece of data may be torn at 512 bytes, or be zeros where its size was written first.
- ``journal`` is how ext4 and xfs behave: names and modes are written to a journal in their order, so those that are
  there are the first ones; a sync of any file takes with it all names before it. Data that nobody waited for may be
  lost, be zeros, or be torn.

Source: POSIX.1-2017, fsync; "All File Systems Are Not Created Equal" (Pillai and others, OSDI 2014).
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from harness.faults.recording import Disk, Operation, Recording, SetKind, SetName, Sync, Write, record

SECTOR = 512
_IN_VAIN = 1_000
"""So many choices in a row that lead to states that came already: there are hardly any others."""
Model = Literal["posix", "journal"]
Fate = Literal["kept", "lost", "zeros", "torn"]
"""What becomes of an operation. A write may leave its size alone (zeros), or its beginning (torn)."""


@dataclass(frozen=True)
class PowerCut:
    """A state that the disk may be left in.

    Shape: the power fails after ``step`` steps of the recording (see its ``steps``); ``fates`` are those of the
           operations, by their numbers, that are not as they should be.
    """

    step: int
    disk: Disk
    fates: tuple[tuple[int, Fate], ...]
    recording: Recording

    @property
    def is_done(self) -> bool:
        """Whether the work had ended, so that what it promised must be there."""
        return self.step == len(self.recording.steps)

    def write_to(self, place: Path) -> None:
        """Make the folder as it is in this state; what is at ``place`` already goes."""
        if place.is_dir():
            shutil.rmtree(place)
        self.disk.write_to(place)

    def __str__(self) -> str:
        last = self.recording.steps[self.step - 1] if self.step else "nothing"
        lines = [f"the power fails after step {self.step}: {last}"]
        lines += [f"{fate}: {_shown(self.recording.operations[number])}" for number, fate in self.fates]
        return "\n  ".join(lines)


def cuts_during(
    folder: Path, work: Callable[[], object], *, model: Model = "posix", limit: int | None = None, seed: int = 0
) -> Iterator[PowerCut]:
    """Do ``work``, which writes below ``folder``, and make the states that power cuts in its midst may leave.

    Raises: what ``work`` raises.
    """
    yield from power_cuts(record(folder, work), model=model, limit=limit, seed=seed)


def power_cuts(recording: Recording, *, model: Model, limit: int | None = None, seed: int = 0) -> Iterator[PowerCut]:
    """Make the states that power cuts may leave, each once.

    Shape: those where all that was not synced is kept or lost, alone or together, come for each step; up to ``limit``
           (None: no more than those) others are drawn at random, always the same ones for a ``seed``. With a smaller
           ``limit`` the most telling of them come.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    systematic = [
        (step, fates) for step in range(len(recording.steps) + 1) for fates in _systematic(recording, step, model)
    ]
    if limit is not None and limit < len(systematic):
        systematic = _most_telling_first(systematic, recording, chance)
    seen: set[tuple[bool, str]] = set()
    in_vain = 0
    for number, (step, fates) in enumerate(_and_more(systematic, recording, model, limit, chance)):
        cut = PowerCut(step, _state(recording, step, fates), tuple(sorted(fates.items())), recording)
        state = cut.is_done, _fingerprint(cut.disk)
        in_vain += number >= len(systematic)
        if state not in seen:
            in_vain = 0
            seen.add(state)
            yield cut
        if len(seen) == limit or in_vain > _IN_VAIN:
            return


Fates = dict[int, Fate]
Choice = tuple[int, Fates]


def _and_more(
    systematic: list[Choice], recording: Recording, model: Model, limit: int | None, chance: random.Random
) -> Iterator[Choice]:
    yield from systematic
    pending = [_unsynced(recording, step, model) for step in range(len(recording.steps) + 1)]
    while limit is not None:
        step = chance.randint(0, len(recording.steps))
        yield step, _by_chance(recording, step, pending[step], model, chance)


def _most_telling_first(choices: list[Choice], recording: Recording, chance: random.Random) -> list[Choice]:
    """Order choices in turn of four sorts: at the end, with a mark, with a new name, at other steps.

    At the end nothing may be lost at all. A mark says that what it stands on is on the disk, and a name shows what it
    leads to: then data is lost, and the mark or the name is not. Of each sort those come first that lose most.
    """
    marks = {one.step + 1 for one in recording.operations if isinstance(one, SetKind) and one.kind.marked}
    names = {one.step + 1 for one in recording.operations if isinstance(one, SetName) and one.inode is not None}
    sorts: tuple[list[Choice], ...] = ([], [], [], [])
    chance.shuffle(choices)
    for choice in sorted(choices, key=lambda choice: -len(choice[1])):
        step, fates = choice
        only_data = bool(fates) and all(isinstance(recording.operations[number], Write) for number in fates)
        is_end = step == len(recording.steps)
        with_name = only_data and step in names
        sorts[0 if is_end else 1 if only_data and step in marks else 2 if with_name else 3].append(choice)
    return [choice for four in zip_longest(*sorts) for choice in four if choice is not None]


def _unsynced(recording: Recording, step: int, model: Model) -> list[int]:
    """Return the numbers of the operations up to ``step`` that nobody waited for."""
    pending: list[int] = []
    for number, operation in enumerate(recording.operations):
        if operation.step >= step:
            break
        if isinstance(operation, Sync):
            pending = [one for one in pending if not _is_settled(recording.operations[one], operation, model)]
        else:
            pending.append(number)
    return pending


def _is_settled(operation: Operation, sync: Sync, model: Model) -> bool:
    match operation:
        case Write(inode=inode):
            return inode == sync.inode
        case SetKind(inode=inode):
            return model == "journal" or inode == sync.inode
        case SetName(folder=folder):
            return model == "journal" or folder == sync.inode
        case _:
            return True


def _systematic(recording: Recording, step: int, model: Model) -> Iterator[Fates]:
    pending = _unsynced(recording, step, model)
    writes = [number for number in pending if isinstance(recording.operations[number], Write)]
    others = [number for number in pending if number not in writes]
    yield {}
    yield dict.fromkeys(pending, "lost")
    for fate in _fates_of_data():
        yield dict.fromkeys(writes, fate)
        yield from ({number: fate} for number in writes)
    yield from _losses(recording, others, writes, model)


def _losses(recording: Recording, others: list[int], writes: list[int], model: Model) -> Iterator[Fates]:
    """Lose names and modes: one of them or all but one; in a journal all from one on."""
    if model == "posix":
        yield dict.fromkeys(others, "lost")
        for number in others:
            yield {number: "lost"}
            yield dict.fromkeys([one for one in others if one != number], "lost")
            yield dict.fromkeys([one for one in [*others, *writes] if one != number], "lost")
        return
    steps = sorted({recording.operations[number].step for number in others})
    for first in steps:
        lost: Fates = dict.fromkeys([one for one in others if recording.operations[one].step >= first], "lost")
        yield lost
        yield from (lost | dict.fromkeys(writes, fate) for fate in _fates_of_data())


def _by_chance(recording: Recording, step: int, pending: list[int], model: Model, chance: random.Random) -> Fates:
    fates: Fates = {}
    last = chance.randint(0, step)
    for number in pending:
        operation = recording.operations[number]
        if isinstance(operation, Write):
            fates[number] = chance.choice(("kept", "lost", "zeros", "torn"))
        elif model == "posix":
            fates[number] = chance.choice(("kept", "lost"))
        else:
            fates[number] = "kept" if operation.step < last else "lost"
    return {number: fate for number, fate in fates.items() if fate != "kept"}


def _fates_of_data() -> tuple[Fate, ...]:
    return ("lost", "zeros", "torn")


def _state(recording: Recording, step: int, fates: Fates) -> Disk:
    disk = recording.before.copy()
    for number, operation in enumerate(recording.operations):
        if operation.step >= step:
            break
        disk.apply(_suffered(operation, fates.get(number, "kept"), disk))
    return disk


def _suffered(operation: Operation, fate: Fate, disk: Disk) -> Operation:
    """Return what is left of an operation."""
    if fate == "kept" or isinstance(operation, Sync):
        return operation
    match operation:
        case Write(step=step, inode=inode, offset=offset, data=data, size=size):
            if fate == "zeros":
                return Write(step, inode, offset, b"", size)
            if fate == "torn":
                kept = data[: _torn(offset, len(data))]
                return Write(step, inode, offset, kept, offset + len(kept))
            return Sync(step, inode)
        case SetKind(step=step, inode=inode):
            known = disk.kinds.get(inode)
            # A file that has a name has some mode: the one that it was made with.
            return Sync(step, inode) if known is not None else operation
        case _:
            return Sync(operation.step, operation.folder)


def _torn(offset: int, length: int) -> int:
    """Return how many bytes of a piece are there when it is torn in its middle, at the end of a sector.

    ``_torn(0, 2000) == 512``, ``_torn(100, 2000) == 924``; a piece within one sector is there or not: 0.
    """
    middle = (offset + length // 2) // SECTOR * SECTOR
    return max(0, middle - offset)


def _fingerprint(disk: Disk) -> str:
    return "\n".join(_listing(disk, 0, ""))


def _listing(disk: Disk, inode: int, path: str) -> Iterable[str]:
    yield f"{path} {disk.kinds[inode]} {hash(disk.contents.get(inode, b''))}"
    for name, child in sorted(disk.names.get(inode, {}).items()):
        yield from _listing(disk, child, f"{path}/{name}")


def _shown(operation: Operation) -> str:
    match operation:
        case Write(inode=inode, offset=offset, data=data):
            return f"{len(data)} bytes from {offset} of file {inode}"
        case SetName(folder=folder, name=name, inode=inode):
            return f"{name} in folder {folder} -> {'nothing' if inode is None else f'file {inode}'}"
        case _:
            return str(operation)


__all__ = ["Model", "PowerCut", "cuts_during", "power_cuts"]
