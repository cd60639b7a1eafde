"""Tables of texts and the images in them; cases/README.md says how they are written."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from kubeimage.discovery.findings import Findings
from kubeimage.discovery.imagelist import find_in_list
from kubeimage.discovery.manifests import find_in_manifest
from kubeimage.discovery.references import familiar

CASES = Path(__file__).parent / "cases"


class Case(NamedTuple):
    kind: str
    title: str
    text: str
    expected: list[str]


def read_cases() -> Iterator[Case]:
    for path in sorted(CASES.glob("*.txt")):
        for part in path.read_text().split("#### ")[1:]:
            title, _, rest = part.partition("\n")
            text, _, expected = f"\n{rest}".partition("\n====\n")
            yield Case(path.stem, title, text.removeprefix("\n"), [one for one in expected.split("\n") if one])


ALL_CASES = list(read_cases())


def test_there_are_cases_enough_and_no_two_have_one_title() -> None:
    titles = [(case.kind, case.title) for case in ALL_CASES]

    assert len(set(titles)) == len(titles) >= 200


@pytest.mark.parametrize("case", [pytest.param(one, id=f"{one.kind}: {one.title}") for one in ALL_CASES])
def test_finds_what_the_table_says(case: Case) -> None:
    find = find_in_list if case.kind == "lists" else find_in_manifest

    findings = find(case.text, "f")

    assert shown(found(findings), case.expected, "=~") == sorted(one for one in case.expected if one[0] in "=~")
    assert shown(skipped(findings), case.expected, "-") == sorted(one for one in case.expected if one[0] == "-")
    assert shown(refused(findings), case.expected, "!") == sorted(one for one in case.expected if one[0] == "!")


def found(findings: Findings) -> list[str]:
    return [f"{'=' if one.certain else '~'} {familiar(one.image)} @ {one.place}" for one in findings.found]


def skipped(findings: Findings) -> list[str]:
    empty = '""'
    return [f"- {one.text or empty} :: {one.reason}" for one in findings.skipped]


def refused(findings: Findings) -> list[str]:
    empty = '""'
    return [f"! {one.text or empty} :: {one.reason}" for one in findings.unreadable]


def shown(actual: list[str], expected: list[str], signs: str) -> list[str]:
    """Return what was found as the table writes it: the first expectation that it fits, each used once."""
    waiting = sorted((one for one in expected if one[0] in signs), key=len, reverse=True)
    lines = []
    for line in actual:
        fitting = next((one for one in waiting if fits(line, one)), None)
        lines.append(fitting or line)
        if fitting is not None:
            waiting.remove(fitting)
    return sorted(lines)


def fits(line: str, expected: str) -> bool:
    for separator in (" @ ", " :: "):
        name, there, rest = expected.partition(separator)
        if there:
            return line.startswith(name + separator) and rest in line.removeprefix(name + separator)
    return line.startswith(f"{expected} @ ")
