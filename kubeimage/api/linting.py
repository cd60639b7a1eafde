"""Checking Kubefiles without building: which files are meant, and all that is wrong or unwise in them."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from kubeimage import errors
from kubeimage.api.building import KUBEFILE_NAMES, BuildOptions
from kubeimage.disk.smallfile import read_small
from kubeimage.errors import Diagnostic, UsageError
from kubeimage.kubefile import CODES
from kubeimage.kubefile.codes import Advice
from kubeimage.kubefile.ignores import is_ignorable
from kubeimage.lint import lint_bytes, lint_kubefile

KUBEFILE_PATTERNS = (*KUBEFILE_NAMES, "*.Kubefile", "Kubefile.*")
_OTHER_LANGUAGES = (".py", ".pyc", ".md", ".rst", ".txt", ".lock", "~")


class Linted(NamedTuple):
    """What is to be said of one Kubefile."""

    path: str
    diagnostics: tuple[Diagnostic, ...]


def lint_paths(
    paths: Iterable[str],
    *,
    context: str | None = None,
    options: BuildOptions | None = None,
    allow: Collection[str] = (),
) -> Iterator[Linted]:
    """Yield what is wrong or unwise in each of the Kubefiles that ``paths`` stand for, without building one.

    Shape:  a folder stands for all Kubefiles in it and below. The folder of a Kubefile is its build context, unless
            ``context`` names another. ``allow`` are codes that are not told.
    Raises: UsageError for a path that is not there, for a code that nobody may silence; BuildArgError.
    """
    check_allowed(allow)
    for path in find_kubefiles(paths):
        folder = os.path.dirname(path) or "."
        data = _read(path)
        yield Linted(
            path,
            lint_bytes(data, file=path, context=folder if context is None else context, options=options, allow=allow),
        )


def find_kubefiles(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the Kubefiles that ``paths`` stand for, each once.

    Raises: UsageError for a path that is not there, or a folder without any.
    """
    return tuple(dict.fromkeys(found for path in paths for found in _expand(path)))


def check_allowed(codes: Collection[str]) -> None:
    """Find out whether people may silence ``codes``.

    Raises: UsageError that says which codes there are.
    """
    for code in codes:
        if is_ignorable(code):
            continue
        if code in CODES:
            raise UsageError(f"{code} is a mistake, which keeps the Kubefile from being built: it cannot be allowed")
        known = ", ".join(advice.code for advice in Advice)
        raise UsageError(f"there is no advice {code!r}", hint=f"the codes are {known}, and E03xx for a COPY's sources")


def meanings() -> dict[str, str]:
    """Return what each code stands for: those of the language, of advice, and of errors."""
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.KubeimageError)]
    of_errors = {one.code: (one.__doc__ or "").partition("\n")[0].rstrip(".") for one in reversed(classes)}
    return {**of_errors, **CODES}


def _expand(path: str) -> list[str]:
    if not os.path.isdir(path):
        if not os.path.lexists(path):
            raise UsageError(f"no Kubefile at {path!r}")
        return [path]
    found = sorted(_below(path))
    if not found:
        raise UsageError(f"no Kubefile in {path!r} or below it", hint="name the file itself")
    return found


def _below(folder: str) -> Iterator[str]:
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (os.path.normpath(os.path.join(path, name)) for name in names if is_kubefile_name(name))


def is_kubefile_name(name: str) -> bool:
    """Return whether a file is called as Kubefiles are: ``Kubefile``, ``app.Kubefile``, ``Kubefile.app``."""
    return not name.endswith(_OTHER_LANGUAGES) and any(fnmatch.fnmatchcase(name, one) for one in KUBEFILE_PATTERNS)


def _read(path: str) -> bytes:
    try:
        return read_small(path)
    except OSError as error:
        raise UsageError(f"cannot read the Kubefile {path!r}: {error.strerror}") from error


__all__ = ["Linted", "check_allowed", "find_kubefiles", "lint_bytes", "lint_kubefile", "lint_paths", "meanings"]
