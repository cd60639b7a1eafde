"""Which Kubefile a test is about, and how it is to be built."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from harness.asking.kubefiles import kubefile_in
from harness.asking.options import Settings

MARKER = "kubefile"
_KEYWORDS = ("context", "build_args", "platform", "base")
MARKER_HELP = (
    f"{MARKER}(*paths, context=None, build_args=None, platform=None, base=None): the Kubefiles that a test is "
    "about, and how they are built; paths are relative to the test's file, else to the root of the run"
)


@dataclass(frozen=True)
class Subject:
    """A Kubefile, and what differs for it from what the run was asked for.

    Shape: paths are absolute. ``build_args`` are (key, value); ``bases`` are (name, path or ``empty``).
    """

    path: str
    context: str | None = None
    build_args: tuple[tuple[str, str], ...] = ()
    platform: str | None = None
    bases: tuple[tuple[str, str], ...] = ()


def subjects_of(definition: pytest.Item | pytest.Collector, settings: Settings) -> list[Subject]:
    """Return what a test is about: its marker's Kubefiles, else the run's, else the nearest one above the test's file.

    Raises: pytest.Collector.CollectError for a marker that cannot be followed.
    """
    if (mark := definition.get_closest_marker(MARKER)) is not None:
        return [_marked(definition, path, mark) for path in mark.args or _default(definition, settings)]
    return [Subject(path) for path in _default(definition, settings)]


def _default(definition: pytest.Item | pytest.Collector, settings: Settings) -> Iterable[str]:
    return settings.kubefiles or _nearest(str(definition.path.parent), str(definition.config.rootpath))


def _nearest(folder: str, top: str) -> list[str]:
    while True:
        if found := kubefile_in(folder):
            return [found]
        if folder in {top, os.path.dirname(folder)}:
            return []
        folder = os.path.dirname(folder)


def _marked(definition: pytest.Item | pytest.Collector, path: str, mark: pytest.Mark) -> Subject:
    unknown = [name for name in mark.kwargs if name not in _KEYWORDS]
    if unknown:
        raise pytest.Collector.CollectError(
            f"{definition.nodeid}: the marker {MARKER} takes {', '.join(_KEYWORDS)}, not {unknown[0]!r}"
        )
    settings: Mapping[str, Any] = mark.kwargs
    context = settings.get("context")
    return Subject(
        path=_find(definition, path, "Kubefile"),
        context=_find(definition, context, "context") if context is not None else None,
        build_args=_pairs(settings.get("build_args")),
        platform=str(settings["platform"]) if settings.get("platform") else None,
        bases=tuple(
            (name, value if value == "empty" else _find(definition, value, "base"))
            for name, value in _pairs(settings.get("base"))
        ),
    )


def _pairs(mapping: Mapping[str, Any] | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in (mapping or {}).items())


def _find(definition: pytest.Item | pytest.Collector, path: str | os.PathLike[str], what: str) -> str:
    """Find a path beside the test's file, else below the root of the run."""
    tried = [
        os.path.normpath(os.path.join(folder, path)) for folder in (definition.path.parent, definition.config.rootpath)
    ]
    for place in tried:
        if os.path.exists(place):
            kubefile = kubefile_in(place) if what == "Kubefile" else place
            return kubefile or place
    raise pytest.Collector.CollectError(f"{definition.nodeid}: no {what} at {' or '.join(dict.fromkeys(tried))}")
