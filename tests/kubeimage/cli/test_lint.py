from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kubeimage.cli import program
from tests.kubeimage.cli.conftest import MakeContext, Run

GOOD = "FROM scratch\nCOPY a .\n"
UNWISE = 'FROM scratch\nCOPY a .\nCMD ["helm", "install"]\n'
BAD = "FROM scratch\nCOPY a\nFORM x\n"


def from_standard_input(text: str, *arguments: str | Path, status: int = 0) -> Any:
    """Lint what stands on standard input."""
    result = CliRunner().invoke(program, ["lint", *map(str, arguments)], input=text)
    assert result.exit_code == status, result.stderr
    return result


def test_a_good_kubefile_prints_nothing(run: Run, make_context: MakeContext) -> None:
    path = make_context({"Kubefile": GOOD, "a": ""}) / "Kubefile"

    result = run("lint", path)

    assert (result.stdout, result.stderr) == ("", f"{path}: nothing to say against it\n")


def test_advice_is_shown_and_fails_only_when_strict(run: Run, make_context: MakeContext) -> None:
    context = make_context({"kubefile": UNWISE, "a": ""})

    result = run("lint", context)

    assert result.stdout.startswith("warning[W02]: ")
    assert result.stderr == f"{context}/kubefile: 1 warning\n"
    assert run("lint", "--strict", context, status=1).stdout == result.stdout


def test_all_mistakes_are_shown_on_standard_output(run: Run, make_context: MakeContext) -> None:
    path = make_context({"K": BAD}) / "K"

    result = run("lint", path, status=2)

    assert [line for line in result.stdout.splitlines() if line.startswith("error")] == [
        "error[E0203]: COPY takes at least one source and a destination, found 1 value: 'a'",
        "error[E0201]: unknown instruction FORM (did you mean FROM?)",
    ]
    assert result.stderr == f"{path}: 2 errors\n"


@pytest.mark.parametrize(
    ("text", "status", "codes"), [(GOOD, 0, []), (UNWISE, 0, ["W02"]), (BAD, 2, ["E0203", "E0201"])]
)
@pytest.mark.parametrize("form", ["json", "gitlab", "sarif"])
def test_findings_are_json_in_three_forms(
    form: str, text: str, status: int, codes: list[str], run: Run, make_context: MakeContext
) -> None:
    path = make_context({"K": text, "a": ""}) / "K"

    found = json.loads(run("lint", f"--format={form}", path, status=status).stdout)

    of_form = {
        "json": lambda: [(one["code"], one["file"]) for one in found],
        "gitlab": lambda: [(one["check_name"], one["location"]["path"]) for one in found],
        "sarif": lambda: [
            (one["ruleId"], one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].removeprefix("file://"))
            for one in found["runs"][0]["results"]
        ],
    }
    assert of_form[form]() == [(code, str(path)) for code in codes]


def test_workflow_commands_name_files_from_where_one_is(
    run: Run, make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context({"app/K": UNWISE, "app/a": ""})
    monkeypatch.chdir(context)

    result = run("lint", "--format=github", context / "app/K")

    assert result.stdout.startswith("::warning file=app/K,line=3,col=1,endColumn=24,title=W02::a CMD array ")
    assert result.stdout.count("\n") == 1
    assert "%0Ahint: " in result.stdout


def test_many_paths_are_checked_and_summed_up(run: Run, make_context: MakeContext) -> None:
    context = make_context(
        {"x/Kubefile": UNWISE, "x/a": "", "y/z/kubefile": BAD, ".git/Kubefile": BAD, "K": UNWISE, "a": ""}
    )

    result = run("lint", context / "x", context, context / "K", status=2)

    assert result.stderr == "3 Kubefiles: 2 errors, 2 warnings\n"
    assert [line.partition("[")[0] for line in result.stdout.splitlines() if "]: " in line] == [
        "warning",
        "error",
        "error",
        "warning",
    ]


def test_good_kubefiles_are_counted(run: Run, make_context: MakeContext) -> None:
    context = make_context({"x/Kubefile": GOOD, "x/a": "", "y/Kubefile": GOOD, "y/a": ""})

    assert run("lint", context).stderr == "2 Kubefiles: nothing to say against them\n"


def test_standard_input_is_linted_as_the_file_that_it_will_be(make_context: MakeContext) -> None:
    context = make_context({"a": ""})

    result = from_standard_input(UNWISE, "-", "--stdin-filename", context / "Kubefile")

    assert f"--> {context}/Kubefile:3:1\n" in result.stdout
    missing = from_standard_input("FROM scratch\nCOPY b .\n", "-", "--stdin-filename", context / "Kubefile", status=2)
    assert missing.stdout.startswith("error[E0302]: ")


def test_standard_input_without_a_name_has_no_context() -> None:
    result = from_standard_input("FROM scratch\nCOPY b .\n", "-")

    assert result.stderr == "<stdin>: nothing to say against it\n"


def test_another_context_is_named(run: Run, make_context: MakeContext) -> None:
    context = make_context({"docker/Kubefile": GOOD, "src/a": ""})

    assert "nothing to say" in run("lint", "--context", context / "src", context / "docker").stderr
    assert run("lint", context / "docker", status=2).stdout.startswith("error[E0302]: ")


def test_what_is_allowed_is_not_told(run: Run, make_context: MakeContext) -> None:
    context = make_context({"Kubefile": f"{UNWISE}COPY gone .\n", "a": ""})

    result = run("lint", "--strict", "--allow", "W02", "--allow=E0302", context)

    assert (result.stdout, result.stderr) == ("", f"{context}/Kubefile: nothing to say against it\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "error[E0101]: no Kubefile at 'nowhere'\n"),
        (["."], "error[E0101]: no Kubefile in '.' or below it\n"),
        (["--allow=W99", "K"], "error[E0101]: there is no advice 'W99'\nhint: the codes are W01, "),
        (["--allow=E0201", "K"], "error[E0101]: E0201 is a mistake, "),
        (["--stdin-filename=K", "K"], "error[E0101]: --stdin-filename goes with -"),
        (["-", "K"], "error[E0101]: - stands for the one Kubefile on standard input"),
        (["--format=table", "K"], "error[E0101]: invalid value for '--format'"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_linted(
    arguments: list[str], message: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = run("lint", *arguments, status=2)

    assert result.stdout == ""
    assert result.stderr.startswith(message)
