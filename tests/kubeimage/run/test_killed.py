"""A build that is killed in the middle of a RUN leaves nothing that runs, and nothing mounted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kubeimage.store import Store

CHILD = """
import sys
from kubeimage.mount.overlay import OverlayMounter
from kubeimage.protocols.running import Command
from kubeimage.run.sandbox import SandboxRunner
from kubeimage.store import Store

root, script = sys.argv[1:]
with Store.open(root) as store, OverlayMounter(store.snapshots).mount([]) as mount:
    print("mounted", flush=True)
    SandboxRunner().run(Command(script), mount, lambda data: print("running", flush=True))
"""
SCRIPT = "echo running; (setsid sleep 600 &); while :; do sleep 600; done"


@pytest.mark.parametrize("delay_ms", [0, 3, 6, 9, 12, 15, 18, 22, 26, 30, 40, 60])
def test_kill_9_at_any_moment_leaves_no_process_and_no_mount(tmp_path: Path, delay_ms: int) -> None:
    root = str(tmp_path / "a store")
    child = start(root)
    assert child.stdout is not None
    assert child.stdout.readline() == "mounted\n"

    time.sleep(delay_ms / 1000)
    child.kill()
    child.communicate()

    assert until_gone(root) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_command_runs_leaves_no_process_and_no_mount(tmp_path: Path, number: signal.Signals) -> None:
    root = str(tmp_path / "a store")
    child = start(root)
    assert child.stdout is not None
    assert [child.stdout.readline(), child.stdout.readline()] == ["mounted\n", "running\n"]

    child.send_signal(number)
    child.communicate()

    assert until_gone(root) == []


def test_what_a_killed_build_left_is_gone_with_the_next(tmp_path: Path) -> None:
    root = str(tmp_path / "a store")
    child = start(root)
    assert child.stdout is not None
    child.stdout.readline()
    child.kill()
    child.communicate()
    until_gone(root)

    with Store.open(root) as store, store.snapshots.scratch():
        pass

    assert os.listdir(f"{root}/ingest") == []


def start(root: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, root, SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def until_gone(root: str) -> list[str]:
    """Return what is still there of a RUN in this store, when no more of it goes."""
    deadline = time.monotonic() + 5
    while (left := traces(root)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def traces(root: str) -> list[str]:
    """Return the processes that know ``root``, or see something mounted in it."""
    pids = [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
    files = [f"/proc/{pid}/{what}" for pid in pids for what in ("cmdline", "mountinfo")]
    return [file for file in files if os.fsencode(root) in read(file).replace(b"\\040", b" ")]


def read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
