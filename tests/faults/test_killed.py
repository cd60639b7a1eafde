"""A process that dies at any of its calls: what is left, and what the same command does then."""

import itertools
from pathlib import Path

import pytest

from harness.cases.leaks import find_leaks, take_snapshot
from harness.faults.faults import IoFaults, dies_at
from harness.faults.iocalls import CALLS, WRITING
from harness.trees import write_tree
from kubeimage.api.backends import open_backends
from kubeimage.api.building import BuildOptions, build_image
from kubeimage.image.digest import Digest
from kubeimage.kubefile import parse
from tests.faults.commands import APP, COMMANDS, Bench, damage

_LARGE = "\n".join(["FROM scratch", *(f"COPY {number} opt" for number in range(8)), "RUN rm -r opt/3 && ls opt > list"])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_killed_at_any_call_leaves_a_whole_store(bench: Bench, command: str, full: bool) -> None:
    """Between two calls that write, nothing on the disk becomes another: one of them is enough for a quick run.

    So is every eighth of those: a command does most things several times, and others begin at another one.
    """
    first, step = (0, 1) if full else (list(COMMANDS).index(command) % 8, 8)
    for number in itertools.count(first, step):
        place = bench.fresh(command)
        if not dies_at(number, lambda: COMMANDS[command](place), among=CALLS if full else WRITING):  # noqa: B023 - done at once
            break

        assert bench.problems(command, done=False) == [], number
    assert number > 15


def test_a_large_build_that_is_killed_at_some_call_leaves_nothing_behind(tmp_path: Path, full: bool) -> None:
    """With real mounts and a real RUN, which are gone as well."""
    context = str(tmp_path / "context")
    write_tree(context, {f"{folder}/{name}": f"{name}\n" * 100 for folder in range(8) for name in range(30)})
    before = take_snapshot(context)
    with IoFaults() as counted:
        expected = make_large(tmp_path / "0", context)

    for number in range(5, len(counted.calls), len(counted.calls) // (200 if full else 6)):
        place = tmp_path / str(number)
        assert dies_at(number, lambda: make_large(place, context))  # noqa: B023 - done at once

        assert damage(place) == [], number
        assert make_large(place, context) == expected, number
        assert find_leaks(before, context, [str(path) for path in (place / "store/ingest").iterdir()]) == [], number


def make_large(folder: Path, context: str) -> Digest:
    with open_backends(str(folder / "store")) as backends:
        return build_image(
            parse(_LARGE, file="Kubefile"), context, backends, options=BuildOptions(references=(APP,))
        ).image.id
