"""Programs run inside image roots, by a helper that is started once: see `kubeimage.run.serving`.

A program's outputs come by pipes of its own, and how it ended by a socket. When that socket is at its end nothing of
the program is left; and when our end of it closes, whatever becomes of us, all of it is killed.
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import field
from typing import Any

from kubeimage.errors import SandboxError, UserUnavailableError
from kubeimage.namespaces import find_obstacle, may_make_namespaces
from kubeimage.run import seccomp
from kubeimage.run.environment import HOST_PATH, proxies
from kubeimage.run.keyring import with_keyring_of_its_own
from kubeimage.run.process import own_interpreter, refuse_long
from kubeimage.values import dataclass

MOST_OUTPUT = 16 << 20
"""How many bytes of each output are kept; the program may go on printing."""

_PIECE = 1 << 16
_GRACE = 5.0
_START = "import sys; sys.path.insert(0, sys.argv[1]); from kubeimage.run.serving import main; main(sys.argv[2:])"
_LIBRARY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_CANNOT = "a program of an image cannot be run here"


@dataclass(frozen=True)
class Program:
    """A program and how it is to run.

    Shape: ``argv`` is found by the PATH of ``environment``, which is all it sees but HOME and proxies.
           ``user`` is ``USER`` or ``USER:GROUP`` as an image's config says it, names or numbers; empty is root.
    Units: ``timeout`` in seconds, or None; ``memory`` in bytes, or None.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = ""
    stdin: bytes = b""
    network: bool = False
    timeout: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Root:
    """Where the helper finds an image's root.

    Shape: ``scratch`` is a folder with the mount point ``m``; ``options`` are those of the overlay to mount there, and
           are empty where ``m`` holds the root itself. ``owners`` are given to paths before the program starts.
    """

    scratch: str
    options: str = ""
    owners: Sequence[tuple[str, int, int]] = ()


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Shape: ``status`` is its exit status, or minus the number of the signal that ended it. ``unstarted`` says why it
           was never begun, and is else empty; the status is 127 then, or 126 for what cannot be executed.
           ``truncated`` is whether it printed more than is kept. ``made`` are folders and files that stand in the
           root for it to be mounted on.
    """

    status: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    truncated: bool = False
    unstarted: str = ""
    made: tuple[str, ...] = ()


class ProgramRunner:
    """Runs programs by one helper, which is started at the first and ends with `close`, or with this process."""

    def __init__(self, host: Mapping[str, str] | None = None) -> None:
        self._host = os.environ if host is None else host
        self._helper: _Helper | None = None
        self._lock = threading.Lock()

    @property
    def keeps_owners(self) -> bool:
        """Whether a root that is bound shows each file's own owner: only real root can unpack so."""
        return may_make_namespaces()

    def maps_users(self) -> bool:
        """Whether programs can run as other users than root.

        Raises: SandboxError where none can run.
        """
        return self._ready().maps_users

    def run(self, program: Program, root: Root) -> Ended:
        """Run ``program`` in ``root``, and return when it and everything it started are gone.

        Raises: SandboxError where it cannot be run here; UserUnavailableError where it cannot be run as its user.
        """
        refuse_long(program.argv)
        helper = self._ready()
        with ExitStack() as stack:
            talk = _Talk(stack, program.timeout)
            talk.begin(helper, _request(program, root, self._host), program.stdin)
            try:
                talk.listen()
            finally:
                talk.end()
        return talk.result()

    def close(self) -> None:
        """End the helper, and with it all that it runs."""
        with self._lock:
            if self._helper is not None:
                self._helper.close()
                self._helper = None

    def _ready(self) -> _Helper:
        with self._lock:
            if self._helper is None or not self._helper.is_alive():
                self._helper = _Helper()
            return self._helper


def _request(program: Program, root: Root, host: Mapping[str, str]) -> bytes:
    value: dict[str, Any] = {
        "argv": program.argv,
        "environment": {**(proxies(host) if program.network else {}), **program.environment},
        "directory": program.directory,
        "user": program.user,
        "network": program.network,
        "memory": program.memory,
        "scratch": root.scratch,
        "options": root.options,
        "owners": list(root.owners),
        "filter": base64.b64encode(seccomp.make_filter(seccomp.DOCKERS_DEFAULT)).decode()
        if seccomp.has_table()
        else None,
    }
    return json.dumps(value).encode()


