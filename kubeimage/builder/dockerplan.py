"""A Kubefile after Docker's rules, resolved: what its steps need, and what the image says of itself.

Variables are expanded where they stand: with the ARGs and ENVs above, and in one line with what was known before it.

Source: moby's Dockerfile reference; the project's design, "Dialects and runners"; buildah 1.28, tried.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from kubeimage.builder.metadata import Metadata
from kubeimage.errors import Diagnostic, KubefileError
from kubeimage.image.config import APPLICATION, Image, ImageType
from kubeimage.image.document import Arguments, Commands
from kubeimage.image.extension import Extension, installer_type
from kubeimage.image.platform import Platform
from kubeimage.image.runtime import DEFAULT_PATH, EMPTY, Healthcheck, overlay
from kubeimage.kubefile import Arg, Cmd, Configure, Copy, From, Instruction, Kubefile, Mistake, Run
from kubeimage.kubefile.dockerfile.words import WordError, expand_word
from kubeimage.protocols.context import CopyRequest

# What a build packs lands here, so a COPY of it needs no such folder in the context.
PACKED_FOLDER = "registry"

_DEFAULT_SHELL = ("/bin/sh", "-c")
_TYPE_LABELS = ("sealos.io.type", "apps.sealos.io/type")
_CLUSTER_TYPES = ("rootfs", "patch")
_PORT = re.compile(r"(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?(?:/(?P<protocol>tcp|udp|sctp))?", re.IGNORECASE)
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
# Build arguments that need no ARG, as in Docker.
_PREDEFINED = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"})


class DockerScope(NamedTuple):
    """What is known of a Kubefile before its base is there: what FROM names."""

    kubefile: Kubefile
    base_name: str


class Inputs(NamedTuple):
    """What a build is asked for, as far as it bears on instructions.

    Units: ``mtime`` in seconds since 1970, None to keep each file's own.
    """

    build_args: Mapping[str, str]
    labels: Mapping[str, str]
    platform: Platform
    mtime: int | None
    keep_base: bool
    packs: bool


class Resolved(NamedTuple):
    """An instruction with its variables expanded.

    Shape: ``directory`` is a folder that must be there afterwards, as a path of the image.
    """

    instruction: Instruction
    copy: CopyRequest | None = None
    directory: str | None = None


class Unfolded(NamedTuple):
    """All of a Kubefile: its instructions behind FROM, what the image says of itself, and what a person should know."""

    steps: tuple[Resolved, ...]
    metadata: Metadata
    notices: tuple[str, ...]


def base_of(kubefile: Kubefile, build_args: Mapping[str, str], platform: Platform) -> str:
    """Return what FROM names.

    Raises: KubefileError for a word that cannot be expanded.
    """
    base = kubefile.base
    values = _global_arguments(kubefile, build_args, platform)
    name = _expand(base.name, values, base, kubefile.escape)
    if not name:
        raise _refused(Mistake.UNSET_ARGUMENT, base, f"FROM {base.name} names no image: what it uses has no value")
    wanted = _expand(base.platform, values, base, kubefile.escape)
    if name != "scratch" and wanted and not Platform.parse(wanted).matches(platform):
        message = f"FROM --platform={wanted} is not what is built for: {platform}"
        raise _refused(Mistake.NOT_TAKEN, base, message, "leave the flag out, or build with --platform")
    return name


def unfold(kubefile: Kubefile, base: Image | None, inputs: Inputs) -> Unfolded:
    """Resolve every instruction.

    Raises: KubefileError for the first one that cannot be.
    """
    return _Stage(kubefile, base, inputs).run()


class _Stage:
    """What is known while the instructions are gone through: the only mutable state."""

    def __init__(self, kubefile: Kubefile, base: Image | None, inputs: Inputs) -> None:
        self._kubefile = kubefile
        self._base = base
        self._inputs = inputs
        self._escape = kubefile.escape
        kept = base if base is not None and inputs.keep_base else None
        self._kept = kept
        self._config = kept.runtime if kept is not None else EMPTY
        if "PATH" not in dict(self._config.env):
            self._config = replace(self._config, env=(("PATH", DEFAULT_PATH), *self._config.env))
        if self._config.on_build:
            message = f"the base image has ONBUILD instructions, which are not taken: {self._config.on_build[0]!r}"
            raise _refused(Mistake.NOT_TAKEN, kubefile.base, message)
        self._labels = dict(base.labels) if base is not None else {}
        self._author = kept.author if kept is not None else ""
        self._globals = _global_arguments(kubefile, inputs.build_args, inputs.platform)
        self._arguments: dict[str, str] = {}
        self._has_cmd = False

    def run(self) -> Unfolded:
        instructions = self._kubefile.instructions
        behind = instructions[instructions.index(self._kubefile.base) + 1 :]
        steps = tuple(self._do(one) for one in behind)
        declared = {key for one in instructions if isinstance(one, Arg) for key, _ in one.pairs}
        unused = [key for key in self._inputs.build_args if key not in declared and key.upper() not in _PREDEFINED]
        notices = tuple(f"no ARG declares the build argument {key}, so it changes nothing" for key in unused)
        return Unfolded(steps, self._metadata(), notices)

    def _do(self, one: Instruction) -> Resolved:
        match one:
            case Arg():
                self._declare(one)
            case Copy():
                return Resolved(one, copy=self._copy(one))
            case Cmd():
                words = one.commands if not one.is_text else (*self._shell, *one.commands)
                self._config = replace(self._config, cmd=words)
                self._has_cmd = True
            case Configure() if one.keyword == "WORKDIR":
                return Resolved(one, directory=self._workdir(one))
            case Configure():
                self._configure(one)
            case Run():
                message = f"RUN is not taken in the dialect {self._kubefile.dialect}"
                hint = "run it before the build, and COPY what it makes; the dialect sealer takes RUN"
                raise _refused(Mistake.NOT_TAKEN, one, message, hint)
            case From():
                raise AssertionError("the parser lets one FROM through")
        return Resolved(one)

    @property
    def _shell(self) -> tuple[str, ...]:
        return self._config.shell or _DEFAULT_SHELL

    @property
    def _variables(self) -> dict[str, str]:
        """What a word can use: an ENV wins over an ARG of the same name."""
        return {**self._arguments, **dict(self._config.env)}

    def _text(self, word: str, one: Instruction) -> str:
        return _expand(word, self._variables, one, self._escape)

    def _declare(self, one: Arg) -> None:
        for key, default in one.pairs:
            if key in self._inputs.build_args:
                self._arguments[key] = self._inputs.build_args[key]
            elif default is not None:
                self._arguments[key] = self._text(default, one)
            elif key in self._globals:
                self._arguments[key] = self._globals[key]

    def _copy(self, one: Copy) -> CopyRequest:
        sources = tuple(self._text(source, one) for source in one.sources)
        empty = next((written for written, source in zip(one.sources, sources, strict=True) if not source), None)
        if empty is not None:
            raise _refused(Mistake.EMPTY_TEXT, one, f"the source {empty} is nothing: what it uses has no value")
        written = self._text(one.destination, one)
        if not written:
            raise _refused(Mistake.EMPTY_TEXT, one, f"the destination {one.destination} is nothing")
        destination = posixpath.normpath(posixpath.join("/", self._config.working_dir, written)).lstrip("/")
        into = written.endswith("/") or written.rpartition("/")[2] in (".", "..")
        packed = tuple(one for one in sources if posixpath.normpath("/" + one) == f"/{PACKED_FOLDER}")
        return CopyRequest(
            sources,
            destination or ".",
            chmod=one.chmod,
            mtime=self._inputs.mtime,
            by_docker=True,
            into=into,
            excludes=one.excludes,
            optional=packed if self._inputs.packs else (),
        )

    def _workdir(self, one: Configure) -> str:
        path = posixpath.normpath(posixpath.join("/", self._config.working_dir, self._text(one.words[0], one)))
        path = "/" + path.lstrip("/")
        self._config = replace(self._config, working_dir=path)
        return path.lstrip("/")

    def _configure(self, one: Configure) -> None:
        config = self._config
        words = one.words
        match one.keyword:
            case "ENV":
                self._config = replace(config, env=overlay(config.env, self._pairs(one)))
            case "LABEL":
                self._labels.update(self._pairs(one))
            case "MAINTAINER":
                self._author = words[0]
            case "USER":
                self._config = replace(config, user=self._text(words[0], one))
            case "STOPSIGNAL":
                self._config = replace(config, stop_signal=self._text(words[0], one))
            case "SHELL":
                self._config = replace(config, shell=words)
            case "ONBUILD":
                self._config = replace(config, on_build=(*config.on_build, words[0]))
            case "ENTRYPOINT":
                entrypoint = words if not one.is_text else (*self._shell, *words)
                # Docker's rule: a new ENTRYPOINT does away with the base's CMD, not with one of this file.
                self._config = replace(config, entrypoint=entrypoint, cmd=config.cmd if self._has_cmd else ())
            case "EXPOSE":
                self._config = replace(config, exposed_ports=_sorted(config.exposed_ports, self._ports(one)))
            case "VOLUME":
                volumes = [self._text(word, one) if one.is_text else word for word in words]
                self._config = replace(config, volumes=_sorted(config.volumes, volumes))
            case "HEALTHCHECK":
                self._config = replace(config, healthcheck=_healthcheck(words))

    def _pairs(self, one: Configure) -> list[tuple[str, str]]:
        variables = self._variables
        words = [_expand(word, variables, one, self._escape) for word in one.words]
        pairs = list(zip(words[::2], words[1::2], strict=True))
        if not all(key for key, _ in pairs):
            raise _refused(Mistake.BAD_PAIR, one, f"{one.keyword} has a key that is empty")
        return pairs

    def _ports(self, one: Configure) -> Iterator[str]:
        for text in (port for word in one.words for port in self._text(word, one).split()):
            found = _PORT.fullmatch(text)
            if found is None:
                raise _refused(Mistake.BAD_VALUE, one, f"EXPOSE takes PORT or PORT/PROTOCOL, found {text!r}")
            first = int(found["first"])
            for port in range(first, int(found["last"] or first) + 1):
                yield f"{port}/{(found['protocol'] or 'tcp').lower()}"

    def _metadata(self) -> Metadata:
        config, commands = self._config, self._config.cluster_commands
        labels = {**self._labels, **self._inputs.labels}
        kind = next((labels[name] for name in _TYPE_LABELS if name in labels), "application")
        is_cluster = kind in _CLUSTER_TYPES and self._inputs.keep_base
        image_type: ImageType = "" if is_cluster else APPLICATION
        arguments = {key: value for key, value in config.env if key != "PATH"}
        earlier = Extension.from_annotations(self._kept.manifest_annotations if self._kept is not None else {})
        extension = Extension(installer_type(image_type), earlier.applications, arguments, commands)
        return Metadata(
            cmd=Commands((), commands),
            args=Arguments({}, arguments),
            labels=labels,
            runtime=config,
            author=self._author,
            image_type=image_type,
            extension=extension,
        )


def _global_arguments(kubefile: Kubefile, build_args: Mapping[str, str], platform: Platform) -> dict[str, str]:
    """Return what FROM can use, and a bare ARG behind it: the ARGs above FROM, and what every build knows."""
    values = automatic_arguments(platform)
    for one in kubefile.instructions:
        if not isinstance(one, Arg):
            break
        for key, default in one.pairs:
            if key in build_args:
                values[key] = build_args[key]
            elif default is not None:
                values[key] = _expand(default, values, one, kubefile.escape)
    return values


def automatic_arguments(target: Platform) -> dict[str, str]:
    """Return the platform arguments that need no value.

    Source: moby's Dockerfile reference, "Automatic platform ARGs in the global scope".
    """
    return {
        f"{prefix}{name}": value
        for prefix, platform in (("TARGET", target), ("BUILD", Platform.host()))
        for name, value in (
            ("PLATFORM", str(platform)),
            ("OS", platform.os),
            ("ARCH", platform.architecture),
            ("VARIANT", platform.variant),
        )
    }


def _expand(word: str, variables: Mapping[str, str], one: Instruction, escape: str) -> str:
    try:
        return expand_word(word, variables, escape)
    except WordError as error:
        hint = "close it, or put a backslash before the character to mean it"
        raise _refused(Mistake.BAD_WORD, one, f"{word!r} cannot be read: {error}", hint) from error


def _refused(mistake: Mistake, one: Instruction, message: str, hint: str | None = None) -> KubefileError:
    return KubefileError([Diagnostic(mistake.code, message, one.span.location, hint)])


def _sorted(below: tuple[str, ...], above: Iterator[str] | list[str]) -> tuple[str, ...]:
    return tuple(sorted({*below, *above}))


def _healthcheck(words: tuple[str, ...]) -> Healthcheck:
    test = tuple(word for word in words if not re.match(r"--(?:interval|timeout|start-period|retries)=", word))
    options = dict(word.removeprefix("--").split("=", 1) for word in words[len(test) :])
    return Healthcheck(
        test,
        _nanoseconds(options.get("interval", "")),
        _nanoseconds(options.get("timeout", "")),
        _nanoseconds(options.get("start-period", "")),
        int(options.get("retries", "0")),
    )


def _nanoseconds(text: str) -> int:
    """Return a duration as Go writes it, in nanoseconds.

    >>> _nanoseconds("1m30s")
    90000000000
    """
    found = re.findall(r"([0-9.]+)(ns|us|µs|ms|s|m|h)", text)
    return round(sum(float(number) * _UNITS[unit] for number, unit in found))
