import errno
import json
import signal

import click
import pytest

from kubeimage.cli.failures import report_failure
from kubeimage.cli.session import Interrupted, Session
from kubeimage.errors import BaseImageError, CommandError, Diagnostic, KubefileError, Location, UsageError

OPEN_FILES_HINT = "hint: raise the limit with ulimit -n; --debug shows where it came from\n"
BUG_HINT = "hint: run it again with --debug in front, and report the traceback together with the command\n"


def report(error: BaseException, capsys: pytest.CaptureFixture[str], session: Session | None = None) -> tuple[int, str]:
    """Report a failure that was really raised, and give status and text."""
    try:
        raise error  # noqa: TRY301  the traceback is part of the test
    except BaseException as raised:  # noqa: BLE001  that is what the function takes
        status = report_failure(raised, session or Session())
    out, err = capsys.readouterr()
    assert out == ""
    return status, err


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (BaseImageError("no such base", hint="build it"), 1, "error[E0402]: no such base\nhint: build it\n"),
        (UsageError("what?"), 2, "error[E0101]: what?\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (click.Abort(), 130, "interrupted\n"),
        (Interrupted(signal.SIGTERM), 143, "stopped by SIGTERM\n"),
        (
            OSError(errno.EMFILE, "Too many open files", "/srv/x"),
            1,
            f"error[E0001]: too many open files: '/srv/x'\n{OPEN_FILES_HINT}",
        ),
        (
            KeyError("nope"),
            1,
            f"error[E0001]: this is a bug in kubeimage: KeyError: 'nope'\n{BUG_HINT}",
        ),
    ],
    ids=["expected", "usage", "ctrl-c", "abort", "sigterm", "system", "bug"],
)
def test_a_failure_is_one_message_and_a_status(
    error: BaseException, status: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(error, capsys) == (status, text)


@pytest.mark.parametrize("error", [BaseImageError("no such base"), KeyError("nope")], ids=["expected", "bug"])
def test_debug_shows_the_traceback_above_the_message(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    session = Session()
    session.debug = True

    status, text = report(error, capsys, session)

    assert status == 1
    assert text.startswith("Traceback (most recent call last):\n")
    assert "\nerror[E0" in text


def test_every_error_of_a_kubefile_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    found = [Diagnostic("E0201", "one", Location("K", 1, 1, "ONE")), Diagnostic("E0203", "two")]

    assert report(KubefileError(found), capsys) == (
        2,
        "error[E0201]: one\n  --> K:1:1\n1 | ONE\n  | ^\n\nerror[E0203]: two\n",
    )


def test_what_a_command_printed_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    error = CommandError("RUN ended with exit status 3", status=3, output="\x1b[2Jone\n\x07two")

    assert report(error, capsys)[1].endswith("last output (2 lines):\n  one\n  \ufffdtwo\n")


def test_with_json_progress_errors_are_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    session = Session()
    session.as_json = True
    error = CommandError(
        "RUN failed", status=-9, output="a\nb", hint="retry", location=Location("K", 3, 5, "RUN false", 9)
    )

    _, text = report(error, capsys, session)

    assert [json.loads(line) for line in text.splitlines()] == [
        {
            "event": "error",
            "code": "E0710",
            "severity": "error",
            "message": "RUN failed",
            "hint": "retry",
            "file": "K",
            "line": 3,
            "column": 5,
            "exit_status": 1,
            "status": -9,
            "output": "a\nb",
        }
    ]


def test_an_interrupt_is_a_json_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    session = Session()
    session.as_json = True

    assert report(KeyboardInterrupt(), capsys, session) == (
        130,
        '{"event": "interrupted", "message": "interrupted"}\n',
    )
