"""What every command runner does: one table of commands, with what each prints, leaves and ends with.

    class TestMyRunner(CommandRunnerContract):
        @pytest.fixture
        def parts(self) -> RunParts: ...

The commands are such that a real ``sh`` and `harness.fakes.runner.ShellInterpreter` both run them; a runner that is
scripted can be told what they do from ``CASES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from harness.contracts.mounts import RunParts, describe, put_layers
from kubeimage.layer.entry import directory, file
from kubeimage.protocols.running import Command, CommandResult

BELOW = ((directory("etc"), file("etc/a", b"1\n")),)
_LINES = [f"line {number}" for number in range(1, 31)]


@dataclass(frozen=True)
class Case:
    """A command, and all that can be told of it afterwards.

    Shape: ``prints`` is all of its output, ``tail`` the end of it, if that is not the same but for the last line end.
           ``files`` are those that it writes at the root, with their content.
    """

    name: str
    script: str
    prints: str = ""
    status: int = 0
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    tail: str | None = None

    @property
    def command(self) -> Command:
        """The RUN."""
        return Command(self.script, self.environment)

    @property
    def result(self) -> CommandResult:
        """How it ends."""
        return CommandResult(self.status, self.prints.rstrip("\n") if self.tail is None else self.tail)


CASES = (
    Case("nothing", "true"),
    Case("output", "echo one; echo two", "one\ntwo\n"),
    Case("errors are output too", "echo no >&2", "no\n"),
    Case("no line end", "printf end", "end"),
    Case("status", "exit 7", status=7),
    Case("status of the last command", "true; false", status=1),
    Case("output before a failure", "echo begun; exit 3", "begun\n", 3),
    Case("quotes and blanks", "echo \"a   b\" 'c\\d' '$HOME'", "a   b c\\d $HOME\n"),
    Case("an argument", 'echo "$V"', "two  words\n", environment={"V": "two  words"}),
    Case("an argument in use", "echo $V > made-$V", files={"made-2": "2\n"}, environment={"V": "2"}),
    Case("no argument", 'echo "<$V>"', "<>\n"),
    Case("home and language", "echo $HOME $LANG", "/tmp C.UTF-8\n"),  # noqa: S108 - what RUN promises
    Case("the rootfs is where it works", "cat etc/a", "1\n"),
    Case("PWD is the rootfs", 'test -f "$PWD/etc/a"'),
    Case("what it writes", "echo x > n", files={"n": "x\n"}),
    Case("what it wrote before it failed", "echo x > n; exit 1", status=1, files={"n": "x\n"}),
    Case("long output", "; ".join(f"echo {line}" for line in _LINES), "".join(f"{line}\n" for line in _LINES),
         tail="\n".join(_LINES[-20:])),
    Case("colours", "printf '\\033[31mred\\033[0m\\n'", "\033[31mred\033[0m\n", tail="red"),
    Case("a progress bar", "printf '1%%\\r2%%\\rdone\\n'", "1%\r2%\rdone\n", tail="done"),
)  # fmt: skip


class CommandRunnerContract:
    """Takes the fixture ``parts``."""

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
    def test_a_command_prints_leaves_and_ends_as_told(self, parts: RunParts, case: Case) -> None:
        """All of it, in order."""
        printed = bytearray()

        with parts.mounter.mount(put_layers(parts.layers, BELOW)) as mount:
            result = parts.runner.run(case.command, mount, printed.extend)
            changes = [describe(one) for one in mount.changes()]

        assert printed.decode() == case.prints
        assert result == case.result
        assert changes == [describe(file(path, text.encode())) for path, text in sorted(case.files.items())]

    def test_a_command_does_not_know_the_one_before(self, parts: RunParts) -> None:
        """Folder changes and variables go with their RUN; what was written stays."""
        printed = bytearray()

        with parts.mounter.mount(put_layers(parts.layers, BELOW)) as mount:
            parts.runner.run(Command("cd etc; W=1; export W; echo 2 > b"), mount, printed.extend)
            parts.runner.run(Command('cat etc/b; echo "<$W>"'), mount, printed.extend)

        assert printed.decode() == "2\n<>\n"


__all__ = ["BELOW", "CASES", "Case", "CommandRunnerContract"]
