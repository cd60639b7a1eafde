"""A build that is ended in the middle of a RUN leaves no mount, no process, and no file but unfinished ones."""

import os
import signal
import subprocess
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.program import Program, processes_with, snapshot, wait_until, write

# The background process has the word in its command line, and would outlive its parents if it could.
KUBEFILE = """\
FROM scratch
COPY base bin
RUN mkdir -p etc && echo written > etc/half
ARG WORD
RUN echo begun-$((40 + 2)) && echo half > etc/lost && (sleep 300.{word} &) && [ "$WORD" = go ] || sleep 300.{word}
CMD bin/base
"""


@pytest.fixture
def word() -> str:
    """Return digits that no other process on the machine has in its command line."""
    return str(uuid.uuid4().int % 10**12)


@pytest.fixture
def context(kubeimage: Program, word: str) -> Path:
    """Return a project whose last RUN takes as long as it is let, and a store that its first steps are in."""
    return write(kubeimage.folder / "context", {"Kubefile": KUBEFILE.replace("{word}", word), "base": "#!/bin/sh\n"})


def start_and_wait_for_run(kubeimage: Program, context: Path) -> subprocess.Popen[str]:
    """Start a build, and come back when its last RUN is at work."""
    # Whoever runs the tests in the background of a shell has them ignore Ctrl-C; a person's terminal does not.
    program = replace(kubeimage, prefix=("env", "--default-signal=INT,TERM"))
    process = program.start("build", "-t", "slow:v1", "--progress=plain", "--build-arg", "WORD=stay", context)
    assert process.stderr is not None
    for line in process.stderr:
        if "begun-42" in line:
            return process
    raise AssertionError(f"the build ended with {process.wait()} before its RUN began")


def settled(root: Path) -> dict[str, tuple[int, int, int] | None]:
    """Return every file of the store; what the cache's files hold may change, which files there are may not."""
    return {path: None if path.startswith("cache/") else facts for path, facts in snapshot(root).items()}


def mounts_below(root: Path) -> list[str]:
    """Return the mounts of this mount namespace that have to do with ``root``."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(root) in line]


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
    ids=["Ctrl-C", "TERM", "kill -9"],
)
def test_nothing_is_left_and_the_next_build_works(
    number: signal.Signals, status: int, kubeimage: Program, context: Path, word: str
) -> None:
    earlier = kubeimage.build("fast:v1", context, "--build-arg", "WORD=go")
    before = settled(kubeimage.root)

    with start_and_wait_for_run(kubeimage, context) as process:
        # Ctrl-C reaches the whole foreground group; kill reaches one process.
        if number is signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, stderr = process.communicate(timeout=30)

    wait_until(lambda: not processes_with(f"300.{word}"), "the RUN's processes are gone")
    assert process.returncode == status
    assert "Traceback" not in stderr
    assert mounts_below(kubeimage.folder) == []
    assert settled(kubeimage.root) == before
    assert "slow:v1" not in kubeimage.run("images").stdout

    later = kubeimage.build("fast:v1", context, "--build-arg", "WORD=go", "--no-cache")
    assert later == earlier
    assert [path for path in (kubeimage.root / "ingest").rglob("*") if path.is_file()] == []
