"""The seccomp filter of a RUN: what Docker's default refuses to a container, and more where Landlock is the only wall.

A call is looked up by its architecture and number. What no table knows answers ENOSYS, as on a kernel that lacks it, so
that programs take the older way; so does clone3(2), whose flags no filter can read. The numbers of x32 are above all
others, so they answer ENOSYS as well.

Sources: seccomp(2); Linux, uapi/linux/{filter,bpf_common,seccomp}.h; Docker, "Seccomp security profiles".
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Iterable, Iterator
from functools import cache

from kubeimage.run.syscalls import LAST_KNOWN, MACHINES, Architecture
from kubeimage.values import dataclass

_LOAD, _RETURN, _JUMP = 0x20, 0x06, 0x05
_IF_EQUAL, _IF_GREATER, _IF_ANY_BIT = 0x15, 0x25, 0x45
_AT_NUMBER, _AT_ARCHITECTURE, _AT_ARGUMENTS = 0, 4, 16
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000

_NEW_NAMESPACES = 0x7E020000
_AF_UNIX, _AF_VSOCK = 1, 40
# What personality(2) may be asked for: Linux's own, 32 bits, and uname's old version with either.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

_REFUSED = """
    acct add_key bpf clock_settime clock_settime64 create_module delete_module fanotify_init finit_module fsconfig
    fsmount fsopen fspick get_kernel_syms get_mempolicy init_module io_uring_enter io_uring_register io_uring_setup
    ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind migrate_pages mount mount_setattr move_mount
    move_pages nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root process_madvise
    query_module quotactl quotactl_fd reboot request_key set_mempolicy set_mempolicy_home_node setdomainname sethostname
    setns settimeofday stime swapoff swapon sysfs _sysctl syslog umount umount2 unshare uselib userfaultfd ustat vhangup
    vm86 vm86old
""".split()  # noqa: SIM905 - eighty names in quotes are harder to read
_CHANGES_OF_OWNER = ("chown", "chown32", "fchown", "fchown32", "fchownat", "lchown", "lchown32")


@dataclass(frozen=True)
class Rule:
    """What a call answers instead of being made.

    Shape: ``error`` is its errno; 0 is success without doing anything. ``argument`` is the number of the one that
           decides: the call is made if its lower half is one of ``unless``, or has none of the bits of ``if_any_bit``,
           or is none of ``only``; without ``argument`` it is never made.
    """

    call: str
    error: int
    argument: int | None = None
    unless: tuple[int, ...] = ()
    only: tuple[int, ...] = ()
    if_any_bit: int = 0


DOCKERS_DEFAULT: tuple[Rule, ...] = (
    *(Rule(call, errno.EPERM) for call in _REFUSED),
    Rule("clone", errno.EPERM, argument=0, if_any_bit=_NEW_NAMESPACES),
    Rule("clone3", errno.ENOSYS),
    Rule("personality", errno.EPERM, argument=0, unless=_PERSONALITIES),
    Rule("socket", errno.EPERM, argument=0, only=(_AF_VSOCK,)),
)
"""What a container has not without asking; capabilities that a RUN lacks too are left to the kernel."""

# Owners are no part of a layer, and nobody is to change those outside.
_LANDLOCK_ALONE = (
    *(Rule(call, 0) for call in _CHANGES_OF_OWNER),
    Rule("socket", errno.EAFNOSUPPORT, argument=0, only=(_AF_UNIX,)),
    Rule("socketcall", errno.ENOSYS),
)
_NO_NETWORK = (Rule("socket", errno.EACCES), Rule("socketcall", errno.EACCES))


def landlock_rules(*, network: bool) -> tuple[Rule, ...]:
    """Return the rules where no namespace walls a RUN: it gets no socket of the host and changes no owner, besides."""
    return (*DOCKERS_DEFAULT, *(_LANDLOCK_ALONE if network else (*_NO_NETWORK, *_LANDLOCK_ALONE)))


def has_table(machine: str | None = None) -> bool:
    """Return whether a filter can be made for this machine."""
    return (machine or os.uname().machine) in MACHINES and sys.byteorder == "little"


@cache
def make_filter(rules: tuple[Rule, ...], machine: str | None = None) -> bytes:
    """Return the program of ``rules`` for a machine, by default this one; of two rules for a call the first counts.

    Raises: KeyError for a machine without a table.
    """
    blocks = [(one.audit, b"".join(_block(rules, one))) for one in MACHINES[machine or os.uname().machine]]
    program = _load(_AT_ARCHITECTURE)
    for audit, block in blocks:
        program += _step(_IF_EQUAL, audit, 1, 0) + _step(_JUMP, len(block) // 8) + block
    return program + _answer(errno.ENOSYS)


def _block(rules: Iterable[Rule], architecture: Architecture) -> Iterator[bytes]:
    yield _load(_AT_NUMBER)
    yield _step(_IF_GREATER, LAST_KNOWN, 0, 1) + _answer(errno.ENOSYS)
    for rule in rules:
        number = architecture.numbers.get(rule.call)
        if number is not None:
            body = b"".join(_body(rule))
            yield _step(_IF_EQUAL, number, 0, len(body) // 8) + body
    yield _step(_RETURN, _ALLOW)


def _body(rule: Rule) -> Iterator[bytes]:
    """Yield what follows once the call is known; it ends in an answer, or with the number loaded again."""
    answer = _answer(rule.error)
    if rule.argument is None:
        yield answer
        return
    yield _load(_AT_ARGUMENTS + 8 * rule.argument)
    if rule.if_any_bit:
        yield _step(_IF_ANY_BIT, rule.if_any_bit, 0, 1) + answer
    for value in rule.only:
        yield _step(_IF_EQUAL, value, 0, 1) + answer
    for value in rule.unless:
        yield _step(_IF_EQUAL, value, 0, 1) + _step(_RETURN, _ALLOW)
    yield answer if rule.unless else _load(_AT_NUMBER)


def _answer(error: int) -> bytes:
    return _step(_RETURN, _ERRNO | error)


def _load(offset: int) -> bytes:
    return _step(_LOAD, offset)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
