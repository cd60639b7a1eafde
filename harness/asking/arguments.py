"""How the Kubefiles that an option names get among the test paths, so that pytest collects each of them once."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from harness.asking.kubefiles import is_kubefile_name


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


def named_below(config: pytest.Config) -> dict[str, frozenset[str]]:
    """Return the Kubefiles that stand among the test paths beside a folder above them, each with the checks named.

    pytest drops such a path from version 9 on, as it collects the folder anyway; but a Kubefile is collected because
    it is named.
    Shape: absolute paths; no checks are all of them.
    """
    here = str(config.invocation_params.dir)
    folders, files = [], dict[str, list[str]]()
    for argument in config.args:
        text, _, check = argument.partition("::")
        path = os.path.normpath(os.path.join(here, text))
        if is_kubefile_name(os.path.basename(path)) and not os.path.isdir(path):
            files.setdefault(path, []).append(check)
        elif not check:
            folders.append(path.rstrip(os.sep) + os.sep)
    return {
        path: frozenset() if "" in checks else frozenset(checks)
        for path, checks in files.items()
        if pytest.version_tuple >= (9,) and path.startswith(tuple(folders))
    }


def kubefiles_among(config: pytest.Config) -> Iterator[str]:
    """Yield the absolute paths of the Kubefiles among the test paths."""
    for argument in config.args:
        text = argument.partition("::")[0]
        if is_kubefile_name(os.path.basename(text)):
            yield os.path.normpath(os.path.join(str(config.invocation_params.dir), text))


def _between(start: str, path: str) -> Iterator[str]:
    """Yield the folders below ``start`` on the way to ``path``."""
    folder = start
    for name in os.path.relpath(path, start).split(os.sep)[:-1]:
        folder = os.path.join(folder, name)
        yield folder
