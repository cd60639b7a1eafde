"""How many examples a property gets, by what one of them costs; and strategies that several properties use."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from harness.fakes.stores import MemoryLayerStore
from harness.strategies import Edit, Project, edits, projects
from kubeimage.api.backends import Backends
from kubeimage.image.digest import Digest


def _profile() -> settings:
    assert settings.default is not None
    return settings.default


def examples(factor: float) -> settings:
    """So many times the profile's number."""
    number = max(1, round(_profile().max_examples * factor))
    return settings(max_examples=number, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def machine_examples(factor: float) -> settings:
    """So many times the profile's number of machines, with as many steps as there is time for."""
    steps = 50 if _profile().max_examples > 1_000 else 15
    return settings(examples(factor), stateful_step_count=steps)


def blobs_of(backends: Backends) -> dict[Digest, bytes]:
    """The layers of backends in memory."""
    assert isinstance(backends.layers, MemoryLayerStore)
    return backends.layers.blobs


def edited_projects(**options: Any) -> st.SearchStrategy[tuple[Project, Edit]]:
    """Return a project and one change to it."""
    return projects(min_size=3, **options).flatmap(lambda project: edits(project).map(lambda edit: (project, edit)))
