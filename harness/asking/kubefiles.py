"""Which files are Kubefiles, and which of them a path, a folder or a glob stands for."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterable, Iterator

import pytest

PATTERNS = ("Kubefile", "kubefile", "*.Kubefile", "Kubefile.*", "Sealfile")
_NAMES = ("Kubefile", "kubefile", "Sealfile")
_OTHER_LANGUAGES = (".py", ".pyc", ".md", ".rst", ".txt", ".lock", "~")


def is_kubefile_name(name: str) -> bool:
    """Whether a file is called as Kubefiles are: ``Kubefile``, ``app.Kubefile``, ``Kubefile.app``, ``Sealfile`` …"""
    return not name.endswith(_OTHER_LANGUAGES) and any(fnmatch.fnmatchcase(name, pattern) for pattern in PATTERNS)


def find_kubefiles(named: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the files that ``named`` (each as it was written, and its absolute path) stands for, each once.

    Raises: pytest.UsageError where one stands for nothing.
    """
    return tuple(dict.fromkeys(path for text, absolute in named for path in _expand(text, absolute)))


def kubefile_in(folder: str) -> str | None:
    """Return the Kubefile of a project's folder, None if it has none."""
    for name in _NAMES:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return path
    return None


def _expand(text: str, path: str) -> list[str]:
    if os.path.isdir(path):
        found = sorted(_below(path))
        if not found:
            raise pytest.UsageError(f"--kubefile={text}: no Kubefile in this folder or below it")
        return found
    if os.path.lexists(path):
        return [path]
    found = sorted(_matches(path))
    if not found:
        what = "nothing matches" if glob.has_magic(text) else f"{path} does not exist{_suggestion(path)}"
        raise pytest.UsageError(f"--kubefile={text}: {what}")
    return found


def _matches(pattern: str) -> Iterator[str]:
    for path in glob.iglob(pattern, recursive=True):
        if os.path.isfile(path):
            yield path
        elif kubefile := kubefile_in(path):
            yield kubefile


def _below(folder: str) -> Iterator[str]:
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (os.path.join(path, name) for name in names if is_kubefile_name(name))


def _suggestion(path: str) -> str:
    import difflib

    folder, name = os.path.split(path)
    try:
        names = os.listdir(folder)
    except OSError:
        return ""
    near = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {near[0]}?)" if near else ""
