"""Errors and warnings as text for a person: a compiler's message, with the line and a caret.

    error[E0203]: COPY takes at least one source and a destination, found 1 value: 'etc/'
      --> app/Kubefile:12:1
    12 | COPY etc/
       | ^^^^^^^^^
    hint: name the folder in the image, as in: COPY etc .

Source: the project's design, "The CLI" (what, where with the line and a caret, why, and a hint).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from kubeimage.errors import CommandError, Diagnostic, KubeimageError, Location

_WIDEST_LINE = 160


def format_error(error: KubeimageError) -> str:
    """Lay out all diagnostics of ``error``, and the output of a command that failed."""
    text = format_diagnostics(error.diagnostics)
    if isinstance(error, CommandError) and error.output:
        lines = error.output.splitlines()
        text += f"\nlast output ({len(lines)} {'line' if len(lines) == 1 else 'lines'}):\n" + "\n".join(
            f"  {line}" for line in lines
        )
    return text


def format_diagnostics(diagnostics: Iterable[Diagnostic]) -> str:
    """Lay out ``diagnostics``, one after the other, with a blank line between them."""
    return "\n\n".join(_format_one(diagnostic) for diagnostic in diagnostics)


def _format_one(diagnostic: Diagnostic) -> str:
    lines = [f"{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}"]
    if diagnostic.location is not None:
        lines += _format_location(diagnostic.location)
    if diagnostic.hint:
        lines.append(f"hint: {diagnostic.hint}")
    return "\n".join(lines)


def _format_location(location: Location) -> list[str]:
    lines = [f"  --> {location.file}:{location.line}:{location.column}"]
    if location.text:
        gutter = str(location.line)
        shown, before, marked = _excerpt(location)
        lines.append(f"{gutter} | {shown}")
        lines.append(f"{' ' * len(gutter)} | {' ' * before}{'^' * marked}")
    return lines


def _excerpt(location: Location) -> tuple[str, int, int]:
    """The line as it can be printed, the width before the caret, and the caret's width."""
    start = max(location.column - 1, 0)
    end = min(start + max(location.length, 1), max(len(location.text), start + 1))
    first = max(0, start - _WIDEST_LINE // 2) if len(location.text) > _WIDEST_LINE else 0
    last = min(len(location.text), first + _WIDEST_LINE)
    head, tail = ("…" if first else ""), ("…" if last < len(location.text) else "")
    shown = head + _printable(location.text[first:last]) + tail
    before = _width(head + _printable(location.text[first:start]))
    return shown, before, max(1, _width(_printable(location.text[start : min(end, last)])))


def _printable(text: str) -> str:
    return "".join(
        char if char.isprintable() else " " if char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in text
    )


def _width(text: str) -> int:
    """The columns a terminal gives to ``text``: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
