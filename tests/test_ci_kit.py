"""What people copy into their CI: it is valid, tidy, and its commands do what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from kubeimage.api.linting import is_kubefile_name
from tests.plugins import ALONE

ROOT = Path(__file__).parent.parent
ACTION, TEMPLATE, HOOKS = (
    ROOT / "ci/github/action.yml",
    ROOT / "ci/gitlab/kubeimage.yml",
    ROOT / ".pre-commit-hooks.yaml",
)
PAGE = ROOT / "docs/ci.md"
KIT = [ACTION, TEMPLATE, HOOKS]
_INPUT = re.compile(r"^\$\{\{ inputs\.([a-z-]+) \}\}$")


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def schema(name: str) -> Any:
    """Return a schema that check-jsonschema ships: SchemaStore's and GitLab's own."""
    pytest.importorskip("check_jsonschema", reason="needs check-jsonschema, which has the schemas of CI files")
    return json.loads(files("check_jsonschema").joinpath(f"builtin_schemas/vendor/{name}.json").read_text())


def check(document: Any, name: str) -> None:
    wanted = schema(name)
    jsonschema.validators.validator_for(wanted)(wanted).validate(document)


def test_the_action_is_one() -> None:
    check(load(ACTION), "github-actions")


def test_the_template_is_one() -> None:
    check(load(TEMPLATE), "gitlab-ci")


def test_what_the_page_shows_is_valid() -> None:
    blocks = [
        yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    ]

    workflow, include, hooks = blocks
    # To YAML 1.1, on is a boolean.
    check({"on" if key is True else key: value for key, value in workflow.items()}, "github-workflows")
    check(include, "gitlab-ci")
    assert [one["id"] for one in hooks["repos"][0]["hooks"]] == [one["id"] for one in load(HOOKS)]
    assert set(workflow["jobs"]["kubefiles"]["steps"][1]["with"]) <= set(load(ACTION)["inputs"])
    assert set(include["variables"]) <= set(load(TEMPLATE)["variables"])


@pytest.mark.parametrize("path", KIT, ids=lambda path: path.name)
def test_the_files_are_tidy_yaml(path: Path) -> None:
    config = pytest.importorskip("yamllint.config", reason="needs yamllint")
    linter = pytest.importorskip("yamllint.linter")
    rules = {"line-length": {"max": 120}, "document-start": "disable"}
    problems = linter.run(path.read_text(), config.YamlLintConfig(json.dumps({"extends": "default", "rules": rules})))

    assert [str(problem) for problem in problems] == []


@pytest.mark.parametrize(
    "name",
    [
        "Kubefile",
        "kubefile",
        "a/Kubefile",
        "a/app.Kubefile",
        "Kubefile.app",
        "Kubefile.md",
        "MyKubefile",
        "x/Kubefile/y",
        "a/Kubefile.py",
        "Kubefile~",
        "kubefile.app",
    ],
)
def test_the_hook_takes_what_is_called_as_kubefiles_are(name: str) -> None:
    (hook,) = load(HOOKS)

    taken = re.search(hook["files"], name) is not None and re.search(hook["exclude"], name) is None

    assert taken is (is_kubefile_name(os.path.basename(name)) and name != "x/Kubefile/y")


def test_no_input_becomes_a_part_of_a_script() -> None:
    steps = load(ACTION)["runs"]["steps"]

    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a Kubefile, and a folder with the two programs."""
    (tmp_path / "repo/app").mkdir(parents=True)
    (tmp_path / "repo/app/Kubefile").write_text("FROM scratch\nCOPY a etc\nCMD x\nCMD x\n")
    (tmp_path / "repo/app/a").write_text("")
    (tmp_path / "bin").mkdir()
    for name in ("kubeimage", "pytest"):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name} "$@"\n')
        program.chmod(0o755)
    return tmp_path / "repo"


def run(script: str, project: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{project.parent}/bin:{os.environ['PATH']}",
        "HOME": str(project.parent),
        "KUBEIMAGE_ROOT": str(project.parent / "store"),
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
        **ALONE,
        **variables,
    }
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_steps_of_the_action_lint_and_test(project: Path) -> None:
    action = load(ACTION)
    values = {name: str(one["default"]) for name, one in action["inputs"].items()} | {"pytest-args": "-k 'x' -q"}
    values["pytest-args"] = "-n0 -q"
    steps = {step["name"]: step for step in action["runs"]["steps"] if "run" in step}

    def result(name: str) -> subprocess.CompletedProcess[str]:
        found = {key: _INPUT.fullmatch(value) for key, value in steps[name]["env"].items()}
        return run(steps[name]["run"], project, **{key: values[one[1]] for key, one in found.items() if one})

    lint, test = result("Lint"), result("Test")

    assert "::warning file=app/Kubefile,line=4," in lint.stdout
    assert "9 passed" in test.stdout, test.stdout + test.stderr
    assert {"kubeimage.sarif", "kubeimage.xml", ".kubeimage-store"} <= {path.name for path in project.iterdir()}


@pytest.mark.parametrize(
    ("text", "status"), [("FROM scratch\nCOPY a etc\nCMD x\nCMD x\n", 0), ("FROM scratch\nFORM\n", 2)]
)
def test_the_jobs_of_the_template_lint_and_test(text: str, status: int, project: Path) -> None:
    template = load(TEMPLATE)
    (project / "app/Kubefile").write_text(text)
    variables = {**template["variables"], "KUBEIMAGE_PYTEST_ARGS": "-n0 -q"}

    lint = run("\n".join(template["kubeimage-lint"]["script"]), project, **variables)
    test = run("\n".join(template["kubeimage-test"]["script"]), project, **variables)

    assert lint.returncode == status, lint.stderr
    issues = json.loads((project / "kubeimage-quality.json").read_text())
    assert {issue["location"]["path"] for issue in issues} == {"app/Kubefile"}
    assert (project / "kubeimage.xml").exists()
    assert test.returncode == (1 if status else 0), test.stdout
