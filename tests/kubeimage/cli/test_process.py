"""What only a real process can show: signals, broken outputs, exit statuses."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

KUBEIMAGE = (sys.executable, "-m", "kubeimage")


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A Kubefile that nobody writes: who reads it waits."""
    path = tmp_path / "Kubefile"
    os.mkfifo(path)
    return path


@contextmanager
def waiting(pipe: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a program that waits for its Kubefile, and hand it out once it does."""
    command = [*KUBEIMAGE, "lint", str(pipe)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        writer = open_when_read(pipe, process)
        try:
            yield process
        finally:
            process.kill()
            os.close(writer)


def open_when_read(pipe: Path, process: subprocess.Popen[str]) -> int:
    """Open the pipe for writing, which works from the moment on that somebody reads it."""
    while process.poll() is None:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.01)
    raise AssertionError(process.communicate())


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        (signal.SIGINT, 130, "interrupted\n"),
        (signal.SIGTERM, 143, "stopped by SIGTERM\n"),
        (signal.SIGHUP, 129, "stopped by SIGHUP\n"),
    ],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else "",
)
def test_a_signal_ends_the_program_with_one_line(number: int, status: int, said: str, pipe: Path) -> None:
    with waiting(pipe) as process:
        process.send_signal(number)

        out, err = process.communicate(timeout=20)

    assert (process.returncode, out, err) == (status, "", said)


def test_a_signal_that_the_parent_ignores_stays_ignored(pipe: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with waiting(pipe) as process:
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)

            _, err = process.communicate(timeout=20)
    finally:
        signal.signal(signal.SIGHUP, before)

    assert (process.returncode, err) == (143, "stopped by SIGTERM\n")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_goes_away_ends_the_program_without_a_word(stream: str, tmp_path: Path) -> None:
    (tmp_path / "Kubefile").write_text("FROM scratch\nCOPY a\n")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as broken:
        ended = subprocess.run(
            [*KUBEIMAGE, "lint", tmp_path],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: broken},  # type: ignore[call-overload]
            text=True,
            check=False,
        )

    assert ended.returncode == 141
    assert "Traceback" not in (ended.stdout or "") + (ended.stderr or "")
    assert not ended.stderr


def test_an_output_that_takes_no_more_is_an_error() -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run([*KUBEIMAGE, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[0] == "error[E0001]: no space left on device"


def test_closed_standard_streams_are_no_problem(tmp_path: Path) -> None:
    (tmp_path / "Kubefile").write_text("FROM scratch\nCOPY a .\n")
    command = f'"{sys.executable}" -m kubeimage lint "{tmp_path}" <&- >&- 2>&-'

    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0


def test_names_that_the_output_cannot_encode_are_shown_escaped() -> None:
    ended = subprocess.run(
        [*KUBEIMAGE, "inspect", "größe\udcff"],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "KUBEIMAGE_ROOT": "/nonexistent"},
        capture_output=True,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stderr.startswith(b"error[E0103]: ")
    assert ended.stderr.isascii()
