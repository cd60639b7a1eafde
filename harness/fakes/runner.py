"""RUN in memory: by a script of the test's own, or by a small shell.

runner = FakeRunner()
runner.on("make install", effect=lambda tree: tree.write("bin/tool", "…", 0o755), output="installed")
runner.on(re.compile("^curl "), status=7, output="could not connect", times=1)  # the second try is another rule's
assert runner.unused == []  # after the build: each rule was of use
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import has_magic
from typing import NamedTuple

from harness.fakes.memory_tree import ROOTFS, MemoryTree
from harness.fakes.shell_commands import PROGRAMS
from harness.fakes.shell_words import Field, Simple, UnknownShellError, Word, expand, parse_script
from kubeimage.errors import SandboxError
from kubeimage.image.platform import Platform
from kubeimage.protocols.running import Command, CommandResult, Mount
from kubeimage.run.tail import Tail

Output = Callable[[bytes], None]
Effect = Callable[[MemoryTree], object]
Match = str | re.Pattern[str] | Callable[[Command], bool]

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_PATH = f"{ROOTFS}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class _Rule(NamedTuple):
    match: Match
    effect: Effect | None
    result: CommandResult
    output: bytes
    times: int | None
    used: list[Command]

    def fits(self, command: Command) -> bool:
        if self.times is not None and len(self.used) >= self.times:
            return False
        if isinstance(self.match, str):
            return self.match == command.script
        return bool(self.match.search(command.script) if isinstance(self.match, re.Pattern) else self.match(command))


class FakeRunner:
    """Does what the test says a command does, and refuses every other; notes all it is asked for."""

    name = "fake"

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self._rules: list[_Rule] = []

    def on(
        self,
        match: Match,
        effect: Effect | None = None,
        *,
        output: str | bytes = b"",
        status: int = 0,
        timed_out: bool = False,
        times: int | None = None,
    ) -> None:
        """Say what a command does: change the tree, print, end with a status.

        Shape: ``match`` is the whole text of the RUN, a pattern to find in it, or a function. The latest rule wins, for
               so many ``times`` (None: always); then the one before it.
        """
        data = output.encode() if isinstance(output, str) else output
        self._rules.insert(0, _Rule(match, effect, CommandResult(status, _tail(data), timed_out), data, times, []))

    @property
    def unused(self) -> list[Match]:
        """What was never run of all that was told, first told first."""
        return [rule.match for rule in reversed(self._rules) if not rule.used]

    def check_platform(self, platform: Platform) -> None:
        """Run for any platform: nothing real is run."""

    def run(self, command: Command, mount: Mount, output: Output) -> CommandResult:
        """Do what the first rule that fits says.

        Raises: SandboxError where none fits.
        """
        self.commands.append(command)
        rule = next((rule for rule in self._rules if rule.fits(command)), None)
        if rule is None:
            raise SandboxError(
                f"nobody said what RUN {command.script!r} does",
                hint="say it with fake_runner.on(...), before the build",
            )
        rule.used.append(command)
        if rule.effect is not None:
            rule.effect(tree_of(mount))
        if rule.output:
            output(rule.output)
        return rule.result


class ShellInterpreter:
    """Runs simple scripts on a tree in memory as a real ``sh`` would run them on a disk.

    It knows lists of simple commands (``&&``, ``||``, ``;``), quotes, variables, patterns, ``>`` and ``>>``, and the
    programs of `harness.fakes.shell_commands.PROGRAMS`.
    """

    name = "memory"

    def __init__(self) -> None:
        self.commands: list[Command] = []

    def check_platform(self, platform: Platform) -> None:
        """Run for any platform: nothing real is run."""

    def run(self, command: Command, mount: Mount, output: Output) -> CommandResult:
        """Run the script of ``command``.

        Raises: SandboxError for what this shell does not know.
        """
        self.commands.append(command)
        if command.image is not None:
            raise SandboxError(
                "this small shell runs no programs of an image: RUN inside the image's own root needs a real backend",
                hint="choose one: --kubefile-backend=overlay or copy; or say what it does: fake_runner.on(...)",
            )
        variables = {"PATH": _PATH, "HOME": "/tmp", "LANG": "C.UTF-8", "PWD": ROOTFS, **command.environment}  # noqa: S108
        session = _Session(tree_of(mount), variables, output)
        try:
            with suppress(_Exit):
                session.run(parse_script(command.script))
        except UnknownShellError as error:
            raise SandboxError(
                f"the shell in memory does not know {error}, in RUN {command.script!r}",
                hint="use a backend that has a real shell (overlay or copy), or say what the RUN does with FakeRunner",
            ) from error
        return CommandResult(session.status, _tail(bytes(session.printed)))


def tree_of(mount: Mount) -> MemoryTree:
    """Return the tree of a mount in memory.

    Raises: SandboxError for a mount on disk.
    """
    tree = getattr(mount, "tree", None)
    if not isinstance(tree, MemoryTree):
        raise SandboxError("a runner in memory needs a mount in memory", hint="use a MemoryMounter with it")
    return tree


class _Exit(Exception):  # noqa: N818 - no error
    """The script's own end."""


