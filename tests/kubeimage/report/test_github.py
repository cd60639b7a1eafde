from __future__ import annotations

from kubeimage.errors import Diagnostic, Location
from kubeimage.report.github import format_github


def test_a_finding_is_one_command_with_all_that_github_takes() -> None:
    place = Location("/repo/app/Kubefile", 3, 6, "COPY manifest .", 8)
    found = [
        Diagnostic("E0302", "100% gone:\nx, y", place, "did you mean m?"),
        Diagnostic("W06", "x", severity="warning"),
    ]

    assert format_github(found, "/repo").splitlines() == [
        "::error file=app/Kubefile,line=3,col=6,endColumn=14,title=E0302::100%25 gone:%0Ax, y%0Ahint: did you mean m?",
        "::warning title=W06::x",
    ]


def test_a_file_cannot_add_properties_of_its_own() -> None:
    found = [Diagnostic("W06", "x", Location("a,line=9::b%\n", 1), severity="warning")]

    assert format_github(found, "/repo") == (
        "::warning file=a%2Cline=9%3A%3Ab%25%0A,line=1,col=1,endColumn=2,title=W06::x"
    )
