from __future__ import annotations

from kubeimage.errors import Diagnostic, Location
from kubeimage.report.gitlab import gitlab_report


def test_an_issue_has_what_gitlab_asks_for() -> None:
    place = Location("/repo/app/Kubefile", 3, 6, "COPY manifest .", 8)
    found = [
        Diagnostic("E0302", "nothing there", place, "did you mean 'm'?"),
        Diagnostic("W06", "x", place, severity="warning"),
        Diagnostic("E0101", "without a place"),
    ]

    first, second = gitlab_report(found, "/repo")

    assert len(first.pop("fingerprint")) == 64
    assert first == {
        "type": "issue",
        "check_name": "E0302",
        "description": "E0302: nothing there (hint: did you mean 'm'?)",
        "severity": "major",
        "location": {"path": "app/Kubefile", "lines": {"begin": 3}},
    }
    assert second["severity"] == "minor"
