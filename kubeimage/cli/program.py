"""The group of commands: imports one when it is called, and is the one place where errors become exit statuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import click

from kubeimage.cli.session import Session


class LazyCommand(NamedTuple):
    """A command that is not imported yet. Shape: ``target`` is ``module:name``."""

    target: str
    help: str


class Program(click.Group):
    """A click group whose commands are imported when they are needed, and not for ``--help``."""

    def __init__(self, *, commands_by_name: Mapping[str, LazyCommand], **settings: Any) -> None:
        super().__init__(**settings)
        self._lazy = commands_by_name

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the commands in the order of the table, which is that of the help."""
        return list(self._lazy)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and give a command."""
        lazy = self._lazy.get(cmd_name)
        if lazy is None:
            return None
        module, _, name = lazy.target.partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.help) for name, lazy in self._lazy.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that ``args`` starts with; for an unknown one, say which was meant."""
        name = args[0]
        if name not in self._lazy and not name.startswith("-") and not ctx.resilient_parsing:
            raise _unknown_command(name, self._lazy)
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002  click's test runner and completion call with click's own signature
        **extra: Any,
    ) -> NoReturn:
        """Run, report what goes wrong, and leave with the exit status."""
        name = prog_name or "kubeimage"
        self._complete(name, complete_var, extra)
        session = Session()
        try:
            status = self._run(list(sys.argv[1:] if args is None else args), name, session, extra)
        except BaseException as error:  # noqa: BLE001  the one place: whatever it is becomes a message and a status
            from kubeimage.cli.failures import report_failure

            status = report_failure(error, session)
        sys.exit(status)

    def _run(self, args: list[str], name: str, session: Session, extra: dict[str, Any]) -> int:
        try:
            with self.make_context(name, args, obj=session, **extra) as context:
                status = self.invoke(context)
        except click.exceptions.Exit as leaving:
            status = leaving.exit_code
        # Here a reader that has gone away can still be reported.
        sys.stdout.flush()
        return status if isinstance(status, int) else 0

    def _complete(self, name: str, variable: str | None, extra: dict[str, Any]) -> None:
        variable = variable or f"_{name.upper().replace('-', '_')}_COMPLETE"
        instruction = os.environ.get(variable)
        if instruction:
            from click.shell_completion import shell_complete

            sys.exit(shell_complete(self, extra, name, variable, instruction))


def _unknown_command(name: str, known: Mapping[str, LazyCommand]) -> Exception:
    from difflib import get_close_matches

    from kubeimage.errors import UsageError

    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "kubeimage --help lists the commands"
    return UsageError(f"no such command: {name!r}", hint=hint)
