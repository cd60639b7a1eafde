"""Applies a mutant to a copy of the tree, and runs tests there until one fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mutants.patches import Mutant, apply

if TYPE_CHECKING:
    # It imports kubeimage: whoever copies a tree may want to import that from there.
    from tests.mutants.watching import Death

ROOT = Path(__file__).parents[2]
COPIED = ("kubeimage", "harness", "tests", "fixtures", "docs", "README.md", "conftest.py", "pyproject.toml")
PROPERTIES = Path("tests/properties")
# What shrinks slowly comes last: processes, and machines that do a hundred things on a real disk.
SLOW = ("test_users.py", "test_machines.py")
REST = ("tests/kubeimage", "tests/harness")


def find_death(mutant: Mutant, root: Path, *, limit: float) -> Death | None:
    """Return the first test that fails with ``mutant``: of those that it names, then of the properties, then of all.

    Shape: ``root`` is the tree that it is applied to a copy of.
    Units: ``limit`` in seconds, for each test.
    Raises: StaleMutantError.
    """
    with copied_tree(root) as tree:
        apply(mutant, tree)
        for tests in (mutant.tests, properties(tree), REST):
            if (death := run_tests(tree, tests, limit=limit)) is not None:
                return death
    return None


def properties(tree: Path) -> list[str]:
    """Return the files of properties, quick ones first."""
    names = sorted((path.name for path in (tree / PROPERTIES).glob("test_*.py")), key=lambda name: (name in SLOW, name))
    return [str(PROPERTIES / name) for name in names]


@contextmanager
def copied_tree(root: Path = ROOT, names: Sequence[str] = COPIED) -> Iterator[Path]:
    """Return a copy of what tests need, compiled files included; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="kubeimage-mutant-") as folder:
        # Tests become other users, who must get in.
        os.chmod(folder, 0o755)
        tree = Path(folder, "tree")
        tree.mkdir()
        for name in names:
            if (root / name).is_dir():
                shutil.copytree(root / name, tree / name, symlinks=True)
            else:
                shutil.copy2(root / name, tree / name)
        yield tree


def run_tests(tree: Path, tests: Sequence[str], *, limit: float) -> Death | None:
    """Run tests under the ``ci`` profile in this order until one fails; None where none does.

    Raises: RuntimeError where there is no such test, or pytest does not even start.
    """
    record = tree.parent / "death.json"
    record.unlink(missing_ok=True)
    options = ["-q", "-x", "-n0", "-p", "no:cacheprovider", "-o", "timeout=0", "-p", "tests.mutants.watching"]
    watched = [f"--watch-into={record}", f"--watch-limit={limit}"]
    command = [sys.executable, "-m", "pytest", *options, *watched, *tests]
    environment = {**os.environ, "CI": "1", "PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    # The tree goes with its compiled files, so they may be written.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile("w+") as output:
        # A group of its own, so that what a test leaves running goes as well.
        process = subprocess.Popen(
            command, cwd=tree, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            status = process.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if record.exists():
            from tests.mutants.watching import Death

            return Death(**json.loads(record.read_text()))
        if status == 0:
            return None
        output.seek(0)
        return _death_at_once(output.read(), status)


def _death_at_once(output: str, status: int) -> Death:
    """Return the death of a mutant with which pytest does not come to its first test, or a fixture fails.

    Raises: RuntimeError where that is not the mutant's doing.
    """
    failed = [line.split()[1] for line in output.splitlines() if line.startswith(("ERROR ", "FAILED "))]
    if status not in {1, 2} or not failed:
        raise RuntimeError(f"pytest ended with {status}:\n{output[-3000:]}")
    from tests.mutants.watching import Death

    return Death(failed[0], "before it began", 0.0)
