"""Files that CMD names and that nothing brings.

What a RUN may make, a base image may hold or a shell may compute is nobody's mistake: without evidence there is no
advice. Evidence is a base without files, or a file of nearly that name.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from kubeimage.builder.plan import SCRATCH
from kubeimage.errors import Diagnostic
from kubeimage.kubefile import Cmd, Run
from kubeimage.kubefile.codes import Advice
from kubeimage.kubefile.source import Span
from kubeimage.kubefile.statement import quoted
from kubeimage.lint.project import Project

_FILE_OPTIONS = {
    "kubectl": ("-f", "--filename", "-k", "--kustomize"),
    "helm": ("-f", "--values"),
}
_CHART = re.compile(r"(?:\./)?charts/.")
# What a shell or a template computes, what is no relative path, and standard input.
_UNKNOWABLE = re.compile(r"[$`*?\[\]{}()<>|&;~%@\\]|^/|://|^-|^$")
_SEPARATORS = re.compile(r"&&|\|\||[;|&\n]")
_HARMLESS_PROGRAMS = frozenset({"chmod", "chown", "chgrp", "sed", "rm", "rmdir", "test", "[", "true", ":", "echo"})
_REDIRECTION = re.compile(r"[>`]|\$\(|<\(")
_NEAR = 0.75


def about_commands(project: Project) -> Iterator[Diagnostic]:
    """Yield what is to be said of the files that CMDs name."""
    commands = [one for one in project.kubefile.instructions if isinstance(one, Cmd)]
    if not commands or not project.is_whole or _runs_make_files(project):
        return
    brought = _paths(project)
    everything = project.kubefile.base.name == SCRATCH
    for instruction in commands:
        for command in instruction.commands:
            for name in files_named(command):
                path = posixpath.normpath(name)
                if path in brought or path == ".":
                    continue
                near = _near(path, brought)
                if near or everything:
                    yield _missing(name, near, instruction.span)


def files_named(command: str) -> Iterator[str]:
    """Yield the files of the image that ``command`` gives to kubectl or helm, as far as they stand there in letters."""
    if re.search(r"(?:^|[;&|\s])(?:cd|pushd)\s", command):
        return
    for part in _SEPARATORS.split(command):
        words = _words(part)
        program = posixpath.basename(words[0]) if words else ""
        options = _FILE_OPTIONS.get(program)
        if options is None:
            continue
        yield from (name for name in _values(words, options) if not _UNKNOWABLE.search(name))
        if program == "helm":
            yield from (word for word in words if _CHART.match(word) and not _UNKNOWABLE.search(word))


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        # An open quote, which a separator within quotes leaves behind too.
        return []


def _values(words: Sequence[str], options: Iterable[str]) -> Iterator[str]:
    """Yield the values of ``options``: ``-f a``, ``-fa``, ``--filename=a``, and ``-f a,b``."""
    for index, word in enumerate(words):
        for option in options:
            value = None
            if word == option:
                value = words[index + 1] if index + 1 < len(words) else None
            elif word.startswith(f"{option}="):
                value = word[len(option) + 1 :]
            elif len(option) == 2 and word.startswith(option) and not word.startswith("--"):
                value = word[2:]
            if value is not None:
                yield from value.split(",")


def _runs_make_files(project: Project) -> bool:
    return any(_makes_files(one.command) for one in project.kubefile.instructions if isinstance(one, Run))


def _makes_files(command: str) -> bool:
    """Whether a RUN may bring files with names of its own: all but a few programs may."""
    if _REDIRECTION.search(command):
        return True
    programs = [part.split()[0] for part in _SEPARATORS.split(command) if part.split()]
    return any(posixpath.basename(program) not in _HARMLESS_PROGRAMS for program in programs)


def _paths(project: Project) -> frozenset[str]:
    """Return every path that the COPYs bring, and the folders on the way."""
    paths: set[str] = set()
    for copied in project.copies:
        for entry in copied.entries:
            path = entry.path
            while path and path not in paths:
                paths.add(path)
                path = posixpath.dirname(path)
    return frozenset(paths)


def _near(path: str, brought: Iterable[str]) -> list[str]:
    """Return what ``path`` was probably meant to be: the same name elsewhere, or a like name in the same folder."""
    folder, name = posixpath.split(path)
    elsewhere = sorted(one for one in brought if posixpath.basename(one) == name)
    siblings = {
        posixpath.splitext(posixpath.basename(one))[0]: one for one in brought if posixpath.dirname(one) == folder
    }
    like = get_close_matches(posixpath.splitext(name)[0], siblings, n=2, cutoff=_NEAR)
    return [*elsewhere, *(siblings[one] for one in like)][:3]


def _missing(name: str, near: Sequence[str], span: Span) -> Diagnostic:
    message = f"CMD names {quoted(name)}, which no COPY brings"
    meant = f"did you mean {' or '.join(near)}?" if near else "copy it, or take the command away"
    place = span.search(re.compile(re.escape(name))).location
    return Diagnostic(Advice.MISSING_FILE.code, message, place, meant, "warning")
