"""The plugin's options, each of which is an ini setting as well, and what a run was asked for with them.

Nothing here imports kubeimage: a run without a Kubefile pays for none of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from harness.kubefiles import find_kubefiles

BACKENDS = ("auto", "overlay", "copy", "memory")
PULL_IMAGES = ("off", "missing", "always", "never")
EMPTY = "empty"

_IniType = Literal["string", "linelist", "bool"]


@dataclass(frozen=True)
class _Option:
    """One option. Shape: ``flag`` is its name on the command line; the ini setting has its underscored form."""

    flag: str
    help: str
    ini_type: _IniType = "string"
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.flag.removeprefix("--").replace("-", "_")


_MANY = {"action": "append"}

OPTIONS = (
    _Option(
        "--kubefile",
        "collect the checks of this Kubefile; a folder or a glob stands for every Kubefile in it. "
        "Without any test path, nothing else is collected. May be repeated",
        "linelist",
        {**_MANY, "metavar": "PATH"},
    ),
    _Option(
        "--kubefile-context",
        "the build context; without it, each Kubefile's own folder",
        extra={"metavar": "DIR"},
    ),
    _Option(
        "--kubefile-build-arg",
        "set an ARG; a bare KEY takes its value from the environment. May be repeated",
        "linelist",
        {**_MANY, "metavar": "KEY[=VALUE]"},
    ),
    _Option(
        "--kubefile-platform",
        "build for this platform, as in linux/arm64; without it, for this machine's",
        extra={"metavar": "OS/ARCH"},
    ),
    _Option(
        "--kubefile-backend",
        "what builds: overlay mounts, copies of the root filesystem, or all of it in memory, where RUN knows a small "
        "shell only. auto takes what works on this machine",
        extra={"choices": BACKENDS},
    ),
    _Option(
        "--kubefile-root",
        "build in this image store, where base images are, and keep it; without it, in a store that goes with the run",
        extra={"metavar": "DIR"},
    ),
    _Option(
        "--kubefile-base",
        "let something stand in for the base image NAME: a folder (built with its Kubefile, or copied whole if it has "
        "none), a Kubefile, a tar of a root filesystem, or the word empty. May be repeated",
        "linelist",
        {**_MANY, "metavar": "NAME=DIR|FILE|empty"},
    ),
    _Option(
        "--kubefile-pull-images",
        "pack the container images that manifests and charts name, and say when their registries are asked",
        extra={"choices": PULL_IMAGES},
    ),
    _Option(
        "--kubefile-max-layers",
        "let the check layer-limit fail above this number of layers",
        extra={"metavar": "N"},
    ),
    _Option(
        "--kubefile-skip",
        "leave out this check. May be repeated",
        "linelist",
        {**_MANY, "metavar": "CHECK"},
    ),
    _Option(
        "--kubefile-strict-lint",
        "let the check lint fail on warnings too",
        "bool",
        {"action": "store_true"},
    ),
    _Option(
        "--kubefile-save-failures",
        "keep the Kubefile, its context and the report of each check that fails in this folder",
        extra={"metavar": "DIR"},
    ),
)


def add_options(parser: pytest.Parser) -> None:
    """Tell pytest of every option and ini setting."""
    group = parser.getgroup("kubefile", "cluster images from Kubefiles")
    for option in OPTIONS:
        group.addoption(option.flag, default=None, dest=option.name, help=option.help, **option.extra)
        parser.addini(option.name, f"the same as {option.flag}", type=option.ini_type, default=None)


@dataclass(frozen=True)
class Settings:
    """What a run was asked for.

    Shape: all paths are absolute. ``kubefiles`` were named by option or setting; ``only`` says that nothing else is
           to be collected. ``bases`` are (name, path or ``empty``).
    """

    kubefiles: tuple[str, ...] = ()
    only: bool = False
    context: str | None = None
    build_args: tuple[str, ...] = ()
    platform: str | None = None
    backend: str = "auto"
    root: str | None = None
    bases: tuple[tuple[str, str], ...] = ()
    pull_images: str = "off"
    max_layers: int | None = None
    skip: frozenset[str] = frozenset()
    strict_lint: bool = False
    save_failures: str | None = None

    def command_line(self) -> list[str]:
        """Give the options that ask for the same again, but for the Kubefile."""
        pairs = [
            *(("--kubefile-build-arg", text) for text in self.build_args),
            *(("--kubefile-base", f"{name}={value}") for name, value in self.bases),
            ("--kubefile-context", self.context),
            ("--kubefile-platform", self.platform),
            ("--kubefile-backend", self.backend if self.backend != BACKENDS[0] else None),
            ("--kubefile-root", self.root),
            ("--kubefile-pull-images", self.pull_images if self.pull_images != PULL_IMAGES[0] else None),
            ("--kubefile-max-layers", None if self.max_layers is None else str(self.max_layers)),
        ]
        return [f"{flag}={value}" for flag, value in pairs if value is not None]


def read_settings(config: pytest.Config) -> Settings:
    """Read options and settings, and find the Kubefiles they name.

    Raises: pytest.UsageError that says which option is wrong, and what to do.
    """
    raw = _Raw(config)
    return Settings(
        kubefiles=find_kubefiles(raw.named("kubefile")),
        only=bool(config.getoption("kubefile")) and not _names_tests(config),
        context=raw.folder("kubefile_context"),
        build_args=tuple(raw.texts("kubefile_build_arg")),
        platform=raw.text("kubefile_platform"),
        backend=raw.choice("kubefile_backend", BACKENDS),
        root=raw.path("kubefile_root"),
        bases=tuple(raw.bases()),
        pull_images=raw.choice("kubefile_pull_images", PULL_IMAGES),
        max_layers=raw.number("kubefile_max_layers"),
        skip=frozenset(raw.texts("kubefile_skip")),
        strict_lint=bool(raw.value("kubefile_strict_lint")),
        save_failures=raw.path("kubefile_save_failures"),
    )


def _names_tests(config: pytest.Config) -> bool:
    return config.args_source is pytest.Config.ArgsSource.ARGS


class _Raw:
    """Options before settings: a path on the command line is relative to where pytest was started, one in an ini
    file to that file.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._here = str(config.invocation_params.dir)
        self._ini_folder = str(config.inipath.parent) if config.inipath else self._here

    def value(self, name: str) -> Any:
        given = self._config.getoption(name)
        return self._config.getini(name) if given is None else given

    def text(self, name: str) -> str | None:
        return self.value(name) or None

    def texts(self, name: str) -> list[str]:
        # An xdist worker gets the options twice: parsed, and to be parsed.
        return list(dict.fromkeys(self.value(name) or ()))

    def choice(self, name: str, choices: Sequence[str]) -> str:
        value = self.text(name) or choices[0]
        if value not in choices:
            raise pytest.UsageError(f"{name} = {value}: it is one of {', '.join(choices)}")
        return value

    def number(self, name: str) -> int | None:
        text = self.text(name)
        if text is None:
            return None
        if not text.isascii() or not text.isdigit():
            raise pytest.UsageError(f"{_flag(name)}={text}: it takes a number, as in {_flag(name)}=40")
        return int(text)

    def path(self, name: str) -> str | None:
        text = self.text(name)
        return self._absolute(name, text) if text else None

    def folder(self, name: str) -> str | None:
        path = self.path(name)
        if path is not None and not os.path.isdir(path):
            what = "is a file, not a folder" if os.path.exists(path) else "does not exist"
            raise pytest.UsageError(f"{_flag(name)}={self.text(name)}: {path} {what}")
        return path

    def named(self, name: str) -> Iterable[tuple[str, str]]:
        """Give what was named, with its absolute path."""
        return [(text, self._absolute(name, text)) for text in self.texts(name)]

    def bases(self) -> Iterable[tuple[str, str]]:
        for text in self.texts("kubefile_base"):
            name, equals, value = text.partition("=")
            if not (name and equals and value):
                raise pytest.UsageError(f"--kubefile-base={text}: write it as NAME=DIR, NAME=FILE or NAME={EMPTY}")
            path = value if value == EMPTY else self._absolute("kubefile_base", value)
            if path != EMPTY and not os.path.exists(path):
                raise pytest.UsageError(f"--kubefile-base={text}: {path} does not exist")
            yield name, path

    def _absolute(self, name: str, text: str) -> str:
        start = self._ini_folder if self._config.getoption(name) is None else self._here
        return os.path.normpath(os.path.join(start, os.path.expanduser(text)))


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
