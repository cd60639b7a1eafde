from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from harness.strategies import Project, projects
from harness.trees import write_tree
from kubeimage.builder.plan import BuildOptions
from kubeimage.errors import BuildArgError, Diagnostic
from kubeimage.image.platform import Platform
from kubeimage.kubefile import parse
from kubeimage.lint import lint_bytes, lint_kubefile

FIXTURES = Path(__file__).parents[3] / "fixtures"
PROJECTS = sorted(path.parent for path in FIXTURES.glob("*/Kubefile"))


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)
def test_the_example_projects_are_worth_no_advice(project: Path) -> None:
    file = project / "Kubefile"

    advice = lint_bytes(file.read_bytes(), file=str(file), context=str(project))

    assert [one for one in advice if one.severity != "note"] == []


def test_a_bad_kubefile_is_diagnostics_and_no_exception() -> None:
    assert [one.code for one in lint_bytes(b"FORM x\nCOPY", file="K", context=".")] == ["E0201", "E0203"]


def test_allowed_codes_are_not_told(tmp_path: Path) -> None:
    kubefile = parse("FROM a\nCOPY nix .\nCMD x\nCMD x\n")

    assert [one.code for one in lint_kubefile(kubefile, str(tmp_path), allow=["W04", "E0302"])] == ["W06"]


def test_a_build_argument_that_no_arg_declares_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(BuildArgError):
        lint_kubefile(parse("FROM a:v1"), str(tmp_path), BuildOptions(build_args={"X": "1"}))


def test_a_context_that_is_not_there_is_an_error_among_the_advice(tmp_path: Path) -> None:
    found = lint_kubefile(parse("FROM a"), str(tmp_path / "nowhere"))

    assert [one.code for one in found] == ["E0301", "W06"]


def advice_on(project: Project) -> tuple[Diagnostic, ...]:
    declared = {key: value for key, value in project.build_args.items() if key in project.kubefile.declared}
    options = BuildOptions(build_args=declared, platform=Platform.parse(project.platform))
    with tempfile.TemporaryDirectory() as folder:
        write_tree(folder, project.context)
        return lint_kubefile(project.kubefile, folder, options)


@given(projects())
@settings(max_examples=20)
def test_what_can_be_built_has_no_errors(project: Project) -> None:
    assert [one for one in advice_on(project) if one.severity == "error"] == []


@given(projects(hostile=True))
@settings(max_examples=20)
def test_no_context_ends_in_an_exception(project: Project) -> None:
    assert all(one.location is not None for one in advice_on(project))
