"""Diagnostics on a terminal or in a file: in colour and within the width where somebody looks, plain elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, TextIO

import click

from kubeimage.cli.output import shorten
from kubeimage.report.text import Line, Role

_LONGEST = 2000

STYLES: dict[Role, dict[str, Any]] = {
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow", "bold": True},
    "note": {"fg": "cyan", "bold": True},
    "message": {},
    "place": {"fg": "blue"},
    "gutter": {"fg": "blue"},
    "line": {},
    "error caret": {"fg": "red", "bold": True},
    "warning caret": {"fg": "yellow", "bold": True},
    "hint": {"fg": "cyan", "bold": True},
    "output": {},
}


def width_of(stream: TextIO) -> int | None:
    """Return the columns of the terminal that ``stream`` leads to, None where it is no terminal."""
    if not is_looked_at(stream):
        return None
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return None
    # Some terminals do not know. Of the others some break a line that is just full, so one column stays free.
    return columns - 1 if columns > 0 else None


def is_looked_at(stream: TextIO) -> bool:
    """Return whether ``stream`` leads to a terminal that can do more than print."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def render(lines: Iterable[Line], stream: TextIO) -> str:
    """Return laid-out lines for ``stream``, with nothing that a terminal would obey but colours."""
    colours = takes_colours(stream)
    return "\n".join(_render_line(line, colours=colours) for line in lines)


def takes_colours(stream: TextIO) -> bool:
    """Return whether somebody looks at ``stream`` who has not asked for no colours.

    Source: no-color.org.
    """
    return is_looked_at(stream) and not os.environ.get("NO_COLOR")


def _render_line(line: Line, *, colours: bool) -> str:
    pieces = ((shorten(piece.text, _LONGEST), STYLES[piece.role] if colours else {}) for piece in line)
    return "".join(click.style(text, **style) if style and text else text for text, style in pieces)
