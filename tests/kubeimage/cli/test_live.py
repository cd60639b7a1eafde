"""Progress as a person at a terminal sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubeimage.builder.events import (
    BuildStarted,
    PackingFinished,
    PackingStarted,
    StepFinished,
    StepOutput,
    StepProgress,
    StepStarted,
)
from kubeimage.cli.live import LiveProgress
from kubeimage.image.digest import Digest
from kubeimage.kubefile import lint, parse
from kubeimage.registry.events import BlobFinished, BlobProgress, ImageFetched, TransferStarted
from tests.kubeimage.cli.terminal import Terminal, open_terminal
from tests.kubeimage.cli.test_progress import PLAIN, TEXT, build, watch

NEVER = 3600.0


@pytest.fixture(autouse=True)
def _at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


@contextmanager
def watching(width: int, *, patience: float = 0.0) -> Iterator[tuple[LiveProgress, Terminal]]:
    """Return a progress and its terminal; with no patience, the window is open when this begins."""
    with open_terminal(width) as terminal:
        progress = LiveProgress(terminal.stream, patience=patience)
        if patience == 0.0:
            progress._timer.join()
        try:
            yield progress, terminal
        finally:
            progress.close()


def log(terminal: Terminal) -> list[str]:
    """Return what is on the screen when nobody writes any more."""
    terminal.close()
    return terminal.lines()


@pytest.mark.parametrize("patience", [0.0, NEVER], ids=["window", "over at once"])
def test_the_log_is_that_of_plain_progress_without_what_runs_print(patience: float) -> None:
    with watching(200, patience=patience) as (progress, terminal):
        watch(progress, build()[1])

        assert log(terminal) == [line for line in PLAIN.splitlines() if not line.startswith("  | ")]
        assert terminal.shows_cursor


def test_a_build_that_is_over_at_once_loads_nothing_that_draws() -> None:
    with open_terminal(80) as terminal:
        script = """if True:
            import sys
            from tests.kubeimage.cli.test_progress import build, watch
            from kubeimage.cli.live import LiveProgress
            for name in [name for name in sys.modules if name.partition('.')[0] == 'rich']:
                del sys.modules[name]
            watch(LiveProgress(patience=60), build()[1])
            sys.exit('rich' in sys.modules)"""
        ended = subprocess.run([sys.executable, "-c", script], stderr=terminal.descriptor, check=False)

        assert ended.returncode == 0
        assert "\x1b[?25l" not in terminal.written.decode()


def test_the_latest_lines_of_a_run_stand_in_a_window_and_leave_with_it() -> None:
    _, echo, *_ = build()[0].steps
    with watching(60) as (progress, terminal):
        progress(BuildStarted(5, "scratch", 0))
        progress(StepStarted(echo))
        for number in range(20):
            progress(StepOutput(echo, f"line {number} {'x' * 80}\r\n".encode()))

        seen = terminal.wait_for("│ line 19 ")

        assert [line[8:15].strip() for line in seen if "│" in line] == [f"line {number}" for number in range(12, 20)]
        assert all(len(line) <= 60 and line.endswith("…") for line in seen if "│" in line)
        progress(StepFinished(echo, None, cached=False, seconds=3.2))
        progress.close()
        assert log(terminal) == ["FROM scratch", "[2/5] RUN echo hello", "      no change, 3.2 s"]


def test_a_copy_shows_its_bytes_on_one_line_of_60_columns() -> None:
    copy = build()[0].steps[0]
    with watching(60) as (progress, terminal):
        progress(BuildStarted(5, "scratch", 0))
        progress(StepStarted(copy))
        progress(StepProgress(copy, 0, 600_000_000))
        progress(StepProgress(copy, 300_000_000, 600_000_000))

        (line,) = [line for line in terminal.wait_for("MB/s") if " of " in line]

        assert "300 MB of 600 MB" in line
        assert "━" in line


def test_each_image_that_is_packed_is_a_line_and_blobs_are_bars() -> None:
    first, second = Digest.of(b"1"), Digest.of(b"2")
    with watching(60) as (progress, terminal):
        progress(PackingStarted())
        progress(BlobProgress("pull", first, 30_000_000, 60_000_000))
        progress(BlobProgress("pull", second, 1000, 2000))
        both = terminal.wait(lambda lines: sum(" of " in line for line in lines) == 2)
        progress(BlobFinished("pull", first, 60_000_000, moved=True))
        progress(ImageFetched("nginx:1.25", 1, 2, 60_000_000))
        one = terminal.wait(lambda lines: sum(" of " in line for line in lines) == 1)
        progress(PackingFinished(("a", "b"), (), cached=False))
        progress.close()

        assert any(first.short in line and "30 MB of 60 MB" in line for line in both)
        assert any(second.short in line for line in one)
        assert log(terminal)[1:] == ["      [1/2] nginx:1.25 60 MB", "      2 images, nothing to add"]


def test_a_pull_shows_what_travels_below_its_line() -> None:
    with watching(100) as (progress, terminal):
        progress(TransferStarted("pull", "a.b/c:1", "a.b/c"))
        progress(BlobProgress("pull", Digest.of(b"1"), 1000, 2000))
        progress(BlobFinished("pull", Digest.of(b"1"), 2000, moved=True))

        seen = terminal.wait_for("pulled")

        assert seen[0] == "pull a.b/c:1"


def test_nothing_is_wider_than_the_terminal() -> None:
    with watching(60) as (progress, terminal):
        (advice,) = lint(parse(TEXT, file="app/Kubefile"))
        progress.advise(advice)
        progress.note("RUN works on an overlay of the layers, and on nothing else that you could think of here")
        watch(progress, build()[1])

        lines = log(terminal)

    assert lines[0] == "warning[W02]: a CMD array is a list of commands; these look"
    assert lines[1] == "  like the 2 words of one"
    assert [line for line in lines if line.startswith(("note: ", "      nothing"))] != []
    assert "[2/5] RUN echo hello" in lines


def test_the_terminal_gets_markup_and_control_characters_as_text() -> None:
    step = build()[0].steps[1]
    with watching(80) as (progress, terminal):
        progress(BuildStarted(5, "scratch", 0))
        progress(StepStarted(step))
        progress(StepOutput(step, b"[bold]x[/] \x07\x1b[2J\n"))
        terminal.wait_for("[bold]x[/] \N{REPLACEMENT CHARACTER}")
        progress.note("[red]y[/]")
        progress.close()

        assert "note: [red]y[/]" in log(terminal)
        assert b"\x1b[2J" not in terminal.written


@pytest.mark.parametrize(("setting", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
@pytest.mark.parametrize("patience", [0.0, NEVER], ids=["window", "over at once"])
def test_colours_are_for_terminals_that_want_them(
    patience: float, setting: dict[str, str], *, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in setting.items():
        monkeypatch.setenv(key, value)
    with watching(80, patience=patience) as (progress, terminal):
        progress.say("cached", "green")
        terminal.wait_for("cached")

        assert (b"\x1b[32m" in terminal.written) is coloured


def test_ctrl_c_leaves_nothing_of_the_window(tmp_path: Path) -> None:
    (tmp_path / "Kubefile").write_text("FROM scratch\nRUN echo began; while :; do sleep 1; done\n")
    command = [
        sys.executable,
        "-m",
        "kubeimage",
        "--root",
        str(tmp_path / "store"),
        "build",
        "-t",
        "a:v1",
        str(tmp_path),
    ]
    with open_terminal(70) as terminal:
        process = subprocess.Popen(
            [*command, "--isolation=none", "--mount=copy"],
            stderr=terminal.descriptor,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "TERM": "xterm"},
            start_new_session=True,
        )
        terminal.wait_for("│ began", seconds=60)
        process.send_signal(signal.SIGINT)
        status = process.wait(timeout=60)
        lines = log(terminal)

    assert status == 130
    assert [line for line in lines if "│" in line or "⠋" in line] == []
    assert lines[-1] == "interrupted"
    assert terminal.shows_cursor
