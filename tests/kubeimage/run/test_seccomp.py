"""The seccomp filter: what it answers for every call, and that the kernel takes it."""

import ctypes
import errno
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kubeimage.run.seccomp import DOCKERS_DEFAULT, Rule, landlock_rules, make_filter
from kubeimage.run.syscalls import LAST_KNOWN, MACHINES, Architecture

ALLOWED = None
MADE_UP = 0
X32 = 0x40000000
ARCHITECTURES = [(machine, one) for machine, several in MACHINES.items() for one in several]
IDS = [f"{one.name} on {machine}" for machine, one in ARCHITECTURES]
CHANGES_OF_OWNER = {"chown", "chown32", "fchown", "fchown32", "fchownat", "lchown", "lchown32"}


def answer(program: bytes, audit: int, number: int, *arguments: int) -> int | None:
    """Return the errno that a filter answers, or ALLOWED: the part of a BPF machine that filters use."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, audit, 0, *padded)
    steps = list(struct.iter_unpack("<HBBI", program))
    loaded, at = 0, 0
    while True:
        code, if_true, if_false, value = steps[at]
        at += 1
        match code:
            case 0x20:
                loaded = int.from_bytes(data[value : value + 4], "little")
            case 0x05:
                at += value
            case 0x15 | 0x25 | 0x45:
                holds = {0x15: loaded == value, 0x25: loaded > value, 0x45: bool(loaded & value)}[code]
                at += if_true if holds else if_false
            case 0x06:
                return ALLOWED if value == 0x7FFF0000 else value & 0xFFFF
            case _:
                raise AssertionError(f"no step has the code {code:#x}")


@pytest.mark.parametrize(("machine", "one"), ARCHITECTURES, ids=IDS)
@pytest.mark.parametrize(
    ("call", "error"),
    [
        *[(rule.call, rule.error) for rule in DOCKERS_DEFAULT if rule.argument is None],
        *[(rule.call, ALLOWED) for rule in DOCKERS_DEFAULT if rule.argument is not None],
        *[(call, ALLOWED) for call in sorted(CHANGES_OF_OWNER)],
    ],
)
def test_each_call_that_the_rules_name_is_answered_on_each_architecture(
    machine: str, one: Architecture, call: str, error: int | None
) -> None:
    if call not in one.numbers:
        pytest.skip(f"{one.name} has no {call}")

    assert answer(make_filter(DOCKERS_DEFAULT, machine), one.audit, one.numbers[call]) == error


@pytest.mark.parametrize(("machine", "one"), ARCHITECTURES, ids=IDS)
@given(number=st.integers(0, 2**32 - 1) | st.integers(0, 2 * LAST_KNOWN))
@example(number=LAST_KNOWN)
@example(number=LAST_KNOWN + 1)
@example(number=X32)
@example(number=X32 + 520)
def test_a_call_is_made_if_it_is_known_and_no_rule_names_it(machine: str, one: Architecture, number: int) -> None:
    program = make_filter(DOCKERS_DEFAULT, machine)
    named = {one.numbers[rule.call] for rule in DOCKERS_DEFAULT if rule.call in one.numbers}

    if number > LAST_KNOWN:
        assert answer(program, one.audit, number) == errno.ENOSYS
    elif number not in named:
        assert answer(program, one.audit, number) is ALLOWED


@pytest.mark.parametrize("machine", MACHINES)
def test_programs_of_an_architecture_without_a_table_get_no_call_at_all(machine: str) -> None:
    known = {one.audit for one in MACHINES[machine]}
    others = {one.audit for _, one in ARCHITECTURES} - known | {0xDEADBEEF}

    assert {answer(make_filter((), machine), audit, 1) for audit in others} == {errno.ENOSYS}


@pytest.mark.parametrize(
    ("call", "arguments", "error"),
    [
        ("clone", [0x11], ALLOWED),
        ("clone", [0x3D0F00], ALLOWED),
        *[("clone", [0x11 | 1 << bit], errno.EPERM) for bit in (17, 25, 26, 27, 28, 29, 30)],
        ("clone", [0x20000011 | 1 << 40], errno.EPERM),
        ("personality", [0], ALLOWED),
        ("personality", [0xFFFFFFFF], ALLOWED),
        ("personality", [0x20008], ALLOWED),
        ("personality", [0x40000], errno.EPERM),
        ("socket", [1], ALLOWED),
        ("socket", [2], ALLOWED),
        ("socket", [40], errno.EPERM),
    ],
)
def test_some_calls_depend_on_what_they_are_asked_for(call: str, arguments: list[int], error: int | None) -> None:
    for machine, one in ARCHITECTURES:
        assert answer(make_filter(DOCKERS_DEFAULT, machine), one.audit, one.numbers[call], *arguments) == error


@pytest.mark.parametrize(
    ("network", "domain", "error"),
    [
        (True, 1, errno.EAFNOSUPPORT),
        (True, 2, ALLOWED),
        (True, 10, ALLOWED),
        (True, 40, errno.EPERM),
        *[(False, domain, errno.EACCES) for domain in (1, 2, 10, 16, 17)],
    ],
)
def test_behind_landlock_no_socket_reaches_the_host(network: bool, domain: int, error: int | None) -> None:
    for machine, one in ARCHITECTURES:
        program = make_filter(landlock_rules(network=network), machine)
        assert answer(program, one.audit, one.numbers["socket"], domain) == error
        assert answer(program, one.audit, one.numbers["socketpair"], 1) is ALLOWED


@pytest.mark.parametrize("network", [True, False])
def test_behind_landlock_owners_stay_and_the_default_holds_too(network: bool) -> None:
    for machine, one in ARCHITECTURES:
        program = make_filter(landlock_rules(network=network), machine)
        owners = [one.numbers[call] for call in CHANGES_OF_OWNER if call in one.numbers]
        assert {answer(program, one.audit, number) for number in owners} == {MADE_UP}
        assert answer(program, one.audit, one.numbers["mount"]) == errno.EPERM
        if "socketcall" in one.numbers:
            assert answer(program, one.audit, one.numbers["socketcall"]) in (errno.ENOSYS, errno.EACCES)


def test_of_two_rules_for_a_call_the_first_counts() -> None:
    one = MACHINES["x86_64"][0]
    program = make_filter((Rule("mount", 5), Rule("mount", 6)), "x86_64")

    assert answer(program, one.audit, one.numbers["mount"]) == 5


@pytest.mark.parametrize(("machine", "one"), ARCHITECTURES, ids=IDS)
def test_the_numbers_are_those_of_libseccomp(machine: str, one: Architecture) -> None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("needs libseccomp.so.2, which this machine does not have")
    resolve = library.seccomp_syscall_resolve_name_arch
    resolve.argtypes = [ctypes.c_uint32, ctypes.c_char_p]

    # Below 0 are calls that it does not know yet, or knows as parts of socketcall.
    found = {call: int(resolve(one.audit, call.encode())) for call in one.numbers}

    assert {call: number for call, number in found.items() if number >= 0 and number != one.numbers[call]} == {}
    assert sum(number >= 0 for number in found.values()) > 50
