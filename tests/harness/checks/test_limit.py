from pathlib import Path

import pytest

from harness.checks.failed import CheckFailedError
from harness.checks.limit import check_layer_limit
from tests.harness.checks.conftest import Cases

CONTEXT = {"a": "1"}


def lines(count: int) -> str:
    return "FROM scratch\n" + "".join(f"COPY a {number}\n" for number in range(count))


def test_a_kubefile_at_the_limit_passes_without_a_build(make_case: Cases) -> None:
    case = make_case(lines(128))

    check_layer_limit(case)

    assert "outcome" not in vars(case)


def test_one_more_fails_with_the_whole_budget(make_case: Cases) -> None:
    with pytest.raises(
        CheckFailedError, match="an image has at most 128 layers, and this one would have 129"
    ) as raised:
        check_layer_limit(make_case(lines(129)))

    assert raised.value.location is not None
    assert raised.value.location.line == 130
    assert len(raised.value.details) == 131


def test_the_bases_layers_count(make_case: Cases, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/x").touch()
    text = lines(128).replace("scratch", "base")

    with pytest.raises(CheckFailedError, match="would have 129") as raised:
        check_layer_limit(make_case(text, bases=(("base", str(tmp_path / "base")),)))

    assert raised.value.details[1] == "    1  line 1: FROM base"


def test_a_step_that_changes_nothing_spends_nothing_of_the_runs_own_limit(make_case: Cases) -> None:
    text = "FROM scratch\nCOPY a .\nCOPY a .\n"

    check_layer_limit(make_case(text, CONTEXT, max_layers=1))


def test_long_instructions_are_cut_short_in_the_budget(make_case: Cases) -> None:
    text = f"FROM scratch\nCOPY a {'x' * 200}\nCOPY a b\n"

    with pytest.raises(CheckFailedError) as raised:
        check_layer_limit(make_case(text, CONTEXT, max_layers=1))

    assert max(map(len, raised.value.details)) < 110
