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
from urllib.parse import urlsplit

from kubeimage.builder.applications import APPLICATIONS
from kubeimage.builder.dockerscope import expand, global_arguments, refused
from kubeimage.builder.metadata import Metadata
from kubeimage.builder.mounting import SECRET_KIND
from kubeimage.builder.onbuild import triggers
from kubeimage.builder.step import StepMount
from kubeimage.image.config import APPLICATION, Image, ImageType
from kubeimage.image.digest import Digest
from kubeimage.image.document import Arguments, Commands
from kubeimage.image.extension import Extension, installer_type
from kubeimage.image.platform import Platform
from kubeimage.image.runtime import DEFAULT_PATH, EMPTY, Healthcheck, RuntimeConfig, overlay
from kubeimage.kubefile import Add, Arg, Cmd, Configure, Copy, From, Instruction, Kubefile, Mistake, Run
from kubeimage.kubefile.dockerfile.copying import is_checksum, is_web
from kubeimage.kubefile.dockerfile.sealer09 import APPLICATION_WORDS, LOCAL
from kubeimage.kubefile.instructions import RunMount, Stage
from kubeimage.protocols.context import CopyRequest, Remote
from kubeimage.protocols.running import Command, ImageRoot

# What a build packs lands here, so a COPY of it needs no such folder in the context.
PACKED_FOLDER = "registry"

_DEFAULT_SHELL = ("/bin/sh", "-c")
_TYPE_LABELS = ("sealos.io.type", "apps.sealos.io/type")
_CLUSTER_TYPES = ("rootfs", "patch")
_PORT = re.compile(r"(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?(?:/(?P<protocol>tcp|udp|sctp))?", re.IGNORECASE)
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


class Inputs(NamedTuple):
    """What a build is asked for, as far as it bears on instructions.

    Units: ``mtime`` in seconds since 1970, None to keep each file's own; ``timeout`` in seconds for each RUN, or None.
    """

    build_args: Mapping[str, str]
    labels: Mapping[str, str]
    platform: Platform
    mtime: int | None
    keep_base: bool
    packs: bool
    network: bool
    timeout: float | None


class Resolved(NamedTuple):
    """An instruction with its variables expanded.

    Shape: ``directory`` is a folder that must be there afterwards, as a path of the image; it is made for the user
           ``as_user``. ``application`` is the
           name of the one that ``copy`` brings the files of.
    """

    instruction: Instruction
    copy: CopyRequest | None = None
    run: Command | None = None
    directory: str | None = None
    as_user: str = ""
    application: str | None = None
    mounts: tuple[StepMount, ...] = ()

    @property
    def makes_layer(self) -> bool:
        """Whether it may add a layer."""
        return self.copy is not None or self.run is not None or self.directory is not None


