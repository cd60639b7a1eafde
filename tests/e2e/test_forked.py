"""A run that is forked comes to what a run comes to that starts an interpreter."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.forked import can_be_forked, run_forked
from tests.e2e.program import Ended, Program, write

# A variable that nothing of ours looks at, but the C library does.
ANEW = {"TZ": "UTC"}


@pytest.mark.parametrize(
    ("arguments", "status", "given"),
    [
        (("login", "a.example:1", "-u", "anna", "--password-stdin"), 1, "secret\n"),
        (("build", "-t", "a:v1", "-q", "--iidfile=id", "context"), 0, None),
        (("inspect", "--nothing"), 2, None),
    ],
    ids=["standard input", "a build", "a mistake"],
)
def test_status_and_output_are_the_same(
    arguments: tuple[str, ...], status: int, given: str | None, tmp_path: Path
) -> None:
    found: list[tuple[Ended, dict[str, int]]] = []
    for name, environment in (("forked", {}), ("anew", ANEW)):
        folder = tmp_path / name
        write(folder / "context", {"Kubefile": "FROM scratch\nCOPY a etc\n", "a": "1"})
        program = Program(folder / "store", folder, environment, umask=0o027)
        ended = program.run(*arguments, status=status, given=given)
        found.append((told(ended, folder), {path.name: path.stat().st_mode for path in folder.iterdir()}))

    assert found[0] == found[1]
    assert [can_be_forked({}), can_be_forked(ANEW)] == [True, False]


def test_threads_each_get_the_status_of_their_own_run(tmp_path: Path) -> None:
    def run(_thread: int) -> set[int]:
        return {run_forked(["--version"], tmp_path, {}, -1, "", 60)[0] for _ in range(20)}

    with ThreadPoolExecutor(8) as threads:
        assert set().union(*threads.map(run, range(8))) == {0}


def told(ended: Ended, folder: Path) -> Ended:
    """Return what was written without the folder."""
    return replace(ended, stdout=ended.stdout.replace(str(folder), ""), stderr=ended.stderr.replace(str(folder), ""))
