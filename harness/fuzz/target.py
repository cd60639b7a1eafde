"""What is fuzzed: cases, what must hold for each, and how a case is written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # Importing Hypothesis imports kubeimage, which must be instrumented first.
    from hypothesis.strategies import SearchStrategy

NAMES = ("parser", "executor", "layers", "store", "dockerfile", "dialects")


@dataclass(frozen=True)
class Target:
    """A part of kubeimage with its cases.

    Shape: ``check`` raises whatever it likes for a case that shows a bug. ``load`` reads what ``dump`` wrote. ``show``
           gives a case as what can be pasted into a test.
    """

    name: str
    cases: SearchStrategy[Any]
    check: Callable[[Any], None]
    dump: Callable[[Any], bytes]
    load: Callable[[bytes], Any]
    show: Callable[[Any], str] = repr


def find_target(name: str) -> Target:
    """Return one of `NAMES`; only its modules are imported."""
    target = import_module(f"harness.fuzz.{name}").TARGET
    assert isinstance(target, Target)
    return target
