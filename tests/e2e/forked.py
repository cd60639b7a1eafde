"""The program in a process that is forked from one which has imported it already.

What an interpreter and its imports cost is paid once, and not for each of a thousand runs. The process is one of its
own in all else: its arguments, streams, folder, environment, umask and process group.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Lock
from time import monotonic
from types import ModuleType

import pytest

from kubeimage.__main__ import main

REPOSITORY = Path(__file__).parent.parent.parent
_CONTEXT = get_context("forkserver")
_SURROUNDINGS = {"PYTHONPATH": str(REPOSITORY), "LANG": "C.UTF-8"}
# Whoever starts a process asks all others whether they have ended, and an answer can be read but once.
_ONE_AT_A_TIME = Lock()
# What an interpreter or the C library reads when it starts.
_READ_AT_START = ("LANG", "LC_", "LD_", "MALLOC", "PYTHON", "TZ")


def can_be_forked(environment: Mapping[str, str]) -> bool:
    """Whether a start would come to the same: no variable is set to be read then, but those that all runs have."""
    return not any(
        name.startswith(_READ_AT_START) and _SURROUNDINGS.get(name) != value for name, value in environment.items()
    )


def run_forked(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], umask: int, given: str, patience: float
) -> tuple[int, str, str]:
    """Run the program to its end, and return its status and what it wrote.

    Units:  ``patience`` in seconds.
    Raises: TimeoutError, and the program and what it started in its process group are gone.
    """
    pipes = [_CONTEXT.Pipe(duplex=False) for _ in range(3)]
    (stdin, ours), (stdout, theirs), (stderr, also_theirs) = pipes
    process = _CONTEXT.Process(
        target=_be_the_program, args=(arguments, str(folder), dict(environment), umask, stdin, theirs, also_theirs)
    )
    try:
        with _ONE_AT_A_TIME, _without_main():
            _start_server()
            process.start()
        for end in (stdin, theirs, also_theirs):
            end.close()
        os.write(ours.fileno(), given.encode())
        ours.close()
        assert process.pid is not None
        try:
            out, err = _read_all(stdout, stderr, until=monotonic() + patience)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        wait([process.sentinel], patience)
        with _ONE_AT_A_TIME:
            process.join(0)
        assert process.exitcode is not None
        return process.exitcode, out.decode(), err.decode()
    finally:
        for pair in pipes:
            for end in pair:
                end.close()


@cache
def _start_server() -> None:
    """Start the process that is forked from; it ends with this one."""
    _CONTEXT.set_forkserver_preload(["tests.e2e.preloaded"])
    with _without_main() as patch:
        for name, value in _SURROUNDINGS.items():
            patch.setenv(name, value)
        # Its socket's path must be short, whatever folder the test at hand has chosen.
        patch.setattr(tempfile, "tempdir", "/tmp")
        forkserver.ensure_running()


@contextmanager
def _without_main() -> Iterator[pytest.MonkeyPatch]:
    """Let children not import what this process began with: pytest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "__main__", ModuleType("__main__"))
        yield patch


def _read_all(*streams: Connection, until: float) -> list[bytearray]:
    read = {stream: bytearray() for stream in streams}
    left = list(streams)
    while left:
        ready = wait(left, max(0, until - monotonic()))
        if not ready:
            raise TimeoutError("the program does not come to an end")
        for stream in ready:
            assert isinstance(stream, Connection)
            data = os.read(stream.fileno(), 1 << 16)
            read[stream] += data
            if not data:
                left.remove(stream)
    return list(read.values())


def _be_the_program(
    arguments: Sequence[str], folder: str, environment: Mapping[str, str], umask: int, *streams: Connection
) -> None:
    os.setpgid(0, 0)
    os.chdir(folder)
    if umask >= 0:
        os.umask(umask)
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
    os.closerange(len(streams), 1_000)
    sys.stdin = open(0, errors="surrogateescape", closefd=False)  # noqa: SIM115 - as long as the process
    sys.stdout = open(1, "w", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["kubeimage", *arguments]
    main()
