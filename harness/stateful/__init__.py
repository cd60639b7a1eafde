"""Hypothesis state machines: many builds on one store, in any order, with trouble in between.

    TestMine = ExecutorMachine.over(lambda: DiskPlace("overlay")).TestCase

After each step the store is whole, nothing is mounted, nothing is left in ``ingest/``, and every image is what the
model says.
"""

from harness.stateful.dialects import DialectMachine
from harness.stateful.executor import ExecutorMachine
from harness.stateful.places import DiskPlace, FakeFilesPlace, MachinePlace, MemoryPlace
from harness.stateful.stores import StoreMachine

__all__ = [
    "DialectMachine",
    "DiskPlace",
    "ExecutorMachine",
    "FakeFilesPlace",
    "MachinePlace",
    "MemoryPlace",
    "StoreMachine",
]
