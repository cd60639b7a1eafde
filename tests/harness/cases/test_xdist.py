"""The plugin under pytest-xdist: workers share what is built."""

import pytest

from harness.trees import Content
from tests.harness.conftest import Run, WriteProject

pytest.importorskip("xdist")

# Counts the builds of all workers, but for those that checks do on purpose to compare.
COUNTING = """
import harness.cases.workshop as workshop

def counted(*arguments, real=workshop.build_image, **options):
    with open({log!r}, "a") as stream:
        stream.write("built\\n")
    return real(*arguments, **options)

workshop.build_image = counted
"""


def apps(count: int, contents: int) -> dict[str, Content]:
    return {
        **{f"app{number}/Kubefile": "FROM base\nCOPY a.txt etc\n" for number in range(count)},
        **{f"app{number}/a.txt": str(number % contents) for number in range(count)},
        "base/x": "",
    }


def test_workers_build_each_content_once(project: WriteProject, run: Run, pytester: pytest.Pytester) -> None:
    log = pytester.path / "log"
    project(
        {
            **apps(20, contents=15),
            "conftest.py": COUNTING.format(log=str(log)),
            "test_it.py": "def test_it(built_image): assert built_image.cache_misses == 1",
        }
    )

    skipped = [f"--kubefile-skip={name}" for name in ("reproducible", "cache-continuity", "oci-valid")]
    result = run(
        "-n2", "--kubefile=.", "--kubefile-base=base=base", "test_it.py", "--basetemp=temp", *skipped, backend=None
    )

    # 20 Kubefiles with 15 contents, and their base; 6 checks and a test of each.
    result.assert_outcomes(passed=20 * (6 + 1))
    assert log.read_text().count("built") == 15 + 1
    assert not (pytester.path / "temp/kubeimage").exists()
    result.stdout.fnmatch_lines_random(["app0/Kubefile: * 0 of 1 steps from the cache*", "app1/Kubefile: *"])


def test_failures_read_the_same_from_a_worker(project: WriteProject, run: Run) -> None:
    project({"app/Kubefile": 'FROM scratch\nCOPY b.txt etc\nCMD ["kubectl", "apply"]\n'})

    result = run("-n2", "--kubefile=app", "-W", "default::harness.asking.warning.KubefileWarning", backend=None)

    result.assert_outcomes(passed=4, failed=1, skipped=4)
    result.stdout.fnmatch_lines(
        [
            "error[[]E0302[]]: COPY source 'b.txt' *",
            "  --> app/Kubefile:2:*",
            "2 | COPY b.txt etc",
            "FAILED app/Kubefile::build - error[[]E0302[]]: *",
        ]
    )
    result.stdout.fnmatch_lines(["*app/Kubefile:3: KubefileWarning: W*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_without_the_build_item_one_worker_says_why(project: WriteProject, run: Run) -> None:
    project({"app/Kubefile": "FROM scratch\nCOPY b.txt etc\n"})

    result = run("-n2", "--kubefile=app", "--kubefile-skip=build", backend=None)

    result.assert_outcomes(passed=4, failed=1, skipped=3)
