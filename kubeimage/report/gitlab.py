"""Diagnostics as a Code Quality report: GitLab shows them in merge requests.

Source: GitLab's documentation, "Code Quality report format".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kubeimage.errors import Diagnostic
from kubeimage.report.places import relative_to, with_fingerprints

_SEVERITIES = {"error": "major", "warning": "minor", "note": "info"}


def gitlab_report(diagnostics: Iterable[Diagnostic], root: str) -> list[dict[str, Any]]:
    """Return the report, ready for JSON; files are named as seen from ``root``.

    Shape: a finding without a place is left out, for the format has none for it.
    """
    return [_issue(one, fingerprint, root) for one, fingerprint in with_fingerprints(root, diagnostics) if one.location]


def _issue(one: Diagnostic, fingerprint: str, root: str) -> dict[str, Any]:
    assert one.location is not None
    return {
        "type": "issue",
        "check_name": one.code,
        "description": f"{one.code}: {one.message}" + (f" (hint: {one.hint})" if one.hint else ""),
        "fingerprint": fingerprint,
        "severity": _SEVERITIES[one.severity],
        "location": {"path": relative_to(root, one.location.file), "lines": {"begin": one.location.line}},
    }
