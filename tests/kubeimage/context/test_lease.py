"""Which files are at rest: nobody has them open for writing, by whatever name, nor mapped to be written through."""

import fcntl
import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from kubeimage.context import lease
from kubeimage.context.lease import is_at_rest
from kubeimage.layer.entry import FileIdentity, identity_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "f"
    found.write_bytes(b"content")
    return found


def identity(path: Path) -> FileIdentity:
    return identity_of(path.lstat())


@contextmanager
def opened(path: Path, mode: str) -> Iterator[None]:
    with path.open(mode):
        yield


@contextmanager
def opened_by_another_name(path: Path) -> Iterator[None]:
    os.link(path, path.with_name("link"))
    with path.with_name("link").open("ab"):
        yield


@contextmanager
def mapped(path: Path, mode: str, flags: int, protection: int) -> Iterator[None]:
    """Map the file, and close it."""
    with path.open(mode) as file:
        mapping = mmap.mmap(file.fileno(), 0, flags=flags, prot=protection)
    with mapping:
        yield


@contextmanager
def opened_by_another_process(path: Path) -> Iterator[None]:
    program = "import sys; file = open(sys.argv[1], 'r+b'); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate()


READ, WRITE = mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE
HELD: dict[str, tuple[Callable[[Path], AbstractContextManager[None]], bool]] = {
    "opened to read": (lambda path: opened(path, "rb"), True),
    "opened to write": (lambda path: opened(path, "r+b"), False),
    "opened to append": (lambda path: opened(path, "ab"), False),
    "opened by another name": (opened_by_another_name, False),
    "opened by another process": (opened_by_another_process, False),
    "mapped to read": (lambda path: mapped(path, "rb", mmap.MAP_SHARED, READ), True),
    "mapped to write": (lambda path: mapped(path, "r+b", mmap.MAP_SHARED, WRITE), False),
    "mapped to read, which can be changed": (lambda path: mapped(path, "r+b", mmap.MAP_SHARED, READ), False),
    "mapped for itself": (lambda path: mapped(path, "rb", mmap.MAP_PRIVATE, WRITE), True),
}


@pytest.mark.parametrize(("hold", "expected"), HELD.values(), ids=HELD)
def test_a_file_is_at_rest_where_nobody_can_write_to_it(
    path: Path, hold: Callable[[Path], AbstractContextManager[None]], expected: bool
) -> None:
    with hold(path):
        assert is_at_rest(str(path), identity(path)) is expected
    assert is_at_rest(str(path), identity(path))


@pytest.mark.parametrize("other", ["gone", "another file", "symlink", "fifo", "folder"])
def test_another_thing_at_its_place_is_not_at_rest(path: Path, other: str) -> None:
    before = identity(path)
    path.rename(path.with_name("aside"))
    if other == "another file":
        path.write_bytes(b"content")
    elif other == "symlink":
        path.symlink_to("aside")
    elif other == "fifo":
        os.mkfifo(path)
    elif other == "folder":
        path.mkdir()

    assert not is_at_rest(str(path), before)


def test_nobody_is_kept_waiting_afterwards(path: Path) -> None:
    assert is_at_rest(str(path), identity(path))

    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))


def test_the_signal_of_a_writer_who_comes_meanwhile_is_one_that_is_ignored(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.fcntl
    woken = []
    monkeypatch.setattr(lease, "_IGNORED", signal.SIGUSR1.value)
    previous = signal.signal(signal.SIGUSR1, lambda *_: woken.append(True))

    def come_meanwhile(descriptor: int, command: int, argument: int) -> int:
        if (command, argument) == (fcntl.F_SETLEASE, fcntl.F_UNLCK):
            with pytest.raises(BlockingIOError):
                os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        return real(descriptor, command, argument)

    monkeypatch.setattr(lease.fcntl, "fcntl", come_meanwhile)  # type: ignore[attr-defined]
    try:
        is_at_rest(str(path), identity(path))
    finally:
        signal.signal(signal.SIGUSR1, previous)

    # SIGIO, which is what comes if nothing else is asked for, would have ended the process.
    assert woken == [True]


def test_where_leases_are_not_given_nothing_is_at_rest(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(lease.fcntl, "fcntl", refuse)  # type: ignore[attr-defined]

    assert not is_at_rest(str(path), identity(path))
