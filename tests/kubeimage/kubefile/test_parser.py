import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kubeimage.errors import KubefileError
from kubeimage.kubefile import Arg, Cmd, Copy, From, Instruction, Kubefile, Run, parse, render
from tests.places import place_of

EXAMPLE = """\
FROM kubernetes:v1.19.8
ARG VERSION=2.2.0
COPY ${ARCH}/helm bin                 # from the build context
COPY dashboard.yaml manifests
COPY mysql charts
RUN sed -i "s/TAG/$VERSION/" manifests/dashboard.yaml
CMD kubectl apply -f manifests/dashboard.yaml
"""


def codes_of(text: str) -> list[str]:
    with pytest.raises(KubefileError) as caught:
        parse(text)
    return [diagnostic.code for diagnostic in caught.value.diagnostics]


def messages_of(text: str) -> list[str]:
    try:
        parse(text)
    except KubefileError as error:
        return [diagnostic.message for diagnostic in error.diagnostics]
    return []


def parse_one(text: str) -> Instruction:
    return parse(f"FROM scratch\n{text}\n").instructions[1]


def test_a_kubefile_parses_to_its_instructions() -> None:
    assert parse(EXAMPLE) == Kubefile(
        (
            From("kubernetes:v1.19.8"),
            Arg((("VERSION", "2.2.0"),)),
            Copy(("${ARCH}/helm",), "bin"),
            Copy(("dashboard.yaml",), "manifests"),
            Copy(("mysql",), "charts"),
            Run('sed -i "s/TAG/$VERSION/" manifests/dashboard.yaml'),
            Cmd(("kubectl apply -f manifests/dashboard.yaml",)),
        )
    )


def test_a_kubefile_tells_its_parts() -> None:
    kubefile = parse("ARG A=1,B=2\n" + EXAMPLE + "ARG A\nCMD one\n", file="app/Kubefile")

    assert kubefile.file == "app/Kubefile"
    assert kubefile.base.name == "kubernetes:v1.19.8"
    assert kubefile.declared == ("A", "B", "VERSION")
    assert kubefile.commands == ("kubectl apply -f manifests/dashboard.yaml", "one")
    assert [instruction.keyword for instruction in kubefile.layered] == ["COPY", "COPY", "COPY", "RUN"]


def test_keywords_are_read_in_any_case_and_behind_any_blanks() -> None:
    kubefile = parse("\tfrom scratch\n  Run\ttrue\ncMd x")

    assert kubefile.instructions == (From("scratch"), Run("true"), Cmd(("x",)))


def test_spans_point_into_the_physical_file() -> None:
    kubefile = parse("# a comment\n\nFROM scratch\n  COPY a \\\n# between\n\n    b\n")

    copy = kubefile.layered[0].span

    assert (copy.file, copy.first_line, copy.last_line, copy.column, copy.length) == ("Kubefile", 4, 7, 3, 6)
    assert kubefile.base.span.first_line == 3


def test_where_an_instruction_stands_makes_no_difference_to_equality() -> None:
    assert parse("FROM scratch\nRUN x") == parse("\n\n from scratch\n# c\nRUN \\\n x", file="other")


@pytest.mark.parametrize(
    "command",
    [
        'echo "a   b"',
        "awk '{print $1}'",
        "for i in a b; do echo $i; done",
        "echo $HOME ${HOME} $(date) `date` \\$x && true",
        "echo it's # not a comment of ours",
        "# nor this",
        "printf '\\\\'",
        '["not", "an", "array"]',
        "echo \t tabs",
        "echo é \u2028 \x0b",
        "a=1,b=2",
    ],
)
def test_run_and_cmd_keep_their_text_byte_for_byte(command: str) -> None:
    assert parse_one(f"RUN   {command}  ") == Run(command)
    if not command.startswith("["):
        assert parse_one(f"CMD {command}") == Cmd((command,))


def test_continued_text_keeps_its_own_blanks_and_loses_its_backslashes() -> None:
    assert parse_one("RUN a \\\n    && b\\\n# c\n\n c \\\\") == Run("a     && b c \\\\")


