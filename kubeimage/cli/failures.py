"""What went wrong, as text on standard error and an exit status.

    0    done
    1    the build or the check failed, or kubeimage has a bug
    2    wrong usage, or a bad Kubefile
    128+ ended by a signal: 130 for Ctrl-C, 141 where nobody reads the output any more, 143 for SIGTERM

Source: the project's design, "The CLI".
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import traceback

import click

from kubeimage.cli.diagnostics import render, width_of
from kubeimage.cli.output import diagnostic_to_json, format_json, give_up
from kubeimage.cli.session import Interrupted, Session
from kubeimage.errors import CommandError, Diagnostic, KubeimageError, UsageError
from kubeimage.report.locale import locale_error
from kubeimage.report.text import lay_out_error

_TRAILING_FULL_STOP = re.compile(r"\.(?=$| \()")


def report_failure(error: BaseException, session: Session) -> int:
    """Say on standard error what went wrong, once, and give the exit status.

    Raises: SystemExit again, for that is somebody's decision already.
    """
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, BrokenPipeError):
        give_up(sys.stdout)
        give_up(sys.stderr)
        return 128 + signal.SIGPIPE
    if session.debug:
        _write("".join(traceback.format_exception(error)).rstrip("\n"))
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return _report_interrupt(error, session)
    known = _translate(error)
    _write(_lay_out(known, session))
    return known.exit_status


def _report_interrupt(error: BaseException, session: Session) -> int:
    number = error.number if isinstance(error, Interrupted) else signal.SIGINT
    said = "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"
    _write(format_json({"event": "interrupted", "message": said}, indent=None) if session.as_json else said)
    return 128 + number


def _translate(error: BaseException) -> KubeimageError:
    match error:
        case KubeimageError():
            return error
        case click.ClickException():
            return _translate_usage(error)
        case OSError():
            return _translate_os(error)
        case UnicodeEncodeError() if (known := locale_error(error)) is not None:
            return known
    return KubeimageError(
        f"this is a bug in kubeimage: {type(error).__name__}: {error}",
        hint="run it again with --debug in front, and report the traceback together with the command",
    )


def _translate_usage(error: click.ClickException) -> UsageError:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context is not None else "kubeimage"
    hint = f"{path} --help lists the options and arguments"
    message = error.format_message()
    if isinstance(error, click.NoSuchOption):
        message = f"no such option: {error.option_name}"
        if error.possibilities:
            hint = f"did you mean {' or '.join(sorted(error.possibilities))}?"
    message = _TRAILING_FULL_STOP.sub("", message)
    return UsageError(message[:1].lower() + message[1:], hint=hint)


def _translate_os(error: OSError) -> KubeimageError:
    what = error.strerror or str(error)
    where = f": {os.fsdecode(error.filename)!r}" if isinstance(error.filename, str | bytes) else ""
    hint = "--debug shows where it came from"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        hint = f"raise the limit with ulimit -n; {hint}"
    if error.errno == errno.EAGAIN:
        hint = f"raise the limit with ulimit -u, or that of the container (pids.max); {hint}"
    return KubeimageError(f"{what[:1].lower()}{what[1:]}{where}", hint=hint)


def _lay_out(error: KubeimageError, session: Session) -> str:
    if session.as_json:
        return "\n".join(format_json(_to_json(one, error), indent=None) for one in error.diagnostics)
    return render(lay_out_error(error, width_of(sys.stderr)), sys.stderr)


def _to_json(diagnostic: Diagnostic, error: KubeimageError) -> dict[str, object]:
    value: dict[str, object] = {"event": "error", **diagnostic_to_json(diagnostic), "exit_status": error.exit_status}
    if isinstance(error, CommandError):
        value |= {"status": error.status, "output": error.output}
    return value


def _write(text: str) -> None:
    try:
        # What a command has printed comes first where both go to one place.
        sys.stdout.flush()
    except OSError:
        give_up(sys.stdout)
    try:
        click.echo(text, err=True)
    except OSError:
        give_up(sys.stderr)
