"""What a message says of the way out fits what somebody did."""

import os
from pathlib import Path

import pytest

from tests.kubeimage.cli.conftest import MakeContext, Run

HELLO = "FROM scratch\nARG VERSION=1.0,TOKEN=x\nCOPY a .\n"


@pytest.fixture
def context(make_context: MakeContext) -> Path:
    return make_context({"Kubefile": HELLO, "a": "1"})


def test_an_arg_is_shown_with_the_value_that_holds(run: Run, context: Path) -> None:
    built = run("build", "-t", "app:v1", "--build-arg", "VERSION=1.1", "--build-arg", "TOKEN=secret", context)
    plain = run("build", "-t", "app:v1", context)
    planned = run("plan", "--build-arg", "VERSION=1.1", context)
    past = run("history", "app:v1")

    assert "ARG VERSION=1.0,TOKEN=x (VERSION=1.1, TOKEN=… by --build-arg)" in built.stderr
    assert "by --build-arg" not in plain.stderr + past.stdout
    assert "(VERSION=1.1 by" in planned.stdout


def test_another_project_is_no_earlier_version(run: Run, make_context: MakeContext) -> None:
    one = make_context({"Kubefile": "FROM scratch\nCOPY dashboard.yaml etc/\n", "dashboard.yaml": "1"}, "one")
    two = make_context({"Kubefile": "FROM scratch\nCOPY app.yaml etc/\n", "app.yaml": "1"}, "two")
    run("build", "-q", "-t", "one:v1", one)

    first = run("build", "-t", "two:v1", two)
    (two / "Kubefile").write_text("FROM scratch\nCOPY app.yaml opt/\n")
    edited = run("build", "-t", "two:v1", two)

    assert "never built before" in first.stderr
    assert "dashboard" not in first.stderr
    assert "destination: etc/ -> opt/" in edited.stderr


def test_files_of_another_project_are_no_change(run: Run, make_context: MakeContext) -> None:
    for name in ("one", "two"):
        folder = make_context({"Kubefile": "FROM scratch\nCOPY src .\n", f"src/{name}": "1"}, name)
        built = run("build", "-t", f"{name}:v1", folder)

    assert "never built before" in built.stderr


@pytest.mark.parametrize("policy", ["never", "missing"])
def test_a_base_that_is_not_there_names_the_one_that_is(run: Run, make_context: MakeContext, policy: str) -> None:
    run("build", "-q", "-t", "localhost:1/app:v1", make_context({"Kubefile": "FROM scratch\n"}, "base"))
    context = make_context({"Kubefile": "FROM localhost:1/app:v2\n"})

    failed = run("build", "-t", "x:v1", f"--pull={policy}", context, status=1)

    assert "the base image localhost:1/app:v2 is not in the store" in failed.stderr
    assert "hint: the store has localhost:1/app:v1: did you mean that?" in failed.stderr
    assert failed.stderr.count("hint:") == 1


def test_a_name_without_a_tag_names_the_tags_that_are_there(run: Run, context: Path) -> None:
    run("build", "-q", "-t", "app:v1", context)

    assert "did you mean app:v1?" in run("inspect", "app", status=1).stderr


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("build", "-t", "x:v1", "context/Kubefile"), "if it is the Kubefile: -f context/Kubefile context"),
        (("build", "-t", "x:v1", "other"), "-f other/KubeFile names one"),
        (("build", "-t", "x:v1", "empty"), "name the file itself with -f"),
        (("build", "-t", "x:v1", "-f", "-", "context"), "/dev/stdin is standard input"),
        (("build", "-t", "x:v1", "-f", "none", "context"), "look at its path"),
        (("build", "-t", "x:v1", "--build-arg", "VERSON=1", "context"), "write --build-arg VERSION=…"),
        (("build", "-t", "x:v1", "--build-arg", "Q=1", "context"), "leave it out, or add to context/Kubefile: ARG Q"),
    ],
    ids=["file", "other case", "nothing", "standard input", "missing", "misspelt", "undeclared"],
)
def test_a_mistake_has_a_hint_that_fits(
    run: Run, context: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], hint: str
) -> None:
    monkeypatch.chdir(context.parent)
    os.mkdir("other")
    os.mkdir("empty")
    Path("other/KubeFile").write_text(HELLO)

    assert f"hint: {hint}" in run(*arguments, status=2).stderr


def test_an_export_to_standard_output_is_refused(run: Run, context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("build", "-q", "-t", "app:v1", context)
    monkeypatch.chdir(context)

    refused = run("export", "app:v1", "-o", "-", status=2)

    assert "kubeimage save" in refused.stderr
    assert not Path("-").exists()
