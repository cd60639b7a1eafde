"""How the Kubefiles that an option names get among the test paths, so that pytest collects each of them once."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest


@dataclass
class Openings:
    """The folders that pytest would not go into (see ``norecursedirs``), with a named Kubefile in them.

    Shape: absolute paths. ``ways`` are ``folders``, those below on the way to a Kubefile, and the Kubefiles.
    """

    folders: set[str] = field(default_factory=set)
    ways: set[str] = field(default_factory=set)

    def ignores(self, path: str) -> bool | None:
        """Whether pytest is to pass over ``path``; None where that is for others to say.

        Of a folder that is opened for a Kubefile, nothing else is collected.
        """
        if not self.folders:
            return None
        if path in self.ways:
            return False
        return True if any(path.startswith(folder + os.sep) for folder in self.folders) else None

    def add(self, start: str, path: str, closed: Iterable[str]) -> None:
        """Open what is closed between the test path ``start`` and the Kubefile ``path`` below it."""
        way = list(_between(start, path))
        names = [os.path.basename(folder) for folder in way]
        first = next(
            (at for at, name in enumerate(names) if any(fnmatch.fnmatchcase(name, one) for one in closed)), None
        )
        if first is not None:
            self.folders.add(way[first])
            self.ways.update(way[first:], [path])


def add_kubefiles(config: pytest.Config, kubefiles: tuple[str, ...], *, only: bool) -> Openings:
    """Put ``kubefiles`` among the test paths, or ``only`` them, and say which folders must be opened for them.

    One that lies below a test path is not added: pytest before 9 would collect it twice, later ones drop it.
    Raises: pytest.UsageError for one that cannot be a test path.
    """
    here = str(config.invocation_params.dir)
    tests = [] if only else config.args
    given = [os.path.normpath(os.path.join(here, argument)) for argument in tests if "::" not in argument]
    openings, added = Openings(), []
    for path in kubefiles:
        above = [start for start in given if path == start or path.startswith(start.rstrip(os.sep) + os.sep)]
        for start in above:
            openings.add(start, path, config.getini("norecursedirs"))
        if not above:
            if "[" in path:
                # In a test path it begins the values that a test is run with.
                raise pytest.UsageError(
                    f"--kubefile: pytest takes no path with a [ in it: {path}; rename it, or give a folder above it "
                    "as a test path"
                )
            added.append(path)
    config.args[:] = [*tests, *added]
    return openings


def _between(start: str, path: str) -> Iterator[str]:
    """Give the folders below ``start`` on the way to ``path``."""
    folder = start
    for name in os.path.relpath(path, start).split(os.sep)[:-1]:
        folder = os.path.join(folder, name)
        yield folder