@pytest.mark.parametrize(
    ("value", "commands"),
    [
        ('["kubectl apply -f a", "kubectl apply -f b"]', ("kubectl apply -f a", "kubectl apply -f b")),
        ('["a"]', ("a",)),
        ('[ "a\\n\\tb" , "[ -f x ]" ]', ("a\n\tb", "[ -f x ]")),
        ("helm install x --set a=1,b=2", ("helm install x --set a=1,b=2",)),
        ("kubectl get -o jsonpath={.a,.b}", ("kubectl get -o jsonpath={.a,.b}",)),
    ],
)
def test_cmd_is_one_command_or_an_array_of_them(value: str, commands: tuple[str, ...]) -> None:
    assert parse_one(f"CMD {value}") == Cmd(commands)


@pytest.mark.parametrize(
    "name",
    ["scratch", "kubernetes:v1.19.8", "reg.io:5000/a/b:c", "a@sha256:" + "0" * 64, "${REG}/app:$TAG", '"$X"', "'a'"],
)
def test_from_names_one_image(name: str) -> None:
    assert parse(f"ARG X=1\nFROM {name} # base").base == From(name.strip("\"'"))


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("", ["E0204"]),
        ("\\\n", ["E0204"]),
        ("ARG A=1", ["E0204"]),
        ("CMD x\nCOPY a b\nRUN y", ["E0204"]),
        ("FROM a\nFROM b\nFROM c", ["E0205", "E0205"]),
        ("CMD x\nCOPY a b\nRUN y\nFROM a", ["E0206"] * 3),
        ("FROM", ["E0202"]),
        ("FROM a AS b", ["E0207"]),
        ("FROM a as", ["E0208"]),
        ("FROM a b", ["E0208"]),
        ("FROM Foo", ["E0209"]),
        ("FROM \\$x", ["E0209"]),
        ("FROM --a b", ["E0210"]),
        ("FORM a", ["E0201"]),
        ("FORM a\nRUN x\nFROM b", ["E0201", "E0206"]),
        ("FROM a\nRUN\nARG #\nCMD", ["E0202"] * 3),
        ('FROM a\nCMD ["a"', ["E0216"]),
        ('FROM a\nCMD ["a"] "b"', ["E0216"]),
        ("FROM a\nCMD [x]", ["E0216"]),
        ("FROM a\nCMD [ ]", ["E0217"]),
        ('FROM a\nCMD ["a", ""]', ["E0224"]),
        ("FROM a\nBOGUS BOGUS x\nCOPY\nRUN ok\nARG 1", ["E0201", "E0203", "E0230"]),
    ],
)
def test_every_mistake_of_a_file_is_reported_in_order(text: str, codes: list[str]) -> None:
    assert codes_of(text) == codes


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("FORM a", "unknown instruction FORM (did you mean FROM?)"),
        ("rum a", "unknown instruction rum (did you mean RUN?)"),
        ("CMD: a", "unknown instruction 'CMD:' (did you mean CMD?)"),
        ("ADD a b", "unknown instruction ADD"),
        ("ﬀ", "unknown instruction ﬀ"),
        ("x" * 100, f"unknown instruction '{'x' * 59}…'"),
    ],
)
def test_an_unknown_instruction_is_named_with_what_was_probably_meant(line: str, message: str) -> None:
    with pytest.raises(KubefileError) as caught:
        parse(f"FROM a\n{line}")

    assert caught.value.message == message
    assert (place_of(caught.value).line, place_of(caught.value).column) == (2, 1)


def test_a_kubefile_cannot_be_made_without_its_base() -> None:
    for instructions in [(), (Run("x"),), (Run("x"), From("a")), (From("a"), From("b"))]:
        with pytest.raises(ValueError, match="exactly one FROM"):
            Kubefile(instructions)


@pytest.mark.parametrize("length", [64 * 1024 - 10, 64 * 1024, 1024 * 1024])
def test_a_long_line_loses_nothing_of_the_file(length: int) -> None:
    kubefile = parse(f"FROM a\nRUN echo {'x' * length}\nARG A={'y' * length}\nCMD last\n")

    assert len(kubefile.layered[0].value) == length + 5
    assert kubefile.commands == ("last",)


MEGABYTE = 1 << 20


