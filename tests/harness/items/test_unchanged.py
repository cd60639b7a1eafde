"""A run that leaves out what has not changed."""

from pathlib import Path

import pytest

from harness.trees import Content
from tests.harness.conftest import Git, Run, WriteProject

pytestmark = pytest.mark.needs("git")

CHECKS = 9


def apps(count: int) -> dict[str, Content]:
    return {
        **{f"app{number}/Kubefile": "FROM scratch\nCOPY a.txt etc\n" for number in range(count)},
        **{f"app{number}/a.txt": str(number) for number in range(count)},
    }


@pytest.fixture
def committed(project: WriteProject, git: Git, pytester: pytest.Pytester) -> Path:
    """Three Kubefiles, committed."""
    project(apps(3))
    git("add", ".")
    git("commit", "-m", "first")
    return pytester.path


def test_of_two_hundred_kubefiles_the_one_runs_whose_source_has_changed(
    project: WriteProject, run: Run, git: Git, pytester: pytest.Pytester
) -> None:
    project(apps(200))
    git("add", ".")
    git("commit", "-m", "first")
    (pytester.path / "app117/a.txt").write_text("changed")

    result = run("--kubefile=.", "--kubefile-changed")

    result.assert_outcomes(passed=CHECKS, deselected=199 * CHECKS)
    result.stdout.fnmatch_lines(
        [
            "app117/Kubefile *",
            "kubeimage: 199 of 200 Kubefiles left out, unchanged since the last commit (deselected: 1791)",
            "app117/Kubefile: *",
        ]
    )


def test_since_a_branch_its_name_stands_in_the_summary(committed: Path, run: Run, git: Git) -> None:
    git("checkout", "-b", "mine")
    (committed / "app1/a.txt").write_text("changed")
    git("commit", "-am", "second")

    result = run("--kubefile=.", "--kubefile-changed-since=main", "-q")

    result.assert_outcomes(passed=CHECKS, deselected=2 * CHECKS)
    result.stdout.fnmatch_lines(["kubeimage: 2 of 3 Kubefiles left out, unchanged since main (deselected: 18)"])


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["alone", "xdist"])
def test_a_run_of_which_nothing_is_left_is_a_good_one(committed: Path, run: Run, workers: list[str]) -> None:
    if workers:
        pytest.importorskip("xdist")
    assert (committed / "app0").is_dir()

    result = run("--kubefile=.", "--kubefile-changed", *workers)

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["kubeimage: 3 of 3 Kubefiles left out, * (deselected: 27)"])


def test_no_tests_for_another_reason_are_still_no_tests(committed: Path, run: Run) -> None:
    (committed / "app0/a.txt").write_text("changed")

    result = run("--kubefile=app0", "--kubefile-changed", "-k", "nothing")

    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize(
    "lines", ["kubefile_changed = true", "kubefile_changed_since = HEAD"], ids=lambda text: text.partition(" ")[0]
)
def test_each_option_is_a_setting_too(committed: Path, run: Run, git: Git, lines: str) -> None:
    (committed / "pytest.ini").write_text(f"[pytest]\n{lines}\n")
    git("add", ".")
    (committed / "app2/a.txt").write_text("changed")

    run("--kubefile=.").assert_outcomes(passed=CHECKS, deselected=2 * CHECKS)


def test_an_empty_ref_leaves_nothing_out(committed: Path, run: Run) -> None:
    assert (committed / "app0").is_dir()

    run("--kubefile=.", "--kubefile-changed-since=").assert_outcomes(passed=3 * CHECKS)


def test_tests_of_a_kubefile_go_with_it_unless_they_are_new_themselves(
    committed: Path, project: WriteProject, run: Run, git: Git
) -> None:
    known = "def test_known(kubefile): pass\ndef test_of_no_kubefile(): pass\n"
    project({"test_known.py": known})
    git("add", ".")
    git("commit", "-m", "tests")
    project({"test_new.py": "def test_new(kubefile): pass\n"})
    (committed / "app2/a.txt").write_text("changed")

    result = run("--kubefile=.", "--kubefile-changed", ".", "-k", "test_", "-v")

    result.assert_outcomes(passed=1 + 1 + 3, deselected=2 + 3 * CHECKS)
    result.stdout.fnmatch_lines(["test_known.py::test_known[[]app2/Kubefile[]] PASSED*"])


@pytest.mark.parametrize(
    "arguments", [["--kubefile=app0"], ["app0/Kubefile"], ["--kubefile=app0", "-n2"]], ids=" ".join
)
def test_what_git_cannot_tell_is_a_usage_error(project: WriteProject, run: Run, arguments: list[str]) -> None:
    if "-n2" in arguments:
        pytest.importorskip("xdist")
    project(apps(1))

    result = run(*arguments, "--kubefile-changed")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --kubefile-changed: */app0 is in no git repository (leave the option out *)"])
