"""Hypothesis's entry point: with kubeimage installed, ``st.from_type(Kubefile)`` works.

Hypothesis loads this module whenever it is imported, so the strategies are imported when they are first used.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from kubeimage.entries import claim
from kubeimage.kubefile import Kubefile


def _kubefiles(_type: type[Kubefile]) -> SearchStrategy[Kubefile]:
    claim()
    from harness.strategies import kubefiles

    return kubefiles()


st.register_type_strategy(Kubefile, _kubefiles)
