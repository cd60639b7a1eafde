"""Text for people and for programs: tables, JSON, sizes, and what a terminal must not be told."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Sequence
from typing import Any, TextIO

import click

from kubeimage.errors import Diagnostic
from kubeimage.report.columns import columns

# CSI, OSC and the other strings that a terminal obeys, whole.
_ESCAPES = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\`-~])"
# Control characters but the tab, and those that turn the direction of writing.
_TURNING = "\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_CONTROLS = f"[\x00-\x08\x0a-\x1f\x7f-\x9f{_TURNING}\ud800-\udfff]"
_BEYOND_JSON = f"[\x7f-\x9f{_TURNING}\ud800-\udfff]"
_BEYOND_LINES = f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_TURNING}\ud800-\udfff]"
_DIGEST = r"(sha256:[0-9a-f]{12})[0-9a-f]{52}"

format_option = click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print."
)


def harmless(text: str) -> str:
    """Return ``text`` without what a terminal would obey rather than show; tabs stay."""
    return re.sub(_CONTROLS, "\N{REPLACEMENT CHARACTER}", re.sub(_ESCAPES, "", text))


def shorten(text: str, width: int) -> str:
    """Cut ``text`` to ``width`` characters, made harmless."""
    shown = harmless(text)
    return shown if len(shown) <= width else f"{shown[: width - 1]}…"


def shorten_digests(text: str) -> str:
    """Cut the digests in ``text`` to the characters that people compare."""
    return re.sub(_DIGEST, r"\1", text)


def count(number: int, noun: str) -> str:
    """Return ``1 step`` or ``2 steps``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def format_json(value: object, *, indent: int | None = 2) -> str:
    """Return ``value`` as JSON, readable and with no character that a terminal would obey."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return re.sub(_BEYOND_JSON, lambda found: f"\\u{ord(found[0]):04x}", text)


def is_text(value: str) -> bool:
    """Return whether a text holds nothing but characters that people see, and line ends."""
    return re.search(_BEYOND_LINES, value) is None


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out ``rows`` in columns parted by two blanks; the last column is as wide as it likes."""
    lines = [list(header), *([harmless(cell).replace("\t", " ") for cell in row] for row in rows)]
    widths = [max(map(columns, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell + " " * (width - columns(cell)) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def diagnostic_to_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """Return ``diagnostic`` as one flat object; what it does not have is null."""
    place = diagnostic.location
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
    }


def give_up(stream: TextIO) -> None:
    """Drop all that is still to be written to ``stream``, so that the interpreter's last flush succeeds."""
    with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
