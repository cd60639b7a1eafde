"""What only a real process can show: signals, broken outputs, exit statuses."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

KUBEIMAGE = (sys.executable, "-m", "kubeimage")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def start(command: Sequence[str | Path]) -> subprocess.Popen[str]:
    """Start the program, to talk to it while it runs."""
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """An archive that nobody writes: who reads it waits."""
    path = tmp_path / "archive.tar"
    os.mkfifo(path)
    return path


@contextmanager
def waiting(pipe: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a program that waits for its archive, and hand it out once it does."""
    command = [*KUBEIMAGE, f"--root={pipe.parent / 'store'}", "load", "-i", str(pipe)]
    with start(command) as process:
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


def stopped(process: subprocess.Popen[str], number: int) -> tuple[str, str]:
    """Send a signal until it is heeded: one that comes right before a read begins to wait is seen only after it."""
    for _ in range(20):
        process.send_signal(number)
        try:
            return process.communicate(timeout=1)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError(f"signal {number} is not heeded")


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
        out, err = stopped(process, number)

    assert (process.returncode, out, err) == (status, "", said)


def test_a_signal_that_the_parent_ignores_stays_ignored(pipe: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with waiting(pipe) as process:
            process.send_signal(signal.SIGHUP)
            _, err = stopped(process, signal.SIGTERM)
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
            env=ENVIRONMENT,
            text=True,
            check=False,
        )

    assert ended.returncode == 141
    assert "Traceback" not in (ended.stdout or "") + (ended.stderr or "")
    assert not ended.stderr


def test_an_output_that_takes_no_more_is_an_error() -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [*KUBEIMAGE, "--help"], stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True, check=False
        )

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[0] == "error[E0001]: no space left on device"


def test_closed_standard_streams_are_no_problem(tmp_path: Path) -> None:
    (tmp_path / "Kubefile").write_text("FROM scratch\nCOPY . .\n")
    command = f'"{sys.executable}" -m kubeimage lint "{tmp_path}" <&- >&- 2>&-'

    assert subprocess.run(["sh", "-c", command], env=ENVIRONMENT, check=False).returncode == 0


def test_names_that_the_output_cannot_encode_are_shown_escaped() -> None:
    ended = subprocess.run(
        [*KUBEIMAGE, "inspect", "日本\udcff"],
        env={**ENVIRONMENT, "PYTHONIOENCODING": "latin-1", "KUBEIMAGE_ROOT": "/nonexistent"},
        capture_output=True,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stderr.startswith(b"error[E0103]: ")
    assert b"'\\u65e5\\u672c\\udcff'" in ended.stderr


@pytest.mark.parametrize(
    "text", ["COPY \N{LATIN SMALL LETTER E WITH ACUTE} .", "RUN : \N{LATIN SMALL LETTER E WITH ACUTE}"]
)
def test_a_character_that_the_locale_lacks_is_no_bug(tmp_path: Path, text: str) -> None:
    (tmp_path / "Kubefile").write_text(f"FROM scratch\n{text}\n", encoding="utf-8")
    plain = {**ENVIRONMENT, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [
        *KUBEIMAGE,
        "--root",
        str(tmp_path / "store"),
        "build",
        "-q",
        "-t",
        "x:v1",
        "--isolation=none",
        "--mount=copy",
        ".",
    ]

    done = subprocess.run(command, env=plain, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr == (
        "error[E0101]: the locale's encoding, ascii, has no '\\xe9', which a file's name or a command holds\n"
        "hint: use a locale of UTF-8: LC_ALL=C.UTF-8, or PYTHONUTF8=1\n"
    )


def test_an_interrupted_run_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    word = f"{os.getpid()}.0{time.monotonic_ns() % 10**9}"
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Kubefile").write_text(f"FROM scratch\nRUN echo begun; sleep {word}\n")
    store = tmp_path / "store"
    command: list[str | Path] = [
        *KUBEIMAGE,
        "--root",
        store,
        "build",
        "-t",
        "x",
        "--progress=json",
        tmp_path / "context",
    ]
    with start(command) as process:
        assert process.stderr is not None
        told = [json.loads(line) for line in read_until(process.stderr, '"begun"')]
        process.send_signal(signal.SIGINT)

        out, rest = process.communicate(timeout=20)

    assert [event["event"] for event in told if event["event"] != "note"] == ["build_started", "step_started", "output"]
    assert (process.returncode, out) == (130, "")
    assert json.loads(rest) == {"event": "interrupted", "message": "interrupted"}
    assert os.listdir(store / "ingest") == []
    assert command_lines_with(word) == []


def read_until(stream: IO[str], word: str) -> Iterator[str]:
    """Return the lines up to the first one that holds ``word``."""
    for line in stream:
        yield line
        if word in line:
            return
    raise AssertionError(f"never said {word}")


def command_lines_with(word: str) -> list[bytes]:
    """Find the processes that have ``word`` in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes())
    return [line for line in found if word.encode() in line]


def test_a_failed_run_shows_its_line_and_its_last_output(tmp_path: Path) -> None:
    (tmp_path / "Kubefile").write_text("FROM scratch\nRUN echo one; echo two >&2; exit 7\n")
    command: list[str | Path] = [*KUBEIMAGE, "--root", tmp_path / "store", "build", "-t", "x", "."]

    ended = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)

    progress, _, error = ended.stderr.partition("error")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert progress.endswith("  | one\n  | two\n")
    assert error.splitlines() == [
        "[E0710]: RUN ended with exit status 7",
        "  --> ./Kubefile:2:1",
        "2 | RUN echo one; echo two >&2; exit 7",
        "  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
        "hint: look at what it left: --keep-failed DIR",
        "last output (2 lines):",
        "  one",
        "  two",
    ]


def read_screen(screen: IO[bytes]) -> bytes:
    """Read all that was written to a terminal that nobody has open any more; it may come in pieces, and late."""
    shown = b""
    # At the end Linux says EIO.
    with suppress(OSError):
        while piece := screen.read(100_000):
            shown += piece
    return shown


def test_a_terminal_gets_the_log_and_its_cursor_back(tmp_path: Path) -> None:
    (tmp_path / "Kubefile").write_text("FROM scratch\nCOPY Kubefile .\n")
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as screen:
        with open(theirs, "wb", buffering=0) as terminal:
            ended = subprocess.run(
                [*KUBEIMAGE, "--root", tmp_path / "store", "build", "-t", "x", tmp_path],
                env={**ENVIRONMENT, "TERM": "xterm-256color"},
                stdout=subprocess.PIPE,
                stderr=terminal,
                check=True,
            )
        shown = read_screen(screen)

    assert ended.stdout.startswith(b"sha256:")
    assert b"[1/1] COPY Kubefile .\r\n" in shown
    # A build that is over at once does not hide it at all.
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h") <= 1