@pytest.mark.parametrize("keyword", ["", "FROM ", "ARG ", "ARG A=", "COPY ", "COPY --chmod=", "RUN ", "CMD "])
@pytest.mark.parametrize("unit", ["\\", '"', "'", "[", '["', '"\\', "$", "${a", ",a", ", ", "../", "#", "\r", "\\\n"])
def test_a_quarter_of_a_megabyte_of_anything_is_parsed_or_refused(keyword: str, unit: str) -> None:
    messages = messages_of(f"FROM a\n{keyword}{unit * (MEGABYTE // len(unit) // 4)}\n")

    assert len(messages) <= 2
    assert all(len(message) < 1_000 for message in messages)


PIECES = st.sampled_from(
    [
        *[
            "FROM ",
            "ARG ",
            "COPY ",
            "RUN ",
            "CMD ",
            "from",
            "FORM",
            "\n",
            "\r\n",
            "\r",
            " ",
            "\t",
            "\\",
            "\\\n",
            "#",
            " # ",
        ],
        *[
            '"',
            "'",
            "[",
            "]",
            '["',
            '", "',
            '"]',
            ",",
            "=",
            "$",
            "${",
            "}",
            "A",
            "A=",
            "a",
            "b.c",
            "..",
            "/",
            "--exact ",
        ],
        *["--chmod=", "755", "scratch", "AS", "é", "配", "\ufeff", "\u2028", "\\u0000", "\\ud800", "http://", ".wh."],
    ]
)


@given(st.one_of(st.text(), st.binary(), st.lists(PIECES, max_size=40).map("".join)))
@example("FROM a\nCOPY [")
@example("FROM a\nARG A=1,\\\n")
def test_no_input_raises_anything_but_a_kubefile_error(text: bytes | str) -> None:
    try:
        kubefile = parse(text)
    except KubefileError as error:
        places = [(place_of(one).line, place_of(one).column) for one in error.diagnostics]
        assert places
        assert places == sorted(places)
    else:
        assert kubefile.base.name


@given(st.lists(st.lists(PIECES, max_size=12).map("".join), max_size=6))
def test_places_stand_inside_the_file(lines: list[str]) -> None:
    text = "FROM a\n" + "\n".join(lines)

    try:
        spans = [instruction.span.location for instruction in parse(text).instructions]
    except KubefileError as error:
        spans = [place_of(diagnostic) for diagnostic in error.diagnostics]

    physical = text.split("\n")
    for place in spans:
        assert place.text == physical[place.line - 1].rstrip("\r")
        assert place.column - 1 + place.length <= max(len(place.text), place.column)


def test_a_run_says_which_secrets_it_is_shown() -> None:
    text = "FROM scratch\nRUN --mount=type=secret,id=a --mount=type=secret,id=b,env=B,required=true  make all\n"

    run = parse(text).instructions[-1]

    assert isinstance(run, Run)
    assert (run.command, run.value) == ("make all", text.partition("RUN ")[2].rstrip("\n"))
    assert [(one.name, one.target, one.variable, one.required, one.read_only) for one in run.mounts] == [
        ("a", "/run/secrets/a", "", False, True),
        ("b", "", "B", True, True),
    ]
    assert parse(render(parse(text))) == parse(text)


@pytest.mark.parametrize(
    "mount",
    ["type=secret", "type=secret,id=", "type=secret,id=a,env=1", "type=secret,id=a,size=1", "target=/x", "type=ssh"],
)
def test_a_mount_that_is_no_secret_is_refused(mount: str) -> None:
    with pytest.raises(KubefileError) as caught:
        parse(f"FROM scratch\nRUN --mount={mount} make\n")

    assert [one.code for one in caught.value.diagnostics] == ["E0211"]


def test_a_mount_needs_a_command() -> None:
    with pytest.raises(KubefileError) as caught:
        parse("FROM scratch\nRUN --mount=type=secret,id=a\n")

    assert [one.code for one in caught.value.diagnostics] == ["E0202"]


def test_an_escape_that_json_does_not_know_is_pointed_at() -> None:
    with pytest.raises(KubefileError) as caught:
        parse('FROM scratch\nCMD ["a\\q"]\n')

    (found,) = caught.value.diagnostics
    assert found.location is not None
    assert (found.location.line, found.location.column, found.location.length) == (2, 8, 1)
