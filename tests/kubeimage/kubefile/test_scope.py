from collections.abc import Mapping

import pytest

from kubeimage.errors import BuildArgError, KubefileError
from kubeimage.kubefile import Copy, Run, Scope, parse
from tests.places import place_of


def seen_by_runs(text: str, build_args: Mapping[str, str]) -> list[Mapping[str, str]]:
    scope = Scope.of(parse(text), build_args)
    return [dict(visible.values) for instruction, visible in scope.walk() if isinstance(instruction, Run)]


def expand_copies(text: str, build_args: Mapping[str, str] | None = None, arch: str = "arm64") -> list[Copy]:
    scope = Scope.of(parse(text), build_args or {})
    return [
        visible.expand_copy(instruction, arch) for instruction, visible in scope.walk() if isinstance(instruction, Copy)
    ]


def expand_all(text: str, build_args: Mapping[str, str]) -> None:
    _ = Scope.of(parse(text), build_args).base_name
    expand_copies(text, build_args)


LINES = "ARG A=1\nFROM x:v1\nRUN a\nARG B=2,C=$A$B\nRUN b\nARG A=3\nRUN c\nARG D\nRUN d\n"


@pytest.mark.parametrize(
    ("build_args", "seen"),
    [
        pytest.param(
            {},
            [{"A": "1"}, {"A": "1", "B": "2", "C": "12"}, *[{"A": "3", "B": "2", "C": "12"}] * 2],
            id="from its line on, the later one wins, unset is not exported",
        ),
        pytest.param(
            {"A": "9", "D": "$A"},
            [{"A": "9"}, *[{"A": "9", "B": "2", "C": "92"}] * 2, {"A": "9", "B": "2", "C": "92", "D": "$A"}],
            id="build arguments override every ARG of their key, as they are",
        ),
        pytest.param(
            {"A": "", "B": "", "C": "", "D": ""},
            [{"A": ""}, dict.fromkeys("ABC", ""), dict.fromkeys("ABC", ""), dict.fromkeys("ABCD", "")],
            id="empty is a value",
        ),
    ],
)
def test_each_run_sees_the_args_above_it(build_args: Mapping[str, str], seen: list[Mapping[str, str]]) -> None:
    assert seen_by_runs(LINES, build_args) == seen


def test_the_image_records_what_holds_at_the_end() -> None:
    assert Scope.of(parse(LINES), {"B": "b"}).arguments == {"A": "3", "B": "b", "C": "1b"}


def test_an_arg_without_a_value_hides_an_earlier_one() -> None:
    scope = Scope.of(parse("FROM x:v1\nARG A=1\nARG A\n"))

    assert scope.arguments == {}


def test_a_build_arg_that_no_arg_declares_is_an_error_that_lists_the_declared_ones() -> None:
    with pytest.raises(BuildArgError) as caught:
        Scope.of(parse(LINES.replace("D", "VERSION")), {"A": "1", "VERSON": "2", "Z": ""})

    assert caught.value.message == (
        "no ARG declares the build argument 'VERSON', 'Z' (did you mean VERSION?); declared: A, B, C, VERSION"
    )


def test_a_build_arg_without_any_arg_is_an_error() -> None:
    with pytest.raises(BuildArgError, match="the Kubefile declares none"):
        Scope.of(parse("FROM scratch\n"), {"A": "1"})


def test_from_uses_the_args_above_it() -> None:
    kubefile = parse("ARG TAG=v1\nARG NAME=app\nFROM ${NAME}:$TAG\nARG TAG=v3")

    assert Scope.of(kubefile).base_name == "app:v1"
    assert Scope.of(kubefile, {"TAG": "v2"}).base_name == "app:v2"


def test_copy_uses_args_and_the_architecture() -> None:
    text = 'FROM x:v1\nARG V=1,DIR="my dir",ARCH=none\nCOPY ${ARCH}/a-$V \\$V $W "$DIR"\n'

    assert expand_copies(text) == [Copy(("arm64/a-1", "$V", "$W"), "my dir")]


