from __future__ import annotations

from kubeimage.errors import Diagnostic, Location
from kubeimage.report.places import relative_to, with_fingerprints


def fingerprints(*found: Diagnostic) -> list[str]:
    return [fingerprint for _, fingerprint in with_fingerprints("/repo", found)]


def test_files_are_named_from_the_root() -> None:
    assert relative_to("/repo", "a/../b/Kubefile") == "b/Kubefile"
    assert relative_to("/repo", "/repo/b/Kubefile") == "b/Kubefile"
    assert relative_to("/repo", "/other/Kubefile") == "/other/Kubefile"
    assert relative_to("/repo/a", "../b/Kubefile") == "/repo/b/Kubefile"


def test_a_finding_keeps_its_fingerprint_when_its_line_moves() -> None:
    here = Diagnostic("W06", "x", Location("K", 1, 1, "FROM a"))
    moved = Diagnostic("W06", "x", Location("/repo/K", 7, 3, "  FROM a"))

    assert fingerprints(here) == fingerprints(moved)


def test_no_two_findings_share_a_fingerprint() -> None:
    place = Location("K", 1, 1, "RUN a")
    found = [
        Diagnostic("W01", "x", place),
        Diagnostic("W01", "x", place),
        Diagnostic("W02", "x", place),
        Diagnostic("W01", "x", place._replace(file="L")),
        Diagnostic("W01", "x", place._replace(text="RUN b")),
        Diagnostic("W01", "x", place._replace(text="")),
        Diagnostic("W01", "y"),
    ]

    assert len(set(fingerprints(*found))) == len(found)
