"""Diagnostics as workflow commands: GitHub shows them beside the lines of a pull request.

Source: GitHub's documentation, "Workflow commands for GitHub Actions" (error, warning; escapes).
"""

from __future__ import annotations

from collections.abc import Iterable

from kubeimage.errors import Diagnostic
from kubeimage.report.places import relative_to

_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}


def format_github(diagnostics: Iterable[Diagnostic], root: str) -> str:
    """Return one workflow command a line; files are named as seen from ``root``."""
    return "\n".join(_command(one, root) for one in diagnostics)


def _command(one: Diagnostic, root: str) -> str:
    properties = {"title": one.code}
    if (place := one.location) is not None:
        properties = {
            "file": relative_to(root, place.file),
            "line": str(place.line),
            "col": str(place.column),
            "endColumn": str(place.column + max(place.length, 1)),
            **properties,
        }
    said = ",".join(f"{key}={_escape(value, _PROPERTY)}" for key, value in properties.items())
    text = f"{one.message}\nhint: {one.hint}" if one.hint else one.message
    kind = "notice" if one.severity == "note" else one.severity
    return f"::{kind} {said}::{_escape(text, _DATA)}"


def _escape(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(char, char) for char in text)