class UnfoldedStage:
    """A stage with its instructions resolved, and what an image made of it says of itself.

    Shape: ``steps`` are the instructions behind FROM. ``base`` is the image that all of it stands on; ``config``,
           ``labels`` and ``author`` are what the instructions come to.
    """

    def __init__(self, kubefile: Kubefile, stage: Stage, below: Image | UnfoldedStage | None, inputs: Inputs) -> None:
        """Resolve every instruction of ``stage``, which stands on an image, on another stage, or on nothing.

        Raises: KubefileError for the first one that cannot be.
        """
        base: Image | None = below.base if isinstance(below, UnfoldedStage) else below
        self.base: Image | None = base
        self._inputs = inputs
        self._escape = kubefile.escape
        kept = base if base is not None and inputs.keep_base else None
        self.config: RuntimeConfig = kept.runtime if kept is not None else EMPTY
        self.labels: dict[str, str] = dict(base.labels) if base is not None else {}
        self.author: str = kept.author if kept is not None else ""
        if isinstance(below, UnfoldedStage):
            self.config, self.labels, self.author = below.config, dict(below.labels), below.author
        if "PATH" not in dict(self.config.env):
            self.config = replace(self.config, env=(("PATH", DEFAULT_PATH), *self.config.env))
        before = triggers(self.config.on_build, stage.base)
        self.config = replace(self.config, on_build=())
        self._globals = global_arguments(kubefile, inputs.build_args, inputs.platform)
        self._arguments: dict[str, str] = {}
        self._has_cmd = False
        self._is_sealer = kubefile.dialect == "sealer-0.9"
        earlier = Extension.from_annotations(kept.manifest_annotations if kept is not None else {})
        self._earlier = earlier.applications
        self._registered = {one.name for one in earlier.applications}
        self._commands: list[str] = []
        self._launch: tuple[str, ...] = ()
        self._app_commands: dict[str, tuple[str, ...]] = {}
        self._app_env: dict[str, dict[str, str]] = {}
        self.steps = tuple(self._do(one) for one in (*before, *stage.instructions[1:]))

    def _do(self, one: Instruction) -> Resolved:
        match one:
            case Arg():
                self._declare(one)
            case Copy():
                return Resolved(one, copy=self._copy(one))
            case Cmd() if self._is_sealer:
                self._commands.append(one.commands[0])
            case Cmd():
                words = one.commands if not one.is_text else (*self._shell, *one.commands)
                self.config = replace(self.config, cmd=words)
                self._has_cmd = True
            case Configure() if one.keyword == "WORKDIR":
                return Resolved(one, directory=self._workdir(one), as_user=self.config.user)
            case Configure() if one.keyword in APPLICATION_WORDS:
                return Resolved(one, copy=self._register(one), application=one.words[0])
            case Configure() if self._is_sealer and one.keyword not in ("ENV", "LABEL", "MAINTAINER"):
                self._of_applications(one)
            case Configure():
                self._configure(one)
            case Run():
                return Resolved(one, run=self._run(one), mounts=tuple(self._mount(one, mount) for mount in one.mounts))
            case From():
                raise AssertionError("a stage has one FROM")
        return Resolved(one)

    @property
    def _shell(self) -> tuple[str, ...]:
        return self.config.shell or _DEFAULT_SHELL

    @property
    def _variables(self) -> dict[str, str]:
        """What a word can use: an ENV wins over an ARG of the same name."""
        return {**self._arguments, **dict(self.config.env)}

    def _text(self, word: str, one: Instruction) -> str:
        return expand(word, self._variables, one, self._escape)

    def _declare(self, one: Arg) -> None:
        for key, default in one.pairs:
            if key in self._inputs.build_args:
                self._arguments[key] = self._inputs.build_args[key]
            elif default is not None:
                self._arguments[key] = self._text(default, one)
            elif key in self._globals:
                self._arguments[key] = self._globals[key]

    def _copy(self, one: Copy) -> CopyRequest:
        # sealer after v0.8 knows the architecture by this name, in sources alone.
        known = {"ARCH": self._inputs.platform.architecture} if self._is_sealer else {}
        variables = {**self._variables, **known}
        sources = tuple(expand(source, variables, one, self._escape) for source in one.sources)
        local, remotes = self._parted(one, sources)
        empty = next((written for written, source in zip(one.sources, sources, strict=True) if not source), None)
        if empty is not None:
            raise refused(Mistake.EMPTY_TEXT, one, f"the source {empty} is nothing: what it uses has no value")
        written = self._text(one.destination, one)
        if not written:
            raise refused(Mistake.EMPTY_TEXT, one, f"the destination {one.destination} is nothing")
        destination = posixpath.normpath(posixpath.join("/", self.config.working_dir, written)).lstrip("/")
        into = written.endswith("/") or written.rpartition("/")[2] in (".", "..")
        packed = tuple(one for one in local if posixpath.normpath("/" + one) == f"/{PACKED_FOLDER}")
        return CopyRequest(
            local,
            destination or ".",
            chmod=one.chmod,
            mtime=self._inputs.mtime,
            by_docker=True,
            into=into,
            excludes=one.excludes,
            optional=packed if self._inputs.packs and not one.origin else (),
            from_image=bool(one.origin),
            chown=self._text(one.owner, one),
            parents=one.parents,
            unpack=isinstance(one, Add),
            remotes=remotes,
        )

    def _parted(self, one: Copy, sources: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Remote, ...]]:
        """Return what lies in the context, and what is fetched."""
        if not isinstance(one, Add):
            return sources, ()
        checksum = self._text(one.checksum, one)
        remotes = tuple(self._remote(source, checksum, one) for source in sources if is_web(source))
        return tuple(source for source in sources if not is_web(source)), remotes

    def _remote(self, url: str, checksum: str, one: Instruction) -> Remote:
        if checksum and not is_checksum(checksum):
            message = f"a checksum is sha256: and 64 hex digits, found {checksum!r}"
            raise refused(Mistake.BAD_VALUE, one, message, "as sha256sum(1) prints them")
        parts = urlsplit(url)
        if not parts.hostname or "@" in parts.netloc:
            message = "the URL names no host" if not parts.hostname else "the URL holds credentials"
            raise refused(Mistake.BAD_VALUE, one, message, "all of it would stand in the image's history")
        return Remote(url, Digest.parse(checksum) if checksum else None)

    def _run(self, one: Run) -> Command:
        config = self.config
        argv = one.words or (*self._shell, one.command)
        image = ImageRoot(argv, config.working_dir or "/", as_user=config.user)
        network = self._inputs.network and one.network != "none"
        return Command(one.command, self._variables, network, self._inputs.timeout, image)

    def _mount(self, one: Run, mount: RunMount) -> StepMount:
        if mount.kind == SECRET_KIND:
            target = posixpath.join(self.config.working_dir or "/", self._text(mount.target, one))
            return StepMount(replace(mount, target=posixpath.normpath(target) if mount.target else ""))
        target = posixpath.join(self.config.working_dir or "/", self._text(mount.target, one))
        expanded = replace(
            mount,
            target=posixpath.normpath(posixpath.join("/", target)).lstrip("/"),
            source=self._text(mount.source, one) or ".",
            name=self._text(mount.name, one),
        )
        if not expanded.target:
            raise refused(Mistake.BAD_VALUE, one, "a mount takes the place of the whole root", "name a folder below it")
        if mount.kind != "bind":
            return StepMount(replace(expanded, source=""))
        request = CopyRequest((expanded.source,), "shown", mtime=None, by_docker=True, from_image=bool(mount.origin))
        return StepMount(expanded, request)

    def _register(self, one: Configure) -> CopyRequest:
        name = one.words[0]
        if one.keyword != "APP":
            self.labels[f"cluster.alpha.sealer.io/kube-{one.keyword.lower()}-{name}"] = "true"
        self._registered.add(name)
        self._app_commands.pop(name, None)
        self._app_env.pop(name, None)
        sources = [source for source in one.words[1:] if not is_web(source)]
        pairs = [source.partition("#")[::2] for source in one.words[1:] if is_web(source)]
        remotes = tuple(self._remote(self._text(url, one), self._text(checksum, one), one) for url, checksum in pairs)
        return CopyRequest(
            tuple(self._text(source.removeprefix(LOCAL), one) for source in sources),
            f"{APPLICATIONS}/{name}",
            mtime=self._inputs.mtime,
            by_docker=True,
            into=True,
            remotes=remotes,
        )

    def _of_applications(self, one: Configure) -> None:
        words = one.words
        match one.keyword:
            case "KUBEVERSION":
                self.labels["app.alpha.sealer.io/supported-kube-version"] = words[0]
            case "CMDS":
                self._commands += words
            case "LAUNCH":
                for name in words:
                    self._check_registered(name, one)
                self._launch = words
            case "APPCMDS":
                self._check_registered(words[0], one)
                self._app_commands[words[0]] = words[1:]
            case "APPENV":
                self._check_registered(words[0], one)
                pairs = [word.partition("=") for word in words[1:]]
                self._app_env.setdefault(words[0], {}).update({key: value for key, _, value in pairs})

    def _check_registered(self, name: str, one: Configure) -> None:
        if name not in self._registered:
            known = f"known are {', '.join(sorted(self._registered))}" if self._registered else "there is none yet"
            hint = f"register it above: APP {name} local://FILE"
            raise refused(Mistake.UNKNOWN_APPLICATION, one, f"no application is called {name!r}; {known}", hint)

    def _workdir(self, one: Configure) -> str:
        written = self._text(one.words[0], one)
        path = posixpath.normpath(posixpath.join("/", self.config.working_dir, written)).lstrip("/")
        # buildah keeps an absolute path as it is written.
        self.config = replace(self.config, working_dir=written if written.startswith("/") else f"/{path}")
        return path

    def _configure(self, one: Configure) -> None:
        config = self.config
        words = one.words
        match one.keyword:
            case "ENV":
                self.config = replace(config, env=overlay(config.env, self._pairs(one)))
            case "LABEL":
                self.labels.update(self._pairs(one))
            case "MAINTAINER":
                self.author = words[0]
            case "USER":
                self.config = replace(config, user=self._text(words[0], one))
            case "STOPSIGNAL":
                self.config = replace(config, stop_signal=self._text(words[0], one))
            case "SHELL":
                self.config = replace(config, shell=words)
            case "ONBUILD":
                self.config = replace(config, on_build=(*config.on_build, words[0]))
            case "ENTRYPOINT":
                entrypoint = words if not one.is_text else (*self._shell, *words)
                # Docker's rule: a new ENTRYPOINT does away with the base's CMD, not with one of this file.
                self.config = replace(config, entrypoint=entrypoint, cmd=config.cmd if self._has_cmd else ())
            case "EXPOSE":
                self.config = replace(config, exposed_ports=_sorted(config.exposed_ports, self._ports(one)))
            case "VOLUME":
                volumes = [self._text(word, one) if one.is_text else word for word in words]
                self.config = replace(config, volumes=_sorted(config.volumes, volumes))
            case "HEALTHCHECK":
                self.config = replace(config, healthcheck=_healthcheck(words))

    def _pairs(self, one: Configure) -> list[tuple[str, str]]:
        variables = self._variables
        words = [expand(word, variables, one, self._escape) for word in one.words]
        pairs = list(zip(words[::2], words[1::2], strict=True))
        if not all(key for key, _ in pairs):
            raise refused(Mistake.BAD_PAIR, one, f"{one.keyword} has a key that is empty")
        return pairs

    def _ports(self, one: Configure) -> Iterator[str]:
        for text in (port for word in one.words for port in self._text(word, one).split()):
            found = _PORT.fullmatch(text)
            if found is None:
                raise refused(Mistake.BAD_VALUE, one, f"EXPOSE takes PORT or PORT/PROTOCOL, found {text!r}")
            first = int(found["first"])
            for port in range(first, int(found["last"] or first) + 1):
                yield f"{port}/{(found['protocol'] or 'tcp').lower()}"

    def metadata(self) -> Metadata:
        """Return what an image made of the stage says of itself."""
        if self._is_sealer:
            return self._metadata_of_sealer()
        config, commands = self.config, self.config.cluster_commands
        labels = {**self.labels, **self._inputs.labels}
        kind = next((labels[name] for name in _TYPE_LABELS if name in labels), "application")
        is_cluster = kind in _CLUSTER_TYPES and self._inputs.keep_base
        image_type: ImageType = "" if is_cluster else APPLICATION
        arguments = {key: value for key, value in config.env if key != "PATH"}
        extension = Extension(installer_type(image_type), self._earlier, arguments, commands)
        return Metadata(
            cmd=Commands((), commands),
            args=Arguments({}, arguments),
            labels=labels,
            runtime=config,
            author=self.author,
            image_type=image_type,
            extension=extension,
        )

    def _metadata_of_sealer(self) -> Metadata:
        """Return what sealer after v0.8 writes; its commands are none of the base's."""
        config, commands = self.config, tuple(self._commands)
        base_type = self.base.image_type if self.base is not None else ""
        image_type: ImageType = base_type if self._inputs.keep_base else APPLICATION
        env = {key: value for key, value in config.env if key != "PATH"}
        return Metadata(
            cmd=Commands((), commands),
            args=Arguments({}, env),
            labels={**self.labels, **self._inputs.labels},
            runtime=replace(config, entrypoint=(), cmd=commands),
            author=self.author,
            image_type=image_type,
            extension=Extension(installer_type(image_type), self._earlier, env, commands, self._launch),
            app_commands=self._app_commands,
            app_env=self._app_env,
        )


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
