"""A command's processes: started, listened to, and gone when this is done, however it is done.

Their first process, the keeper, has a pipe of ours as its input. When the pipe's end closes (because the command is to
stop, or because we were killed) the keeper's watch kills them all. No step of starting them is without a watch: until
there is one nothing of the command has run, and what was started so far ends by itself.

A command that stands says so with a NUL byte; what came before it is what failed to start it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress

from kubeimage.errors import SandboxError, StoppedError
from kubeimage.protocols.running import Command, CommandResult, Stop
from kubeimage.run import inside
from kubeimage.run.environment import HOST_PATH
from kubeimage.run.inside import Plan
from kubeimage.run.keyring import with_keyring_of_its_own
from kubeimage.run.limits import Limits, kept
from kubeimage.run.tail import Tail
from kubeimage.settings import RunSettings

# What a user's own mask is must not show in a layer.
READY = "umask 022; printf '\\0'; "
"""What a shell says before it turns into the command, and how it makes all hosts alike."""

NOT_STARTED = "the RUN could not be started"

_PIECE = 1 << 16
_SETUP_KEPT = 1 << 16
_POLL = 0.02
_GRACE = 5.0
_LARGEST_ARGUMENT = 131_071
# Low numbers may be taken by redirections of the shells on the way.
_FIRST_DESCRIPTOR = 64
# The input moves to 3 first, since a shell gives background commands none. What the shell itself says ("Killed") is
# not the command's output.
_KEEPER = 'exec 3<&0 2>/dev/null; { read -r _; kill -9 "$0"; } <&3 & (exec "$@" </dev/null 2>&1 3<&-); exit $?'

Output = Callable[[bytes], None]


def keeper(everybody: str, command: Sequence[str]) -> tuple[str, ...]:
    """Return the argv of a keeper of ``command``; ``everybody`` is what its watch kills, as kill(1) wants it."""
    return ("/bin/sh", "-c", _KEEPER, everybody, *command)


def run_inside(
    prefix: Sequence[str], plan: Plan, output: Output, command: Command, settings: RunSettings
) -> CommandResult:
    """Run what ``plan`` says, behind ``prefix``, by the interpreter that runs this; ``command`` is what it is for.

    Raises: SandboxError where it did not come to the command; StoppedError where it was told to end before it had;
        whatever ``output`` raises.
    """
    refuse_long(plan.argv)
    with handed_over(plan.to_json()) as descriptor:
        argv = (*prefix, *own_interpreter(), inside.__file__, str(descriptor))
        return run_to_end(
            argv,
            {"PATH": HOST_PATH},
            output,
            command=command,
            settings=settings,
            pass_fds=(descriptor,),
        )


def own_interpreter() -> tuple[str, ...]:
    """Return the argv of the interpreter that runs this, for a program that needs the standard library alone.

    Raises: SandboxError where Python is a part of another program.
    """
    if not sys.executable:
        raise SandboxError("a RUN without bubblewrap needs Python as a program of its own, and here it is none")
    return (sys.executable, "-I", "-S")


@contextmanager
def handed_over(data: bytes) -> Iterator[int]:
    """Keep ``data`` where a child can read it and other users do not see it, as some may be secret values of ARGs.

    Raises: SandboxError where too many files are open.
    """
    try:
        descriptor = _high_descriptor()
    except OSError as error:
        hint = "too many files are open, or may be; raise the limit with ulimit -n"
        raise SandboxError(f"the sandbox's arguments cannot be handed over: {error.strerror}", hint=hint) from error
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        file.seek(0)
        yield descriptor


def _high_descriptor() -> int:
    memory = os.memfd_create("kubeimage", os.MFD_CLOEXEC)
    try:
        try:
            return fcntl.fcntl(memory, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR)
        except OSError as error:
            # Fewer may be open than that.
            if error.errno != errno.EINVAL:
                raise
            return fcntl.fcntl(memory, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR // 4)
    finally:
        os.close(memory)


def run_to_end(
    argv: Sequence[str],
    environment: Mapping[str, str],
    output: Output,
    *,
    command: Command,
    settings: RunSettings,
    pass_fds: Sequence[int] = (),
    first: bytes = b"",
) -> CommandResult:
    """Run ``argv``, hand over what the command prints as it comes, and return when its processes are gone.

    ``first`` is what its input begins with; all input ends when the command is to.
    A command that comes to one of the limits of ``settings`` is ended, and its output says so.
    Shape:  ``argv`` is a keeper, or leads to one; its first process starts a process group. ``command`` is what it is
            for, and says how long it may take, and when it is to stop.
    Raises: SandboxError where it did not come to the command; StoppedError where that was to stop before its end;
        whatever ``output`` raises.
    """
    with kept(settings) as limits:
        prefix = limits.prefix if limits is not None else ()
        with _started((*prefix, *argv), environment, pass_fds) as process:
            talk = _Talk(process, output, command.timeout, limits, command.stop)
            _write(process, first)
            talk.listen()
        broken = talk.broken or (limits.broken(process.pid) if limits is not None else None)
    if talk.stopped:
        raise StoppedError("the RUN was stopped: the build has failed in another stage")
    if broken is not None:
        talk.tail.add(f"\n[{broken}]\n".encode())
        return CommandResult(-signal.SIGKILL, talk.tail.text())
    status = _status(process)
    if not talk.stands and not talk.timed_out:
        hint = "it may be that --memory is too little" if settings.memory is not None else None
        raise SandboxError(_complaint(talk.setup, status), hint=hint)
    return CommandResult(status, talk.tail.text(), timed_out=talk.timed_out)


def _write(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    # What ends without reading it says why.
    with suppress(BrokenPipeError):
        while data:
            data = data[process.stdin.write(data) or 0 :]


class _Talk:
    """What a command says until it ends, or until its time is up."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        output: Output,
        timeout: float | None,
        limits: Limits | None = None,
        stop: Stop | None = None,
    ) -> None:
        self.tail = Tail()
        self.setup = b""
        self.stands = False
        self.timed_out = False
        self.broken: str | None = None
        self.stopped = False
        self._stop = stop
        self._process = process
        self._limits = limits
        self._output = output
        self._deadline = time.monotonic() + timeout if timeout is not None else None

    def listen(self) -> None:
        """Pass on all output until the first process ends, or the time does."""
        assert self._process.stdout is not None
        source = self._process.stdout.fileno()
        os.set_blocking(source, False)
        with ExitStack() as cleanup:
            selector = cleanup.enter_context(selectors.DefaultSelector())
            selector.register(source, selectors.EVENT_READ)
            death = _watch_death(self._process, selector, cleanup)
            gone = False
            polling = death is None or self._limits is not None or self._stop is not None
            while not gone and not self._is_late() and not self._is_over() and not self._is_to_stop():
                selector.select(self._patience(polling=polling))
                gone = _has_ended(self._process)
                if source in selector.get_map() and not self._drain(source):
                    selector.unregister(source)

    def _is_late(self) -> bool:
        self.timed_out = self._deadline is not None and time.monotonic() >= self._deadline
        return self.timed_out

    def _is_to_stop(self) -> bool:
        self.stopped = self._stop is not None and self._stop.is_set()
        return self.stopped

    def _is_over(self) -> bool:
        """Whether the command has come to one of its limits; what starts it is not held to them."""
        if self._limits is not None and self.stands:
            self.broken = self._limits.broken(self._process.pid)
        return self.broken is not None

    def _patience(self, *, polling: bool) -> float | None:
        left = max(0.0, self._deadline - time.monotonic()) if self._deadline is not None else None
        pause = self._limits.patience if self._limits is not None else _POLL
        return min(pause, left if left is not None else pause) if polling else left

    def _drain(self, source: int) -> bool:
        """Pass on what is there now; False at the end of all output."""
        while not self._is_late() and not self._is_to_stop():
            try:
                data = os.read(source, _PIECE)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        if not self.stands:
            before, nul, data = data.partition(b"\0")
            self.setup = (self.setup + before)[:_SETUP_KEPT]
            self.stands = bool(nul)
        if data:
            self.tail.add(data)
            self._output(data)


