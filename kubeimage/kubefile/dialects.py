"""Which dialect a Kubefile is read in: chosen, never guessed.

Source: the project's design, "Dialects and runners".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, get_args

from kubeimage.errors import Diagnostic, KubefileError
from kubeimage.image.compatibility import DEFAULT_DIALECT, DIALECTS, Dialect
from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.source import BLANKS, Source
from kubeimage.kubefile.statement import Problem, closest, quoted
from kubeimage.patterns import pattern

_DIRECTIVE = pattern(
    rf"[{BLANKS}]*#[{BLANKS}]*(?P<key>[A-Za-z]+)[{BLANKS}]*=[{BLANKS}]*(?P<value>[^{BLANKS}]*)[{BLANKS}]*$"
)
_DOCKER_NAMES = frozenset({"sealfile", "dockerfile", "containerfile"})
# BuildKit's own: it names a program that reads the file, and no rules of ours.
_OF_BUILDKIT = "docker/dockerfile"

# The words of each dialect, for the hint that a word belongs to another one.
SEALOS_WORDS = [
    "FROM",
    "ARG",
    "ENV",
    "LABEL",
    "COPY",
    "ADD",
    "RUN",
    "WORKDIR",
    "USER",
    "EXPOSE",
    "VOLUME",
    "STOPSIGNAL",
    "SHELL",
    "HEALTHCHECK",
    "MAINTAINER",
    "ENTRYPOINT",
    "CMD",
    "ONBUILD",
]
SEALER_09_WORDS = [
    "FROM",
    "COPY",
    "ADD",
    "ARG",
    "RUN",
    "LABEL",
    "MAINTAINER",
    "ENV",
    "APP",
    "APPCMDS",
    "APPENV",
    "CNI",
    "CSI",
    "KUBEVERSION",
    "LAUNCH",
    "CMDS",
    "CMD",
]


class Directives(NamedTuple):
    """What the comment lines at a file's head say.

    Shape: ``dialect`` is None where they say nothing of it; ``escape`` is one character.
    """

    dialect: Dialect | None = None
    escape: str = "\\"


def read_directives(source: Source) -> Directives:
    """Return what ``# syntax=`` and ``# escape=`` say in the comment lines at the head of the file.

    Raises: KubefileError for a dialect or an escape character that there is not.
    """
    dialect: Dialect | None = None
    escape = "\\"
    for number, key, value, column in _head(source):
        if key == "syntax" and dialect is None and not value.startswith(_OF_BUILDKIT):
            dialect = as_dialect(value)
            if dialect is None:
                raise _unknown(source, number, value, column)
        elif key == "escape":
            if value not in ("\\", "`"):
                message = f"# escape= takes \\ or `, found {quoted(value)}"
                raise _refused(
                    source, number, (column, value), Problem(Mistake.BAD_VALUE, message, "write one of them")
                )
            escape = value
    return Directives(dialect, escape)


def choose_dialect(file: str, directive: Dialect | None, *, asked: Dialect | None, preset: Dialect) -> Dialect:
    """Return the dialect of a file: what was ``asked`` for, else its directive, else its name's, else the ``preset``.

    >>> choose_dialect("app/Dockerfile", None, asked=None, preset="sealer")
    'sealos'
    """
    if asked is not None:
        return asked
    if directive is not None:
        return directive
    return "sealos" if file.rpartition("/")[2].lower() in _DOCKER_NAMES else preset


def as_dialect(name: str) -> Dialect | None:
    """Return the dialect that is called so, None for any other name."""
    return next((one for one in DIALECTS if one == name), None)


def other_dialect(word: str, dialect: Dialect) -> Dialect | None:
    """Return another dialect that knows the instruction ``word``; None where none does."""
    known: dict[Dialect, list[str]] = {"sealos": SEALOS_WORDS, "sealer-0.9": SEALER_09_WORDS}
    return next((one for one, words in known.items() if one != dialect and word.upper() in words), None)


def hint_of_other(word: str, dialect: Dialect) -> str | None:
    """Return the hint that names the dialect in which ``word`` is an instruction."""
    other = other_dialect(word, dialect)
    if other is None:
        return None
    return (
        f"{word.upper()} belongs to the dialect {other}: build with --dialect {other}, or start with # syntax={other}"
    )


def _head(source: Source) -> Iterator[tuple[int, str, str, int]]:
    for number, line in enumerate(source.lines, start=1):
        if not line.lstrip(BLANKS).startswith("#"):
            return
        found = _DIRECTIVE.match(line)
        if found:
            yield number, found["key"].lower(), found["value"], found.start("value")


def _unknown(source: Source, number: int, value: str, column: int) -> KubefileError:
    meant = closest(value, DIALECTS)
    asked = f" (did you mean {meant}?)" if meant else ""
    message = f"no dialect is called {quoted(value)}{asked}"
    hint = f"there are {', '.join(get_args(Dialect))}; without a directive it is {DEFAULT_DIALECT}"
    return _refused(source, number, (column, value), Problem(Mistake.UNKNOWN_DIALECT, message, hint))


def _refused(source: Source, number: int, span: tuple[int, str], problem: Problem) -> KubefileError:
    column, value = span
    location = source.span(number, number, column + 1, max(1, len(value))).location
    return KubefileError([Diagnostic(problem.mistake.code, problem.message, location, problem.hint)])