class _Helper:
    """The helper's process, and the socket by which it is asked."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sending = threading.Lock()
        try:
            with theirs, open(os.memfd_create("kubeimage-helper"), "w+b") as complaints:
                self._process = self._start(theirs.fileno(), complaints.fileno())
                theirs.close()
                self.maps_users = self._greet(complaints.fileno())
        except BaseException:
            self._channel.close()
            raise
        atexit.register(self.close)

    def _start(self, channel: int, complaints: int) -> subprocess.Popen[bytes]:
        argv = (*own_interpreter(), "-c", _START, _LIBRARY, str(channel), "-" if may_make_namespaces() else "user")
        kept = {"PYTHONDONTWRITEBYTECODE": "1"} if sys.dont_write_bytecode else {}
        return with_keyring_of_its_own(
            lambda: subprocess.Popen(
                argv,
                env={"PATH": HOST_PATH, **kept},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                start_new_session=True,
                pass_fds=(channel,),
            )
        )

    def _greet(self, complaints: int) -> bool:
        """Make an ordinary user's helper root of its namespace, of as many users as the system grants."""
        if may_make_namespaces():
            return True
        mapped = False
        if self._channel.recv(64):
            mapped = _map_users(self._process.pid)
            self._channel.send(b"mapped" if mapped else b"alone")
            if self._channel.recv(64):
                return mapped
        self._process.wait()
        self._channel.close()
        os.lseek(complaints, 0, os.SEEK_SET)
        raise _no_namespace(os.read(complaints, _PIECE).decode("utf-8", "replace"))

    def is_alive(self) -> bool:
        """Whether it is this process's, and waits for requests."""
        return self._owner == os.getpid() and self._process.poll() is None

    def ask(self, descriptors: Sequence[int]) -> None:
        """Hand over a request.

        Raises: OSError where the helper is gone.
        """
        with self._sending:
            socket.send_fds(self._channel, [b"run"], list(descriptors))

    def close(self) -> None:
        """End it; a process that was forked since leaves it alone."""
        atexit.unregister(self.close)
        self._channel.close()
        if self._owner == os.getpid():
            try:
                self._process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def _no_namespace(complaint: str) -> SandboxError:
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    reason, way_out = find_obstacle() or (
        lines[-1] if lines else "its helper did not start",
        "let this user make namespaces",
    )
    return SandboxError(f"{_CANNOT}: {reason}", hint=way_out)


def _map_users(pid: int) -> bool:
    """Map the ranges of /etc/subuid and /etc/subgid for a process; return whether the system has some for this user."""
    own = {"newuidmap": (os.geteuid(), "/etc/subuid"), "newgidmap": (os.getegid(), "/etc/subgid")}
    for name, (number, path) in own.items():
        program, granted = shutil.which(name, path=HOST_PATH), _granted(path)
        if program is None or granted is None:
            return False
        words = (str(pid), "0", str(number), "1", "1", *map(str, granted))
        done = subprocess.run((program, *words), capture_output=True, check=False, env={"PATH": HOST_PATH})
        if done.returncode != 0:
            return False
    return True


def _granted(path: str) -> tuple[int, int] | None:
    """Return the first id and the number of ids that a file grants this user."""
    import pwd

    names = {str(os.geteuid())}
    with suppress(KeyError):
        names.add(pwd.getpwuid(os.geteuid()).pw_name)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            fields = [line.strip().split(":") for line in file]
    except OSError:
        return None
    found = [one for one in fields if len(one) == 3 and one[0] in names and one[1].isdigit() and one[2].isdigit()]
    return (int(found[0][1]), int(found[0][2])) if found else None


