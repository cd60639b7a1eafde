"""Findings on a terminal and elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubeimage.report.columns import columns
from tests.kubeimage.cli.terminal import columns_of, open_terminal

KUBEFILE = "FROM scratch\nCOPY manifest " + "x" * 90 + "\nRUN \tyou\u4f60\u597d && cat <<EOF\n"


def lint_at(width: int, folder: Path, **environment: str) -> tuple[list[str], bytes]:
    """Lint at a terminal, and return its screen and what it was sent."""
    with open_terminal(width) as terminal:
        subprocess.run(
            [sys.executable, "-m", "kubeimage", "lint", "Kubefile"],
            stdout=terminal.descriptor,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "TERM": "xterm", **environment},
            check=False,
        )
        terminal.close()
        return terminal.lines(), terminal.written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a Kubefile that has much to be said against it."""
    (tmp_path / "Kubefile").write_text(KUBEFILE)
    (tmp_path / "manifests").mkdir()
    return tmp_path


@pytest.mark.parametrize("width", [40, 60, 100])
def test_findings_fit_the_terminal_and_carets_their_words(width: int, folder: Path) -> None:
    lines, written = lint_at(width, folder)

    assert columns_of(lines) < width
    source = next(line for line in lines if "<<EOF" in line and line.startswith("3 |"))
    caret = lines[lines.index(source) + 1]
    assert caret.index("^") == columns(source[: source.index("<<EOF")])
    assert b"\x1b[3" in written


def test_no_colour_is_wanted_or_possible(folder: Path) -> None:
    assert b"\x1b[" not in lint_at(80, folder, NO_COLOR="1")[1]
    assert b"\x1b[" not in lint_at(80, folder, TERM="dumb")[1]


@pytest.mark.parametrize("setting", [{}, {"FORCE_COLOR": "1"}, {"COLUMNS": "40"}])
def test_a_file_gets_neither_colours_nor_short_lines(setting: dict[str, str], folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "TERM": "xterm", **setting}
    command = [sys.executable, "-m", "kubeimage", "lint", "Kubefile"]
    printed = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False).stdout

    assert "\x1b" not in printed
    assert KUBEFILE.splitlines()[1] in printed
