"""Errors and warnings as text for a person: a compiler's message, with the line and a caret.

    error[E0203]: COPY takes at least one source and a destination, found 1 value: 'etc/'
      --> app/Kubefile:12:1
    12 | COPY etc/
       | ^^^^^^^^^
    hint: name the folder in the image, as in: COPY etc .

Source: the project's design, "The CLI" (what, where with the line and a caret, why, and a hint).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from kubeimage.errors import CommandError, Diagnostic, KubeimageError, Location, Severity
from kubeimage.report.columns import columns, wrap

_WIDEST_LINE = 160
_NARROWEST_LINE = 20

Role = Literal[
    "error", "warning", "note", "message", "place", "gutter", "line", "error caret", "warning caret", "hint", "output"
]


class Piece(NamedTuple):
    """A part of a line, and what it is."""

    text: str
    role: Role


Line = tuple[Piece, ...]


def format_error(error: KubeimageError) -> str:
    """Return all diagnostics of ``error`` as text, and the output of a command that failed."""
    return _join(lay_out_error(error))


def format_diagnostics(diagnostics: Iterable[Diagnostic]) -> str:
    """Return ``diagnostics`` as text, one after the other, with a blank line between them."""
    return _join(lay_out(diagnostics))


def lay_out_error(error: KubeimageError, width: int | None = None) -> Iterator[Line]:
    """Yield the lines of ``error``, as `lay_out` does, and the output of a command that failed."""
    yield from lay_out(error.diagnostics, width)
    if isinstance(error, CommandError) and error.output:
        lines = error.output.splitlines()
        yield (Piece(f"last output ({len(lines)} {'line' if len(lines) == 1 else 'lines'}):", "message"),)
        yield from ((Piece(f"  {line}", "output"),) for line in lines)


def lay_out(diagnostics: Iterable[Diagnostic], width: int | None = None) -> Iterator[Line]:
    """Yield the lines of ``diagnostics``, with an empty one between two of them.

    Units: with ``width``, in columns, messages and hints are parted at blanks, and lines of files are cut.
    """
    for number, diagnostic in enumerate(diagnostics):
        if number:
            yield ()
        yield from _lay_out_one(diagnostic, width)


def _join(lines: Iterable[Line]) -> str:
    return "\n".join("".join(piece.text for piece in line) for line in lines)


def _lay_out_one(diagnostic: Diagnostic, width: int | None) -> Iterator[Line]:
    head = f"{diagnostic.severity}[{diagnostic.code}]"
    first, *more = _wrapped(diagnostic.message, width, first=columns(head) + 2, indent=2)
    yield (Piece(head, diagnostic.severity), Piece(f": {first}", "message"))
    yield from ((Piece(line, "message"),) for line in more)
    if diagnostic.location is not None:
        yield from _lay_out_location(diagnostic.location, diagnostic.severity, width)
    if diagnostic.hint:
        first, *more = _wrapped(diagnostic.hint, width, first=6, indent=6)
        yield (Piece("hint:", "hint"), Piece(f" {first}", "message"))
        yield from ((Piece(line, "message"),) for line in more)


def _wrapped(text: str, width: int | None, *, first: int, indent: int) -> list[str]:
    return [text] if width is None else wrap(text, max(width, _NARROWEST_LINE), first=first, indent=indent)


def _lay_out_location(location: Location, severity: Severity, width: int | None) -> Iterator[Line]:
    yield (Piece(f"  --> {location.file}:{location.line}:{location.column}", "place"),)
    if location.text:
        gutter = str(location.line)
        widest = _WIDEST_LINE if width is None else max(_NARROWEST_LINE, width - len(gutter) - 3)
        shown, before, marked = _excerpt(location, widest)
        yield (Piece(f"{gutter} | ", "gutter"), Piece(shown, "line"))
        caret: Role = "error caret" if severity == "error" else "warning caret"
        yield (Piece(f"{' ' * len(gutter)} | ", "gutter"), Piece(" " * before, "line"), Piece("^" * marked, caret))


def _excerpt(location: Location, widest: int) -> tuple[str, int, int]:
    """Return the line as it can be printed in ``widest`` columns, the columns before the caret, and the caret's."""
    text = location.text
    start = max(location.column - 1, 0)
    end = min(start + max(location.length, 1), max(len(text), start + 1))
    first, last = _window(text, start, widest)
    head, tail = ("…" if first else ""), ("…" if last < len(text) else "")
    shown = head + _printable(text[first:last]) + tail
    before = columns(head + _printable(text[first:start]))
    return shown, before, max(1, columns(_printable(text[start : min(end, last)])))


def _window(text: str, start: int, widest: int) -> tuple[int, int]:
    """Return the part of ``text`` to show: all of it, or what fits around ``start``, a third of it before."""
    if len(text) <= widest and columns(_printable(text)) <= widest:
        return 0, len(text)
    room = widest - 2
    behind = _reach(text[start : start + room], room * 2 // 3)
    before = _reach(text[max(start - room, 0) : start][::-1], room - columns(_printable(text[start : start + behind])))
    first = max(start - before, 0)
    behind = _reach(text[start : start + room], room - columns(_printable(text[first:start])))
    return first, min(start + behind, len(text))


def _reach(text: str, room: int) -> int:
    """Return how many characters from the start of ``text`` fit into ``room`` columns."""
    taken = 0
    for index, char in enumerate(text):
        taken += columns(_printable(char))
        if taken > room:
            return index
    return len(text)


def _printable(text: str) -> str:
    return "".join(
        char if char.isprintable() else " " if char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in text
    )
