"""The programs of a command test, and what they are given."""

import pytest

from harness.cst.commands import BadEnvironmentError, read_env_file, steps_of, why_unavailable
from harness.cst.spec import CommandTest, Pair, RunOptions, Spec

IMAGE = {"PATH": "/bin", "A": "1"}
SPEC = Spec("a.yaml", global_env=(Pair("G", "g-$A"),))


def steps(
    test: CommandTest, spec: Spec = SPEC, host: dict[str, str] | None = None
) -> list[tuple[object, dict[str, str]]]:
    found = steps_of(test, spec, IMAGE, host or {}, network=False, timeout=1)
    return [(one.command, dict(one.env)) for one in found]


def test_words_are_filled_in_by_the_image_and_the_file_alone() -> None:
    test = CommandTest("a", ("echo", "$A-$G-$T"), env=(Pair("T", "t-$G"),))

    assert steps(test) == [(["echo", "1-g-1-"], {**IMAGE, "G": "g-1", "T": "t-$G"})]


def test_a_setup_keeps_its_variables_for_what_follows() -> None:
    test = CommandTest("a", ("echo", "$T"), setup=(("touch", "$T"),), env=(Pair("T", "t-$G"),))

    (setup, command) = steps(test)

    assert setup == (("touch", "$T"), {**IMAGE, "G": "g-1", "T": "t-g-1"})
    assert command == (["echo", "t-g-1"], {**IMAGE, "G": "g-1", "T": "t-$G"})


def test_variables_from_elsewhere_stand_for_the_test_s_own() -> None:
    spec = Spec("a.yaml", options=RunOptions(env_vars=("H",)))
    test = CommandTest("a", ("x",), setup=(("y",),), env=(Pair("T", "t"),))

    (setup, command) = steps(test, spec, {"H": "here"})

    assert setup[1] == {**IMAGE, "T": "t"}
    assert command[1] == {**IMAGE, "T": "t", "H": "here"}
    with pytest.raises(BadEnvironmentError):
        steps(test, spec)


def test_an_env_file_is_read_as_the_program_reads_it() -> None:
    text = "# c\nA=a b\nexport B=2\nC=\"x y\" # c\nD='$A'\nE=$A-${B}\nF=a=b # c\nG=a#b\nnothing\n"

    assert read_env_file(text) == {
        "A": "a b", "B": "2", "C": "x y", "D": "$A", "E": "a b-2", "F": "a=b", "G": "a#b",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (RunOptions(privileged=True), "privileged"),
        (RunOptions(capabilities=("NET_BIND_SERVICE", "SYS_ADMIN")), "SYS_ADMIN"),
        (RunOptions(bind_mounts=("/a:/b",)), "/a:/b"),
        (RunOptions(tty=True), "terminal"),
    ],
)
def test_what_no_program_can_have_is_named(options: RunOptions, word: str) -> None:
    assert word in (why_unavailable(options) or "")


def test_what_every_program_has_is_no_reason() -> None:
    assert why_unavailable(RunOptions(user="x", capabilities=("CAP_NET_BIND_SERVICE", "chown"))) is None
