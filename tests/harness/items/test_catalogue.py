"""Which checks there are: the plugin's, those of settings, installed packages and conftest files, and misspelt ones."""

from collections.abc import Iterator

import pytest

import harness.items.catalogue
from tests.harness.conftest import Run, WriteProject

APP = {"app/Kubefile": "FROM scratch\nCOPY a.txt etc\n", "app/a.txt": "hello\n"}
CONFTEST = (
    "def check_mine(case): assert case.image.size\ndef pytest_kubefile_checks(config): return {'mine': check_mine}\n"
)


def test_limits_of_the_project_are_checks_of_their_own(project: WriteProject, run: Run) -> None:
    project({**APP, "pytest.ini": "[pytest]\nkubefile_max_size = 1kB\nkubefile_min_efficiency = 0.5\n"})

    result = run("--kubefile=app", "-v", "-k", "size or efficiency")

    result.assert_outcomes(passed=1, failed=1, deselected=9)
    result.stdout.fnmatch_lines(
        [
            "app/Kubefile::size-limit FAILED*",
            "app/Kubefile::efficiency PASSED*",
            "error[[]E0900[]]: the image has 2,560 bytes, and --kubefile-max-size allows 1,000",
            "  --> app/Kubefile:2:1",
            "2 | COPY a.txt etc",
            "  | ^*",
            "the largest layers:",
        ]
    )


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["one process", "workers"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["app/Kubefile::prase"],
            "ERROR: app/Kubefile::prase: there is no such check (did you mean parse?), but parse, lint, *",
        ),
        (
            ["app/Kubefile::size-limit"],
            "ERROR: app/Kubefile::size-limit: there is such a check where --kubefile-max-size sets what it holds to",
        ),
        (["app", "--kubefile-skip=x", "--kubefile=app"], "ERROR: --kubefile-skip=x: there is no such check, but *"),
    ],
    ids=["misspelt", "not asked for", "left out"],
)
def test_a_check_that_is_not_there_is_a_usage_error(
    project: WriteProject, run: Run, arguments: list[str], message: str, workers: list[str]
) -> None:
    project(APP)

    result = run(*arguments, *workers, backend=None)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_a_check_of_a_limit_may_be_left_out_before_there_is_a_limit(project: WriteProject, run: Run) -> None:
    project(APP)

    run("--kubefile=app", "--kubefile-skip=size-limit").assert_outcomes(passed=9)


def test_checks_of_a_folders_conftest_are_for_the_kubefiles_below_it(project: WriteProject, run: Run) -> None:
    project({**APP, "app/conftest.py": CONFTEST, "lib/Kubefile": "FROM scratch\n"})

    result = run("--kubefile=.", "-k", "mine", "-v")
    skipped, misspelt = run("--kubefile=.", "--kubefile-skip=mine"), run("app/Kubefile::mien")

    result.assert_outcomes(passed=1, deselected=18)
    result.stdout.fnmatch_lines(["app/Kubefile::mine PASSED*"])
    skipped.assert_outcomes(passed=18)
    misspelt.stderr.fnmatch_lines(["ERROR: app/Kubefile::mien: there is no such check (did you mean mine?), but *"])


def test_what_is_no_function_is_no_check(project: WriteProject, run: Run) -> None:
    project({**APP, "conftest.py": "def pytest_kubefile_checks(config): return {'mine': 'a text'}"})

    result = run("app/Kubefile::parse")

    result.stderr.fnmatch_lines(
        ["ERROR: the check 'mine' of the hook * is no function that takes a case, but 'a text'"]
    )


PACKAGE = "def check_small(case):\n    assert case.image.size < 100\n"


@pytest.fixture
def installed(run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Install a package with entry points, as pip would, and run pytest."""

    def install_and_run(entry_points: str, *arguments: str) -> pytest.RunResult:
        site = pytester.path / "site"
        info = site / "acme_checks-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "acme_checks.py").write_text(PACKAGE)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-checks\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[kubeimage.checks]\n{entry_points}\n")
        (info / "RECORD").write_text("")
        monkeypatch.syspath_prepend(str(site))
        return run(*arguments)

    harness.items.catalogue._installed_checks.cache_clear()
    yield install_and_run
    harness.items.catalogue._installed_checks.cache_clear()


def test_an_installed_package_brings_checks_by_its_entry_points(project: WriteProject, installed: Run) -> None:
    project(APP)

    result = installed("small = acme_checks:check_small", "app/Kubefile::small")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["error[[]E0900[]]: assert 2560 < 100", "  --> app/Kubefile:1:1"])


@pytest.mark.parametrize(
    ("entry_point", "message"),
    [
        ("small = acme_check:check", "ERROR: the check 'small' (acme_check:check) cannot be loaded: No module named *"),
        ("small = acme_checks:check", "ERROR: the check 'small' (acme_checks:check) cannot be loaded: *"),
        (
            "build = acme_checks:check_small",
            "ERROR: the check 'build' (acme_checks:check_small) has a name that is taken",
        ),
        ("small = acme_checks:__name__", "ERROR: the check 'small' of acme_checks:__name__ is no function *"),
    ],
    ids=["no module", "no function of that name", "taken", "no function"],
)
def test_an_installed_check_that_is_none_is_a_usage_error(
    project: WriteProject, installed: Run, entry_point: str, message: str
) -> None:
    project(APP)

    result = installed(entry_point, "app/Kubefile::small")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
