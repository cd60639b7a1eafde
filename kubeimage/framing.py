"""Data that becomes an argument of a program, or a line of a protocol: what would end it early is refused.

A NUL ends an argument, so what stands behind it would be another one: of bwrap, say, which opens walls.
"""

from __future__ import annotations

from kubeimage.errors import UsageError

_LINE_ENDS = frozenset("\0\n\r")


def check_argument(text: str, what: str) -> None:
    """Refuse what cannot be one argument of a program, or one path.

    Raises: UsageError.
    """
    if "\0" in text:
        raise UsageError(f"{what} holds a NUL character, which no program can be handed: {text[:60]!r}")


def check_line(text: str, what: str) -> None:
    """Refuse what cannot be one line.

    Raises: UsageError.
    """
    if not _LINE_ENDS.isdisjoint(text):
        raise UsageError(f"{what} is one line of text, found {text[:60]!r}")


def check_variable(name: str, value: str) -> None:
    """Refuse what cannot be a variable of an environment.

    Raises: UsageError.
    """
    check_line(name, "the name of a variable")
    if not name or "=" in name:
        raise UsageError(f"{name!r} cannot be the name of a variable")
    check_argument(value, f"the variable {name}")
