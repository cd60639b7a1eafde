import json
from pathlib import Path

import pytest

from tests.kubeimage.cli.conftest import MakeContext, Run

GOOD = "FROM scratch\nCOPY a .\n"
UNWISE = 'FROM scratch\nCOPY a .\nCMD ["helm", "install"]\n'


def test_a_good_kubefile_prints_nothing(run: Run, make_context: MakeContext) -> None:
    path = make_context({"Kubefile": GOOD}) / "Kubefile"

    result = run("lint", path)

    assert (result.stdout, result.stderr) == ("", f"{path}: nothing to say against it\n")


def test_advice_is_shown_and_fails_only_when_strict(run: Run, make_context: MakeContext) -> None:
    context = make_context({"kubefile": UNWISE})

    result = run("lint", context)

    assert result.stdout.startswith("warning[W02]: ")
    assert result.stderr == f"{context}/kubefile: 1 warning\n"
    assert run("lint", "--strict", context, status=1).stdout == result.stdout


def test_all_mistakes_are_shown_on_standard_output(run: Run, make_context: MakeContext) -> None:
    path = make_context({"K": "FROM scratch\nCOPY a\nFORM x\n"}) / "K"

    result = run("lint", path, status=2)

    assert [line for line in result.stdout.splitlines() if line.startswith("error")] == [
        "error[E0203]: COPY takes at least one source and a destination, found 1 value: 'a'",
        "error[E0201]: unknown instruction FORM (did you mean FROM?)",
    ]
    assert result.stderr == f"{path}: 2 errors\n"


@pytest.mark.parametrize(
    ("text", "status", "codes"), [(GOOD, 0, []), (UNWISE, 0, ["W02"]), ("FROM scratch\nCOPY a\n", 2, ["E0203"])]
)
def test_findings_are_a_list_in_json(
    text: str, status: int, codes: list[str], run: Run, make_context: MakeContext
) -> None:
    path = make_context({"K": text}) / "K"

    found = json.loads(run("lint", "--format=json", path, status=status).stdout)

    assert [one["code"] for one in found] == codes
    assert {one["file"] for one in found} <= {str(path)}


def test_a_missing_kubefile_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    result = run("lint", tmp_path / "nowhere", status=2)

    assert result.stdout == ""
    assert result.stderr.startswith(f"error[E0101]: no Kubefile at '{tmp_path}/nowhere'\n")