class _Talk:
    """One request: what is handed over, what comes back, and when it is over."""

    def __init__(self, stack: ExitStack, timeout: float | None) -> None:
        self._stack = stack
        self._timeout = timeout
        self._deadline: float | None = None
        self._outputs: dict[int, bytearray] = {}
        self._order: list[int] = []
        self._report: socket.socket
        self._said = b""
        self._selector = stack.enter_context(selectors.DefaultSelector())
        self.timed_out = False
        self.truncated = False

    def begin(self, helper: _Helper, request: bytes, stdin: bytes) -> None:
        """Hand over a request; what it needs is closed here once the helper has it."""
        with ExitStack() as theirs:
            asked = theirs.enter_context(_in_memory(request))
            given = theirs.enter_context(_in_memory(stdin))
            writers = [theirs.enter_context(os.fdopen(self._pipe(), "wb", 0)) for _ in range(2)]
            self._report, report = socket.socketpair()
            self._stack.enter_context(self._report)
            theirs.enter_context(report)
            self._selector.register(self._report, selectors.EVENT_READ)
            numbers = [asked.fileno(), given.fileno(), *(one.fileno() for one in writers), report.fileno()]
            try:
                helper.ask(numbers)
            except OSError as error:
                raise SandboxError(f"{_CANNOT}: its helper is gone: {error.strerror}", hint="try again") from error
        if self._timeout is not None:
            self._deadline = time.monotonic() + self._timeout

    def _pipe(self) -> int:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        self._stack.callback(os.close, reader)
        os.set_blocking(reader, False)
        self._selector.register(reader, selectors.EVENT_READ)
        self._outputs[reader] = bytearray()
        self._order.append(reader)
        return writer

    def listen(self) -> None:
        """Take all that comes until the report is at its end, or time is up."""
        while self._report in self._selector.get_map():
            left = None if self._deadline is None else self._deadline - time.monotonic()
            if left is not None and left <= 0:
                self.timed_out = not self._facts().keys() & {"status", "unstarted", "failed", "refused"}
                return
            self._take_ready(left)

    def end(self) -> None:
        """Have all of it killed that still runs, and wait for that."""
        with suppress(OSError):
            self._report.shutdown(socket.SHUT_WR)
        limit = time.monotonic() + _GRACE
        while self._selector.get_map() and (left := limit - time.monotonic()) > 0:
            self._take_ready(left)

    def _take_ready(self, patience: float | None) -> None:
        for key, _ in self._selector.select(patience):
            if key.fileobj is self._report:
                self._hear()
            else:
                self._read(key.fd)

    def _hear(self) -> None:
        data = b""
        with suppress(ConnectionResetError):
            data = self._report.recv(_PIECE)
        self._said += data
        if not data:
            self._selector.unregister(self._report)

    def _read(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, _PIECE)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(descriptor)
            return
        kept = self._outputs[descriptor]
        kept += data[: MOST_OUTPUT - len(kept)]
        self.truncated = self.truncated or len(kept) == MOST_OUTPUT

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        for line in self._said.splitlines():
            with suppress(ValueError):
                facts.update(json.loads(line))
        return facts

    def result(self) -> Ended:
        """Return how it went.

        Raises: SandboxError, UserUnavailableError.
        """
        facts = self._facts()
        if "refused" in facts:
            raise _refused(*facts["refused"])
        if "failed" in facts:
            raise SandboxError(f"{_CANNOT}: {facts['failed']}")
        stdout, stderr = (bytes(self._outputs[one]) for one in self._order)
        made = tuple(facts.get("made", ()))
        if "unstarted" in facts:
            number, text = facts["unstarted"]
            status = 127 if number == _ENOENT else 126
            return Ended(status, stdout, stderr, truncated=self.truncated, unstarted=text, made=made)
        if "status" not in facts and not self.timed_out:
            raise SandboxError(f"{_CANNOT}: its helper ended without a word")
        status = -signal.SIGKILL if self.timed_out else facts["status"]
        return Ended(status, stdout, stderr, self.timed_out, self.truncated, made=made)


_ENOENT = 2


def _in_memory(data: bytes) -> Any:
    file = open(os.memfd_create("kubeimage", os.MFD_CLOEXEC), "w+b")  # noqa: SIM115 - the caller closes it
    file.write(data)
    file.flush()
    file.seek(0)
    return file


def _refused(word: str, text: str) -> SandboxError:
    if word == "unmapped":
        return UserUnavailableError(
            f"a program cannot be run as the user {text} here: this user's namespace has root alone",
            hint="let /etc/subuid and /etc/subgid grant this user a range, install uidmap, or run as root",
        )
    return SandboxError(f"a program cannot be run as {text!r}: the image's /etc has no {word} of this name")
