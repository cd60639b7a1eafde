"""Diagnostics as a SARIF log, for code scanning and editors.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from kubeimage._version import __version__
from kubeimage.errors import Diagnostic, Location
from kubeimage.report.places import relative_to, with_fingerprints

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_FINGERPRINT = "kubeimage/v1"


def sarif_log(diagnostics: Iterable[Diagnostic], root: str, meanings: Mapping[str, str]) -> dict[str, Any]:
    """Return the log, ready for JSON; files are named as seen from ``root``.

    Shape: ``meanings`` says of codes what they stand for. The rules are those that were found, sorted by code.
    """
    found = list(diagnostics)
    codes = sorted({one.code for one in found})
    levels = {one.code: one.severity for one in found}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "kubeimage",
                        "version": __version__,
                        "rules": [_rule(code, meanings.get(code), levels[code]) for code in codes],
                    }
                },
                # Columns count characters, as Python does, not UTF-16's halves of them.
                "columnKind": "unicodeCodePoints",
                "results": [
                    _result(one, codes.index(one.code), fingerprint, root)
                    for one, fingerprint in with_fingerprints(root, found)
                ],
            }
        ],
    }


def _rule(code: str, meaning: str | None, level: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": code, "defaultConfiguration": {"level": level}}
    if meaning:
        rule["shortDescription"] = {"text": meaning}
    return rule


def _result(one: Diagnostic, rule: int, fingerprint: str, root: str) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": one.code,
        "ruleIndex": rule,
        "level": one.severity,
        "message": {"text": f"{one.message}\nhint: {one.hint}" if one.hint else one.message},
        "partialFingerprints": {_FINGERPRINT: fingerprint},
    }
    if one.location is not None:
        result["locations"] = [{"physicalLocation": _physical(one.location, root)}]
    return result


def _physical(place: Location, root: str) -> dict[str, Any]:
    region: dict[str, Any] = {
        "startLine": place.line,
        "startColumn": place.column,
        "endColumn": place.column + max(place.length, 1),
    }
    if place.text:
        region["snippet"] = {"text": place.text}
    path = quote(relative_to(root, place.file), errors="surrogateescape")
    # An absolute path is a URI of its own scheme; a relative one is for the reader to resolve in the repository.
    return {"artifactLocation": {"uri": f"file://{path}" if path.startswith("/") else path}, "region": region}
