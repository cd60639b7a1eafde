import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from kubeimage._version import __version__
from kubeimage.cli import COMMANDS, program
from tests.kubeimage.cli.conftest import Run

IMPORTS_OF_HELP = """
import contextlib, json, sys
from kubeimage.cli import main
with contextlib.suppress(SystemExit):
    main()
json.dump(sorted(name for name in sys.modules if name.partition(".")[0] in {"kubeimage", "rich", "yaml"}), sys.stderr)
"""


IMPORTS_OF_A_BUILD = """
import json, sys
before = set(sys.modules)
from kubeimage.cli import main
try:
    main()
finally:
    json.dump(sorted(set(sys.modules) - before), sys.stderr)
"""
# Each takes a millisecond or more.
NOT_FOR_A_CACHED_BUILD = [
    "concurrent.futures",
    "logging",
    "shutil",
    "tempfile",
    "urllib.parse",
    "rich",
    "yaml",
    "kubeimage.builder.running",
    "kubeimage.layer.writer",
    "kubeimage.layer.compression",
    "kubeimage.report",
    "kubeimage.registry",
]


def test_a_cached_build_imports_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    (tmp_path / "Kubefile").write_text("FROM scratch\nCOPY a etc\n")
    (tmp_path / "a").write_text("1")
    words = ["--root", str(tmp_path / "store"), "build", "--progress=quiet", "-t", "x:v1", str(tmp_path)]
    for _ in range(2):
        shown = subprocess.run(
            [sys.executable, "-c", IMPORTS_OF_A_BUILD, *words], capture_output=True, check=True, text=True
        ).stderr

    assert set(json.loads(shown)).isdisjoint(NOT_FOR_A_CACHED_BUILD)


def test_help_imports_nothing_but_click() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", IMPORTS_OF_HELP, "--help"], capture_output=True, check=True, text=True
    ).stderr

    assert json.loads(shown) == [
        "kubeimage",
        "kubeimage._version",
        "kubeimage.cli",
        "kubeimage.cli.program",
        "kubeimage.cli.session",
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there_with_help_and_the_common_options(name: str, run: Run) -> None:
    text = run(name, "--help").stdout

    assert text.startswith(f"Usage: kubeimage {name} ")
    assert "--root DIR" in text
    assert "--debug" in text


def test_help_lists_the_commands_in_order(run: Run) -> None:
    listed = run("--help").stdout.partition("Commands:\n")[2].splitlines()

    assert [line.split()[0] for line in listed] == list(COMMANDS)


def test_without_a_command_the_help_is_shown_and_the_status_is_2(run: Run) -> None:
    result = run(status=2)

    assert result.stdout == ""
    assert result.stderr.startswith("Usage: kubeimage ")


def test_the_version_is_an_option_too(run: Run) -> None:
    assert run("--version").stdout == f"kubeimage {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["biuld"], "error[E0101]: no such command: 'biuld'\nhint: did you mean build?\n"),
        (["xyzzy"], "error[E0101]: no such command: 'xyzzy'\nhint: kubeimage --help lists the commands\n"),
        (["--rot", "x"], "error[E0101]: no such option: --rot\nhint: did you mean --root?\n"),
        (["build", "--labl", "a=b"], "error[E0101]: no such option: --labl\nhint: did you mean --label or --pull?\n"),
        (
            ["build", "."],
            "error[E0101]: missing option '-t' / '--tag'\n{}",
        ),
        (
            ["build", "-t", "a"],
            "error[E0101]: missing argument 'CONTEXT'\nhint: kubeimage build --help lists the options and arguments\n",
        ),
        (
            ["images", "--format", "xml"],
            "error[E0101]: invalid value for '--format': 'xml' is not one of 'table', 'json'\n{}",
        ),
        (
            ["build", "-t", "a", "--timeout", "nan", "."],
            "error[E0101]: invalid value for '--timeout': nan is not a number of seconds above 0\n{}",
        ),
        (
            ["images", "--root", ""],
            "error[E0101]: invalid value for '--root': is empty\n{}",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_an_error_like_any_other(arguments: list[str], text: str, run: Run, root: Path) -> None:
    result = run(*arguments, status=2)

    lists = f"hint: kubeimage {arguments[0]} --help lists the options and arguments\n"
    assert (result.stdout, result.stderr) == ("", text.format(lists))
    assert not root.exists()


@pytest.mark.parametrize("arguments", [["--root", "{}", "version"], ["version", "--root", "{}"]])
def test_the_root_may_stand_before_and_behind_the_command(arguments: list[str], run: Run, tmp_path: Path) -> None:
    result = run(*(one.format(tmp_path / "mine") for one in arguments), "--format", "json")

    assert json.loads(result.stdout)["root"] == str(tmp_path / "mine")


@pytest.mark.parametrize(
    "arguments", [["--debug", "inspect", "A B"], ["inspect", "A B", "--debug"], ["inspect", "--debug", "A B"]]
)
def test_debug_may_stand_before_and_behind_the_command(arguments: list[str], run: Run) -> None:
    assert run(*arguments, status=2).stderr.startswith("Traceback ")


def test_completion_knows_the_commands(run: Run) -> None:
    settings = {"_KUBEIMAGE_COMPLETE": "bash_complete", "COMP_WORDS": "kubeimage im", "COMP_CWORD": "1"}

    assert run(env=settings).stdout == "plain,images\nplain,images-of\n"


def test_the_program_is_a_click_group_that_other_tools_can_look_at() -> None:
    assert isinstance(program, click.Group)
    assert [program.get_command(click.Context(program), name) is None for name in ("build", "nope")] == [False, True]