@dataclass
class _Session:
    """One script: its tree, variables, working directory and output."""

    tree: MemoryTree
    variables: dict[str, str]
    output: Output
    status: int = 0
    printed: bytearray = field(default_factory=bytearray)
    directory: str = ""
    exits_on_error: bool = False
    outputs: dict[int, Callable[[bytes], None]] = field(default_factory=dict)

    def run(self, commands: list[Simple]) -> None:
        skip_after = ""
        for command in commands:
            skipped = (skip_after == "&&" and self.status != 0) or (skip_after == "||" and self.status == 0)
            if not skipped:
                self.status = self._run_one(command)
                if self.status and self.exits_on_error and command.then == ";":
                    raise _Exit
            skip_after = command.then

    def path(self, path: str) -> str:
        return path if path.startswith("/") or not self.directory else f"{self.directory}/{path}"

    def say(self, text: str | bytes) -> None:
        self.outputs[1](text.encode() if isinstance(text, str) else text)

    def _run_one(self, command: Simple) -> int:
        words = list(command.words)
        assigned = self._assignments(words)
        arguments = [text for word in words for text in self._fields(word)]
        try:
            self._redirect(command)
            if not arguments:
                self.variables.update(assigned)
                return 0
            return self._call(arguments[0], arguments[1:])
        except OSError as error:
            program = arguments[0] if arguments else "sh"
            self.outputs[2](f"{program}: {error.filename}: {error.strerror}\n".encode())
            return 1

    def _call(self, name: str, arguments: list[str]) -> int:
        builtins = {"cd": self._cd, "exit": self._exit, "export": self._export, "pwd": self._pwd, "set": self._set}
        if name in builtins:
            return builtins[name](arguments)
        if name in PROGRAMS:
            return PROGRAMS[name](self, arguments)
        raise UnknownShellError(f"the program {name!r}")

    def _assignments(self, words: list[Word]) -> dict[str, str]:
        """Take the assignments from the front of ``words``; they hold for later commands only if none follows."""
        found = {}
        while words and (match := _ASSIGNMENT.match(_start(words[0]))):
            value = "".join(one.text for one in expand(_without(words.pop(0), match.end()), self.variables))
            found[match[1]] = value
        return found

    def _fields(self, word: Word) -> list[str]:
        variables = {**self.variables, "?": str(self.status)}
        return [text for one in expand(word, variables) for text in self._match(one)]

    def _match(self, one: Field) -> list[str]:
        """Return the paths that a pattern matches, or its text where it is none or matches nothing."""
        if not has_magic(one.pattern):
            return [one.text]
        found = [""]
        for number, part in enumerate(one.pattern.split("/")):
            found = [
                f"{above}/{name}" if number else name
                for above in found
                for name in self._names(above)
                if fnmatchcase(name, part) and name.startswith(".") <= part.startswith(".")
            ]
        return found or [one.text]

    def _names(self, directory: str) -> list[str]:
        with suppress(OSError):
            return self.tree.children(self.path(directory or "."))
        return []

    def _redirect(self, command: Simple) -> None:
        self.outputs = {1: self._print, 2: self._print}
        for one in command.redirections:
            if one.target is None:
                self.outputs[one.descriptor] = self.outputs[one.twin]
            else:
                self.outputs[one.descriptor] = self._open(self._fields(one.target)[0], append=one.append)

    def _open(self, path: str, *, append: bool) -> Callable[[bytes], None]:
        if path == "/dev/null":
            return lambda _data: None
        place = self.path(path)
        if append:
            self.tree.append(place, b"")
        else:
            self.tree.write(place, b"")
        return lambda data: self.tree.append(place, data)

    def _print(self, data: bytes) -> None:
        if data:
            self.printed += data
            self.output(bytes(data))

    def _cd(self, arguments: list[str]) -> int:
        self.tree.children(self.path(arguments[0]))
        self.directory = self.tree.resolve(self.path(arguments[0]))
        self.variables["PWD"] = posixpath.join(ROOTFS, self.directory).rstrip("/")
        return 0

    def _pwd(self, _arguments: list[str]) -> int:
        self.say(self.variables["PWD"] + "\n")
        return 0

    def _export(self, arguments: list[str]) -> int:
        for one in arguments:
            name, equals, value = one.partition("=")
            if equals:
                self.variables[name] = value
        return 0

    def _exit(self, arguments: list[str]) -> int:
        self.status = int(arguments[0]) if arguments else self.status
        raise _Exit

    def _set(self, arguments: list[str]) -> int:
        for one in arguments:
            if not re.fullmatch(r"-[eu]+", one):
                raise UnknownShellError(f"set {one}")
            self.exits_on_error = self.exits_on_error or "e" in one
        return 0


def _tail(printed: bytes) -> str:
    """Keep of an output what the real runners keep."""
    tail = Tail()
    tail.add(printed)
    return tail.text()


def _start(word: Word) -> str:
    """Return the text before the first quote or variable of a word."""
    text = ""
    for part in word.parts:
        if part.quoted or part.variable:
            break
        text += part.text
    return text


def _without(word: Word, length: int) -> Word:
    """Leave out the first characters of a word, which are plain ones, and let nothing of the rest be split."""
    return Word(tuple(part._replace(quoted=True) for part in word.parts[length:]))
