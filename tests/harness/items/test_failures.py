"""What --kubefile-save-failures keeps: a project that kubeimage itself takes."""

import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.items import failures
from harness.trees import File, Link
from tests.harness.conftest import Run, WriteProject

BROKEN = "FROM rootfs:v1\nARG VERSION=1\nCOPY etc .\nCOPY gone.txt etc\n"


@pytest.fixture
def saved(project: WriteProject, run: Run, pytester: pytest.Pytester) -> Callable[..., Any]:
    """Run a check that fails, and give the folder that was kept of it."""

    def run_and_find(tree: Mapping[str, File | Link | str], *options: str, check: str = "build") -> Path:
        project(tree)
        result = run(f"app/Kubefile::{check}", "--kubefile-save-failures=app/out", *options)
        folder = pytester.path / f"app/out/app-Kubefile-{check}"
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines([f"saved: {folder}"])
        return folder

    return run_and_find


def build(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    programs = folder.parent / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "kubeimage").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kubeimage "$@"\n')
    (programs / "kubeimage").chmod(0o755)
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(folder),
        "PYTHONPATH": str(Path(__file__).parents[3]),
        **variables,
    }
    return subprocess.run([folder / "build.sh"], env=environment, capture_output=True, text=True, check=False)


def test_a_failure_is_kept_with_its_context_and_how_to_run_it_again(saved: Callable[..., Any]) -> None:
    folder = saved({"app/Kubefile": "FROM scratch\nCOPY b.txt etc\n", "app/tool": File("x", 0o755), "app/l": Link("t")})

    assert (folder / "Kubefile").read_text() == "FROM scratch\nCOPY b.txt etc\n"
    assert (folder / "context/tool").stat().st_mode & 0o777 == 0o755
    assert os.readlink(folder / "context/l") == "t"
    assert not (folder / "context/out").exists()
    assert (folder / "report.txt").read_text().startswith("error[E0302]: COPY source 'b.txt' matches nothing")
    assert (
        (folder / "report.txt").read_text().endswith("\nagain: pytest --kubefile-backend=memory app/Kubefile::build\n")
    )


@pytest.mark.parametrize("base", ["project", "root.tar", "empty"])
def test_what_was_kept_builds_in_kubeimage_once_it_is_mended(
    saved: Callable[..., Any], pytester: pytest.Pytester, base: str
) -> None:
    (pytester.path / "in").mkdir()
    with tarfile.open(pytester.path / "root.tar", "w") as tar:
        tar.add(pytester.path / "in", "in")
    tree = {
        "app/Kubefile": BROKEN,
        "app/etc/a": "",
        "project/Kubefile": "FROM lower\nCOPY x .\n",
        "project/x": "",
        "lower/y": "",
    }
    folder = saved(tree, f"--kubefile-base=rootfs:v1={base}", "--kubefile-base=lower=lower")

    (folder / "context/gone.txt").touch()
    mended = build(folder)

    assert mended.returncode == 0, mended.stderr
    assert (folder / "store/oci-layout").exists()


def test_a_value_that_looks_secret_is_not_kept(saved: Callable[..., Any]) -> None:
    tree = {"app/Kubefile": "FROM scratch\nARG TOKEN\nARG VERSION\nCOPY gone .\n"}

    folder = saved(tree, "--kubefile-build-arg=TOKEN=abc", "--kubefile-build-arg=VERSION=7")

    texts = [(folder / name).read_text() for name in ("build.sh", "report.txt")]
    assert all("VERSION=7" in text and "build-arg=TOKEN " in text and "abc" not in text for text in texts)


def test_a_kubefile_with_a_syntax_error_is_kept_too(saved: Callable[..., Any]) -> None:
    folder = saved({"app/Kubefile": "FORM scratch\n"}, check="parse")

    ended = build(folder)

    assert (ended.returncode, ended.stderr.startswith("error[E0201]: unknown instruction FORM")) == (2, True)


def test_what_an_earlier_run_left_goes(saved: Callable[..., Any], pytester: pytest.Pytester) -> None:
    tree = {"app/Kubefile": "FROM scratch\nCOPY gone .\n", "app/out/app-Kubefile-build/old": ""}

    assert not (saved(tree) / "old").exists()


def test_a_folder_that_cannot_be_written_hides_no_failure(project: WriteProject, run: Run) -> None:
    project({"app/Kubefile": "FORM scratch\n", "file": ""})

    result = run("app/Kubefile::parse", "--kubefile-save-failures=file/in")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["error[[]E0201[]]: *", "not saved in */file/in/app-Kubefile-parse: Not a directory"])


def test_the_project_of_a_test_that_fails_is_kept(project: WriteProject, run: Run, pytester: pytest.Pytester) -> None:
    project(
        {
            "app/Kubefile": "FROM scratch\nCOPY a .\n",
            "app/a": "1",
            "app/test_it.py": "def test_it(built_image): assert built_image.rootfs == {}\n",
        }
    )

    result = run("app", "--kubefile-save-failures=out")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- Kubefile -*", "saved: */out/app-test_it.py-test_it*"])
    (folder,) = (pytester.path / "out").iterdir()
    assert build(folder).returncode == 0
    assert "+ a: '1' with mode 644" in (folder / "report.txt").read_text()


PROPERTY = """
from hypothesis import given, settings, strategies as st

@settings(database=None, deadline=None, derandomize=True)
@given(st.integers(0, 90))
def test_it(kube_build, count):
    image = kube_build("FROM scratch\\nCMD " + "x" * (count + 1), {"a": str(count)})
    assert len(image.cmd[0]) < 11
"""


def test_the_smallest_project_that_fails_a_property_is_kept(
    project: WriteProject, run: Run, pytester: pytest.Pytester
) -> None:
    project({"test_it.py": PROPERTY})

    run("--kubefile-save-failures=out", "test_it.py").assert_outcomes(failed=1)

    folder = pytester.path / "out/test_it.py-test_it"
    assert (folder / "Kubefile").read_text() == f"FROM scratch\nCMD {'x' * 11}\n"
    assert (folder / "context/a").read_text() == "10"


def test_a_build_that_a_test_asked_for_is_kept_with_its_base(
    project: WriteProject, run: Run, pytester: pytest.Pytester
) -> None:
    text = "def test_it(kube_build): kube_build('FROM b:1\\nCOPY a .\\nCOPY no .', {'a': '1'}, base={'etc/x': '2'})\n"
    project({"test_it.py": text})

    result = run("--kubefile-save-failures=out", "test_it.py")

    folder = pytester.path / "out/test_it.py-test_it"
    result.stdout.fnmatch_lines([f"saved: {folder}"])
    assert (folder / "bases/base/etc/x").read_text() == "2"
    (folder / "context/no").touch()
    assert build(folder).returncode == 0


def test_an_error_of_saving_takes_nothing_from_the_failure(
    project: WriteProject, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("no")

    kubefile = "FROM base:v1\nCOPY gone .\n"
    project({"app/Kubefile": kubefile})
    monkeypatch.setattr(failures, "copy_context", fail)

    result = run("app/Kubefile::build", "--kubefile-base=base:v1=empty", "--kubefile-save-failures=out")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["error[[]E0302[]]: *", "not saved in *: ValueError: no"])
