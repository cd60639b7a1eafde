"""What the tab key offers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from kubeimage.cli import program
from kubeimage.cli.completion import complete_images
from tests.kubeimage.cli.conftest import MakeContext, Run


def complete(*words: str, **environment: str) -> list[str]:
    """Return what bash would be offered for the last word."""
    settings = {
        **os.environ,
        "_KUBEIMAGE_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["kubeimage", *words]),
        "COMP_CWORD": str(len(words)),
        **environment,
    }
    command = [sys.executable, "-c", "from kubeimage.cli import program; program.main(prog_name='kubeimage')"]
    ended = subprocess.run(command, env=settings, capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    return [line.partition(",")[2] for line in ended.stdout.splitlines() if line]


def test_commands_and_options_are_completed() -> None:
    assert complete("ins") == ["inspect"]
    assert complete("lint", "--str") == ["--strict"]
    assert complete("lint", "--format", "g") == ["github", "gitlab"]


def test_names_of_images_are_completed(run: Run, make_context: MakeContext, root: Path) -> None:
    context = make_context({"Kubefile": "FROM scratch\nCOPY a .\n", "a": ""})
    for name in ("app:v1", "app:v2", "base:v1"):
        run("build", "-q", "-t", name, context)

    assert complete("inspect", "ap", KUBEIMAGE_ROOT=str(root)) == ["app:v1", "app:v2"]


@pytest.mark.parametrize("command", ["inspect", "history", "export", "save", "push", "rmi", "tag", "verify", "merge"])
def test_every_command_that_takes_an_image_completes_its_name(command: str) -> None:
    found = program.get_command(click.Context(program), command)

    assert found is not None
    first = next(one for one in found.params if isinstance(one, click.Argument))
    assert first._custom_shell_complete is complete_images


def test_another_store_is_asked_where_it_is_named(run: Run, make_context: MakeContext, root: Path) -> None:
    run("build", "-q", "-t", "app:v1", make_context({"Kubefile": "FROM scratch\nCOPY a .\n", "a": ""}))

    assert complete("--root", str(root), "diff", "app:v1", "a", KUBEIMAGE_ROOT="/nowhere") == ["app:v1"]


@pytest.mark.parametrize("store", ["missing", "file"])
def test_a_store_that_cannot_be_read_offers_nothing_and_is_not_made(store: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert complete("inspect", "", KUBEIMAGE_ROOT=str(tmp_path / store)) == []
    assert not (tmp_path / "missing").exists()