@contextmanager
def _started(
    argv: Sequence[str], environment: Mapping[str, str], pass_fds: Sequence[int]
) -> Iterator[subprocess.Popen[bytes]]:
    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            argv,
            env=dict(environment),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
            bufsize=0,
        )

    try:
        process = with_keyring_of_its_own(start)
    except OSError as error:
        raise _start_error(error, argv) from error
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Have the watch kill all, and wait for that; whoever outlives it is killed by process group."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        if process.returncode is None:
            _await_end(process)
    finally:
        if process.returncode is None:
            _reap(process)
        process.stdout.close()


def _await_end(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _GRACE
    pause = 0.001
    while not _has_ended(process) and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 2, _POLL)


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process group, and wait until there is none.

    Its number is nobody else's while its first process is not reaped.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + _GRACE
    with suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            if not _lives(process.pid):
                break
            time.sleep(0.001)


def _lives(group: int) -> bool:
    """Whether a process of the group still runs; whoever inherited its dead may take long to wait for them."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                state, _, of_group = file.read().rpartition(b")")[2].split()[:3]
                if int(of_group) == group and state not in b"ZX":
                    return True
    return False


def _watch_death(process: subprocess.Popen[bytes], selector: selectors.BaseSelector, cleanup: ExitStack) -> int | None:
    """Have ``selector`` wake up when the process has ended; None where the kernel is too old for that."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except (OSError, AttributeError):
        return None
    cleanup.callback(os.close, descriptor)
    selector.register(descriptor, selectors.EVENT_READ)
    return descriptor


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process is a zombie by now; it stays one."""
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError as error:
        raise SandboxError(
            "how the command ended cannot be known: this process does not wait for its children",
            hint="do not ignore SIGCHLD in the program that builds",
        ) from error


def _status(process: subprocess.Popen[bytes]) -> int:
    """Return the command's exit status, or minus the number of the signal that ended it.

    A shell reports the signal that ended its command as 128 plus its number.
    """
    status: int = process.returncode
    return 128 - status if status - 128 in signal.valid_signals() else status


def refuse_long(argv: Sequence[str]) -> None:
    """Refuse a command whose text no process can get.

    Raises: SandboxError.
    """
    longest = max(len(os.fsencode(argument)) for argument in argv)
    if longest > _LARGEST_ARGUMENT:
        raise SandboxError(
            f"the RUN's text is {longest} bytes long, and the system hands over {_LARGEST_ARGUMENT} at most",
            hint="put it into a file of the context, COPY that, and RUN it",
        )


def _start_error(error: OSError, argv: Sequence[str]) -> SandboxError:
    refuse_long(argv)
    return SandboxError(f"cannot start {argv[0]!r}: {error.strerror}")


def _complaint(setup: bytes, status: int) -> str:
    lines = [line.strip() for line in setup.decode("utf-8", "replace").splitlines() if line.strip()]
    return f"{NOT_STARTED}: {lines[0] if lines else f'ended with status {status}'}"
