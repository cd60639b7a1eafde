"""The session keyring that a command is started with."""

import ctypes
import os
import subprocess
import sys

import pytest

from kubeimage.run.keyring import _NUMBERS, with_keyring_of_its_own

ASK = "import ctypes, sys; print(ctypes.CDLL(None).syscall(int(sys.argv[1]), 0, -3, 0))"


def session_keyring() -> int:
    """Return the serial number of this thread's session keyring; below 0 where the kernel does not say."""
    return int(ctypes.CDLL(None).syscall(ctypes.c_long(_NUMBERS.get(os.uname().machine, -1)), 0, -3, 0))


def child() -> int:
    argv = [sys.executable, "-c", ASK, str(_NUMBERS[os.uname().machine])]
    return int(subprocess.run(argv, capture_output=True, check=True).stdout)


@pytest.mark.skipif(session_keyring() < 0, reason="the kernel here says nothing of session keyrings")
def test_a_child_has_one_of_its_own_and_we_keep_ours() -> None:
    before = session_keyring()

    theirs = [with_keyring_of_its_own(child) for _ in range(2)]

    assert len({before, *theirs}) == 3
    assert min(theirs) > 0
    assert session_keyring() == before == child()


def test_what_starting_raises_is_raised() -> None:
    def start() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        with_keyring_of_its_own(start)
