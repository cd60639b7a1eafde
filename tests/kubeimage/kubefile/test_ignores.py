from __future__ import annotations

import pytest

from kubeimage.kubefile import Advice, Mistake, lint, parse
from kubeimage.kubefile.ignores import Ignores, is_ignorable


@pytest.mark.parametrize(
    "text",
    [
        "FROM a # lint: ignore=W06",
        "FROM a #lint:ignore=W06",
        "# lint: ignore=W06\nFROM a",
        "# lint: ignore=W04,W06\n# why: it is what we test\n\nFROM a",
        "FROM a:v1\n# lint: ignore=W17\nRUN a \\\n  && cat <<EOF",
        "FROM a:v1\nRUN a \\\n# lint: ignore=W17\n  && cat <<EOF",
        "FROM a:v1\nCOPY a/ \\\n  b # lint: ignore=W15",
        "FROM a:v1\nRUN cat <<EOF # lint: ignore=W17",
    ],
    ids=["end", "no blanks", "before", "not just before", "whole instruction", "within", "last line", "shell"],
)
def test_a_comment_silences_advice_on_its_instruction(text: str) -> None:
    assert lint(parse(text)) == ()
    assert lint(parse(text.replace("lint:", "like:"))) != ()


@pytest.mark.parametrize(
    "text",
    [
        "FROM a # lint: ignore=W07",
        "FROM a # lint: ignore=",
        "FROM a\n# lint: ignore=W06",
        "# lint: ignore=W06\nARG A=1\nFROM a\nRUN $A",
        "FROM a # lint: ignore=W06 is fine here",
    ],
    ids=["another code", "no code", "behind", "on another instruction", "prose"],
)
def test_a_comment_silences_nothing_else(text: str) -> None:
    assert "W06" in [one.code for one in lint(parse(text))]


def test_a_comment_within_an_instruction_speaks_of_one_line() -> None:
    ignores = Ignores(parse("FROM a:v1\nRUN a \\\n# lint: ignore=W18\n  b \\\n  c"))

    assert [ignores.silence("W18", line) for line in range(1, 6)] == [False, False, False, True, False]


def test_advice_may_be_silenced_and_mistakes_of_the_language_may_not() -> None:
    assert all(is_ignorable(advice.code) for advice in Advice)
    assert not any(is_ignorable(mistake.code) for mistake in Mistake)
    assert is_ignorable("E0302")
