"""A session keyring of its own for a command: the builder's may hold keys for file systems, Kerberos and others.

Credentials belong to a thread, and a child has those of the thread that started it. So the builder's own stay what
they are.
Source: keyctl(2), KEYCTL_JOIN_SESSION_KEYRING; session-keyring(7).
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from kubeimage.disk.threads import begin

T = TypeVar("T")

# keyctl(2) by the machine's name in uname(2).
_NUMBERS = {"x86_64": 250, "aarch64": 219, "riscv64": 219}
_JOIN_SESSION_KEYRING = 1


def with_keyring_of_its_own(start: Callable[[], T]) -> T:
    """Return what ``start`` returns, called by a thread with a new and empty session keyring.

    Where the system refuses that, as Docker's filter does, the command's own filter has to do: it has no keyctl(2).
    Raises: whatever ``start`` raises.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            join_new_session()
            results.append(start())
        except BaseException as error:  # noqa: BLE001 - it is raised where the thread was started
            errors.append(error)

    thread = threading.Thread(target=run, name="kubeimage-run")
    begin(thread)
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def join_new_session() -> None:
    """Join a new and empty session keyring with this thread, where machine and system allow it."""
    number = _NUMBERS.get(os.uname().machine)
    if number is not None:
        ctypes.CDLL(None).syscall(ctypes.c_long(number), ctypes.c_long(_JOIN_SESSION_KEYRING), None)
