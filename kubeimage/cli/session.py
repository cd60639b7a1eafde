"""One call of the program: the options that every command has, and the wish to stop it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from kubeimage.image.reference import Naming
    from kubeimage.settings import Settings

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


class Interrupted(KeyboardInterrupt):
    """The process was asked to stop by a signal other than that of Ctrl-C."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = number


class Session:
    """One call of the program.

    Shape: ``root`` None leaves the choice to the API; ``config`` None means the configuration file's usual place.
           ``insecure`` are registries that need not prove who they are.
           ``as_json`` asks for errors as JSON lines.
    """

    def __init__(self) -> None:
        self.root: str | None = None
        self.config: str | None = None
        self.debug = False
        self.as_json = False
        self.insecure: tuple[str, ...] = ()

    @cached_property
    def settings(self) -> Settings:
        """What the configuration file says.

        Raises: SettingsError.
        """
        from kubeimage.settings import read_settings

        return read_settings(self.config).with_insecure(self.insecure)

    @property
    def naming(self) -> Naming:
        """How short names are completed.

        Raises: SettingsError.
        """
        return self.settings.naming


def common_options(function: _Decorated) -> _Decorated:
    """Add ``--root``, ``--config`` and ``--debug``, which may stand before a command and behind it."""
    root = click.option(
        "--root",
        type=click.Path(),
        metavar="DIR",
        expose_value=False,
        is_eager=True,
        callback=_remember,
        help="The store; else $KUBEIMAGE_ROOT, else the system's or the user's.",
    )
    config = click.option(
        "--config",
        type=click.Path(),
        metavar="FILE",
        expose_value=False,
        is_eager=True,
        callback=_remember,
        help="The configuration file; else $XDG_CONFIG_HOME/kubeimage/config.toml.",
    )
    debug = click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_remember,
        help="Show the traceback of an error.",
    )
    return root(config(debug(function)))


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value:
        setattr(context.ensure_object(Session), str(parameter.name), value)
    elif value == "":
        raise click.BadParameter("is empty")
