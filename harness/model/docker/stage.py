"""One stage: its instructions with all expanded, and then done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy as copied
from dataclasses import replace
from typing import NamedTuple

from harness.model.docker import copying
from harness.model.docker.applications import FOLDER, Application, look_at
from harness.model.docker.config import Config
from harness.model.docker.copying import Copying, clamp
from harness.model.docker.image import Image
from harness.model.docker.owned import ROOT, Owned, OwnedTree, Owner, folder_at, is_folder, ways
from harness.model.docker.running import RAN, describe_run
from harness.model.docker.words import expand
from harness.model.failure import Failed
from harness.trees import File, Folder
from kubeimage.image.compatibility import Dialect
from kubeimage.kubefile import Add, Arg, Cmd, Configure, Copy, Instruction, Run, parse

_LABEL = "cluster.alpha.sealer.io/kube-{}-{}"
_VERSION_LABEL = "app.alpha.sealer.io/supported-kube-version"

Act = Callable[[OwnedTree], OwnedTree]


class Surroundings(NamedTuple):
    """What all stages have in common. Shape: ``trees`` are those of the stages that are done."""

    dialect: Dialect
    build_args: Mapping[str, str]
    platform: str
    values: Mapping[str, str]
    context: OwnedTree
    trees: dict[int, OwnedTree]


class Step(NamedTuple):
    """An instruction; where it brings files, what it makes of the image below it."""

    instruction: Instruction
    act: Act | None = None


class Stage:
    """A stage on another one, on an image, or on nothing."""

    def __init__(
        self, around: Surroundings, below: Stage | Image | None, number_of: Callable[[str], int | None]
    ) -> None:
        self.around = around
        self.number_of = number_of
        self.below = below
        self.config: Config = copied(below.config) if below is not None else Config()
        self.config.env, self.config.labels = dict(self.config.env), dict(self.config.labels)
        self.triggered = _triggered(self.config.triggers)
        self.config.triggers = ()
        self.arguments: dict[str, str] = {}
        self.has_cmd = False
        self.steps: list[Step] = []
        self.made: list[tuple[str, bool]] = []
        self.commands: list[str] = []
        self.launch: tuple[str, ...] = ()
        inherited = below.applications if isinstance(below, Image) else {}
        self.applications: dict[str, Application] = dict(inherited)
        self.known = set(inherited)
        self.app_commands: dict[str, tuple[str, ...]] = {}
        self.app_env: dict[str, dict[str, str]] = {}
        self.own_tree: OwnedTree | None = None

    @property
    def tree(self) -> OwnedTree:
        """The image so far."""
        if self.own_tree is None:
            self.own_tree = self.below.tree if self.below is not None else {}
        return self.own_tree

    @property
    def is_sealer(self) -> bool:
        """Whether the words are those of sealer after v0.8."""
        return self.around.dialect == "sealer-0.9"

    def do(self, step: Step) -> None:
        """Do one step.

        Raises: Failed.
        """
        before = self.tree
        self.own_tree = step.act(before) if step.act is not None else before
        text = f"{step.instruction.keyword} {step.instruction.value}"
        self.made.append((text, dict(self.own_tree) != dict(before)))

    def image(self) -> Image:
        """Return what all of it comes to."""
        below = self.below
        history = list(self.made)
        while isinstance(below, Stage):
            history = below.made + history
            below = below.below
        past = below.history if below is not None else ()
        if self.is_sealer:
            return self._sealer_image((*past, *history))
        kind = self.config.labels.get("sealos.io.type", "application")
        commands = self.config.cluster_commands
        return Image(
            self.around.platform,
            self.tree,
            (*past, *history),
            self.config,
            commands,
            below.applications if below is not None else {},
            explicit=commands,
            is_application=kind not in ("rootfs", "patch"),
        )

    def _sealer_image(self, history: tuple[tuple[str, bool], ...]) -> Image:
        known = {}
        for name, one in self.applications.items():
            given = replace(one, commands=self.app_commands.get(name, one.commands))
            known[name] = replace(given, env={**one.env, **self.app_env.get(name, {})})
        commands = tuple(self.commands) or tuple(known[name].launched_by for name in self.launch)
        config = replace(self.config, entrypoint=(), cmd=commands)
        below = self.below
        return Image(
            self.around.platform,
            self.tree,
            history,
            config,
            commands,
            known,
            self.launch,
            tuple(self.commands),
            is_application=isinstance(below, Image) and below.is_application,
        )

    def resolve(self, one: Instruction) -> None:
        """Read one instruction, with the variables as they are by now.

        Raises: Failed.
        """
        act: Act | None = None
        match one:
            case Arg():
                self._declare(one)
            case Copy():
                act = self._copy(one)
            case Run():
                act = self._run(one)
            case Cmd() if self.is_sealer:
                self.commands += one.commands
            case Cmd():
                self.config.set_cmd(one)
                self.has_cmd = True
            case Configure(keyword="WORKDIR"):
                act = self._workdir(one)
            case Configure(keyword="ENTRYPOINT"):
                self.config.set_entrypoint(one, keep_cmd=self.has_cmd)
            case Configure(keyword="APP" | "CNI" | "CSI"):
                act = self._register(one)
            case Configure(keyword="APPCMDS" | "APPENV" | "LAUNCH" | "CMDS" | "KUBEVERSION"):
                self._of_applications(one)
            case Configure():
                self.config.configure(one, self.variables)
        self.steps.append(Step(one, act))

    @property
    def variables(self) -> dict[str, str]:
        """What a word can use: ENV before ARG."""
        return {**self.arguments, **self.config.env}

    def _declare(self, one: Arg) -> None:
        for key, default in one.pairs:
            if key in self.around.build_args:
                self.arguments[key] = self.around.build_args[key]
            elif default is not None:
                self.arguments[key] = expand(default, self.variables)
            elif key in self.around.values:
                self.arguments[key] = self.around.values[key]

    def _copy(self, one: Copy) -> Act:
        known = self.variables
        architecture = {"ARCH": self.around.platform.split("/")[1]} if self.is_sealer else {}
        sources = tuple(expand(source, {**known, **architecture}) for source in one.sources)
        written = expand(one.destination, known)
        if "" in (*sources, written):
            raise Failed("E0224", "a name is nothing")
        destination = written if written.startswith("/") else f"{self.config.folder}/{written}"
        owner = expand(one.owner, known)

        def act(image: OwnedTree) -> OwnedTree:
            number = self.number_of(one.origin) if one.origin else None
            wanted = Copying(
                sources,
                destination,
                one.chmod,
                _owner_of(owner, image) if owner else None,
                one.excludes,
                one.parents,
                isinstance(one, Add),
                number is not None,
            )
            root = self.around.trees[number] if number is not None else self.around.context
            return copying.copy(root, wanted, image)

        return act

    def _run(self, one: Run) -> Act:
        words = one.words or self.config.command((one.command,), is_text=True)
        known, folder, user = self.variables, self.config.folder or "/", self.config.user

        def act(image: OwnedTree) -> OwnedTree:
            number = _user_of(user, image) if user else ROOT
            if f"{folder_at(image, 'bin')}/sh" not in image:
                raise Failed("E0710", "the image has no shell")
            before = image[RAN].node if RAN in image else File()
            assert isinstance(before, File)
            home = "/root" if number[0] == 0 and "etc/passwd" in image else "/"
            line = describe_run(words, {"HOME": home, **known}, folder, number)
            return {**image, RAN: Owned(File(before.data + line, before.mode))}

        return act

    def _workdir(self, one: Configure) -> Act:
        written = expand(one.words[0], self.variables)
        path = clamp(f"{self.config.folder}/{written}" if not written.startswith("/") else written)
        self.config.folder = written if written.startswith("/") else f"/{path}"
        user = self.config.user

        def act(image: OwnedTree) -> OwnedTree:
            owner = _owner_of(user, image) if user else ROOT
            real = folder_at(image, path)
            made = {one: Owned(Folder(), owner) for one in ways(real) if not is_folder(image, one)}
            return {**image, **made}

        return act

    def _register(self, one: Configure) -> Act:
        name, *texts = one.words
        if one.keyword != "APP":
            self.config.labels[_LABEL.format(one.keyword.lower(), name)] = "true"
        self.known.add(name)
        self.app_commands.pop(name, None)
        self.app_env.pop(name, None)
        sources = tuple(expand(text.removeprefix("local://"), self.variables) for text in texts)

        def act(image: OwnedTree) -> OwnedTree:
            made = copying.copy(self.around.context, Copying(sources, f"/{FOLDER}/{name}/"), image)
            self.applications[name] = look_at(name, sources, self.around.context)
            if not self.applications[name].kind and name not in self.app_commands:
                raise Failed("E0267", f"nothing can launch {name}")
            return made

        return act

    def _of_applications(self, one: Configure) -> None:
        named = {"LAUNCH": one.words, "APPCMDS": one.words[:1], "APPENV": one.words[:1]}.get(one.keyword, ())
        if not self.known.issuperset(named):
            raise Failed("E0267", f"{named} are not all registered")
        match one.keyword:
            case "KUBEVERSION":
                self.config.labels[_VERSION_LABEL] = one.words[0]
            case "CMDS":
                self.commands += one.words
            case "LAUNCH":
                self.launch = one.words
            case "APPCMDS":
                self.app_commands[one.words[0]] = one.words[1:]
            case "APPENV":
                pairs = dict(word.split("=", 1) for word in one.words[1:])
                self.app_env[one.words[0]] = {**self.app_env.get(one.words[0], {}), **pairs}


def _triggered(texts: tuple[str, ...]) -> tuple[Instruction, ...]:
    lines = "".join(f"{text}\n" for text in texts)
    return parse(f"FROM scratch\n{lines}", dialect="sealos").instructions[1:]


def _lines(image: OwnedTree, name: str) -> list[list[str]]:
    found = image[name].node if name in image else None
    text = found.data.decode() if isinstance(found, File) else ""
    return [line.split(":") for line in text.splitlines()]


def _user(text: str, image: OwnedTree) -> tuple[int, int | None]:
    if text in {"root", "0"}:
        return 0, 0
    for fields in _lines(image, "etc/passwd"):
        if text in {fields[0], fields[2]}:
            return int(fields[2]), int(fields[3])
    if not text.isdigit():
        raise Failed("E0400", f"there is no user {text}")
    return int(text), None


def _group(text: str, image: OwnedTree) -> int:
    if text.isdigit():
        return int(text)
    found = next((int(fields[2]) for fields in _lines(image, "etc/group") if fields[0] == text), None)
    if found is None and text != "root":
        raise Failed("E0400", f"there is no group {text}")
    return found or 0


def _owner_of(text: str, image: OwnedTree) -> Owner:
    """Return whose ``--chown`` or WORKDIR makes it: a number is its own group."""
    name, _, group = text.partition(":")
    user, own = _user(name, image) if name else (0, 0)
    own = user if name.isdigit() or own is None else own
    return user, _group(group, image) if group else own


def _user_of(text: str, image: OwnedTree) -> Owner:
    """Return as whom USER runs: a number that the image does not know is of the group 0."""
    name, _, group = text.partition(":")
    user, own = _user(name, image) if name else (0, 0)
    return user, _group(group, image) if group else own or 0
