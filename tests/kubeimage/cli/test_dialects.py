"""How the command line chooses a dialect, and where it says which one it was."""

import json
from pathlib import Path

import pytest

from .conftest import MakeContext, Run

TEXT = "FROM scratch\nCOPY d x\n"
PLACES = {"sealer": "x/d/a", "sealos": "x/a"}


def planned(run: Run, *arguments: str) -> tuple[str, str]:
    """Return the dialect that a plan names, and where it puts the file."""
    (step,) = json.loads(run("plan", "--format=json", *arguments).stdout)
    return step["dialect"], step["paths"][-1]


@pytest.mark.parametrize(
    ("name", "head", "options", "setting", "expected"),
    [
        ("Kubefile", "", [], "", "sealer"),
        ("Kubefile", "", [], "sealos", "sealos"),
        ("Kubefile", "", ["--dialect=sealos"], "sealer", "sealos"),
        ("Kubefile", "# syntax=sealer\n", [], "sealos", "sealer"),
        ("Dockerfile", "", [], "", "sealos"),
        ("Sealfile", "", ["--dialect=sealer"], "", "sealer"),
    ],
)
def test_the_choice_goes_by_flag_directive_name_and_setting(
    run: Run,
    make_context: MakeContext,
    tmp_path: Path,
    name: str,
    head: str,
    options: list[str],
    setting: str,
    expected: str,
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'dialect = "{setting}"\n' if setting else "")
    context = str(make_context({name: head + TEXT, "d/a": "1"}))

    assert planned(run, "--config", str(config), *options, context) == (expected, PLACES[expected])


@pytest.mark.parametrize("kept", ["Kubefile", "kubefile", "Sealfile", "Dockerfile", "Containerfile"])
def test_without_a_name_the_first_file_that_is_there_is_taken(run: Run, make_context: MakeContext, kept: str) -> None:
    names = ["Kubefile", "kubefile", "Sealfile", "Dockerfile", "Containerfile"]
    files = {name: f"FROM scratch\nCOPY {name} .\n" for name in names[names.index(kept) :]}

    assert planned(run, str(make_context(files)))[1] == kept


def test_history_and_events_name_the_dialect(run: Run, make_context: MakeContext) -> None:
    context = make_context({"Sealfile": TEXT, "d/a": "1"})

    told = run("build", "-t", "x:1", "--progress=json", context).stderr.splitlines()

    assert json.loads(told[0])["dialect"] == "sealos"
    assert json.loads(run("history", "x:1", "--format=json").stdout)[0]["dialect"] == "sealos"


def test_a_setting_that_is_no_dialect_is_an_error(run: Run, make_context: MakeContext, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('dialect = "docker"\n')

    ended = run("plan", "--config", str(tmp_path / "config.toml"), make_context({"Kubefile": TEXT}), status=2)

    assert "'docker'" in ended.stderr
    assert "sealos" in ended.stderr