def test_a_copy_keeps_its_flags_and_place() -> None:
    text = "FROM x:v1\n\nCOPY --exact --chmod=644 $ARCH b\n"

    (copy,) = expand_copies(text)

    assert (copy.value, copy.span.first_line) == ("--exact --chmod=644 arm64 b", 3)


@pytest.mark.parametrize(
    ("text", "build_args", "code", "place"),
    [
        pytest.param("ARG A\nFROM x:$A\n", {}, "E0250", (2, 8), id="unset in FROM"),
        pytest.param("FROM x:v1\nARG A\nCOPY a \\\n  # $A\n  ${A} .\n", {}, "E0250", (5, 3), id="unset in COPY"),
        pytest.param("FROM x:v1\nARG A\nARG B=1,C=$A\n", {}, "E0250", (3, 11), id="unset in ARG"),
        pytest.param("ARG A=B\nFROM $A\n", {}, "E0209", (2, 1), id="no reference"),
        pytest.param("FROM $A:v1\n", {}, "E0209", (1, 1), id="undeclared in FROM"),
        pytest.param("FROM x:v1\nARG A\nCOPY $A b\n", {"A": ""}, "E0224", (3, 6), id="source becomes empty"),
        pytest.param("FROM x:v1\nARG A\nCOPY b $A\n", {"A": ""}, "E0224", (3, 8), id="destination becomes empty"),
        pytest.param("FROM x:v1\nARG A\nCOPY a/$A b\n", {"A": "../.."}, "E0221", (3, 6), id="source escapes"),
        pytest.param("FROM x:v1\nARG A\nCOPY a $A/b\n", {"A": "a/../.."}, "E0222", (3, 8), id="destination escapes"),
        pytest.param("FROM x:v1\nCOPY a \\$b/../..\n", {}, "E0222", (2, 8), id="past a literal dollar"),
        pytest.param("FROM x:v1\nARG A\nCOPY a $A\n", {"A": ".wh.a"}, "E0223", (3, 8), id="reserved name"),
        pytest.param("FROM x:v1\nARG A\nCOPY $A b\n", {"A": "https://x"}, "E0220", (3, 6), id="remote source"),
    ],
)
def test_what_only_expansion_shows_is_an_error_with_its_place(
    text: str, build_args: Mapping[str, str], code: str, place: tuple[int, int]
) -> None:
    with pytest.raises(KubefileError) as caught:
        expand_all(text, build_args)

    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, place_of(diagnostic).line, place_of(diagnostic).column) == (code, *place)
    assert diagnostic.hint


def test_an_unset_arg_that_nothing_needs_is_no_error() -> None:
    kubefile = parse("FROM x:v1\nARG A\nARG C=$A\nRUN $A\n")

    assert Scope.of(kubefile, {"C": "1"}).arguments == {"C": "1"}


def test_defaults_that_double_each_other_are_refused_before_memory_is_gone() -> None:
    doubling = "".join(f"ARG A{i + 1}=$A{i}$A{i}\n" for i in range(64))

    with pytest.raises(KubefileError) as caught:
        Scope.of(parse(f"FROM x:v1\nARG A0=ha\n{doubling}"))

    assert caught.value.diagnostics[0].code == "E0251"


def test_a_copy_of_endless_names_is_refused() -> None:
    with pytest.raises(KubefileError) as caught:
        expand_copies(f"FROM x:v1\nARG A={'a' * 100_000}\nCOPY {'$A ' * 100} b")

    assert caught.value.diagnostics[0].code == "E0251"


def test_a_long_value_is_no_error() -> None:
    kubefile = parse(f"FROM x:v1\nARG A={'a' * (2 << 20)}\nARG B=b\n")

    assert len(Scope.of(kubefile).arguments["A"]) == 2 << 20
