import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.errors import Diagnostic, KubefileError
from kubeimage.kubefile import Cmd, Configure, Copy, Instruction, Run, parse


def read(text: str) -> list[Instruction]:
    """Return the instructions behind FROM, without what they were written as."""
    kubefile = parse(f"FROM scratch\n{text}", dialect="sealos")
    return list(kubefile.instructions[1:])


def words(text: str) -> tuple[str, ...]:
    (one,) = read(text)
    assert isinstance(one, Configure)
    return one.words


def test_a_line_goes_on_behind_any_number_of_backslashes() -> None:
    assert words("LABEL a=1 \\ \n # a comment\n\n b=2\n") == ("a", "1", "b", "2")


def test_there_is_no_comment_behind_an_instruction() -> None:
    (copy,) = read("COPY a b # x\n")

    assert isinstance(copy, Copy)
    assert (copy.sources, copy.destination) == (("a", "b", "#"), "x")


def test_the_old_form_takes_the_rest_of_the_line() -> None:
    assert words('ENV NODE_PORT "a.b"  c\n') == ("NODE_PORT", '"a.b"  c')


def test_a_json_array_is_a_list_of_commands_and_anything_else_one_text() -> None:
    commands = read('CMD ["a ${X}","b"]\nCMD echo  "a"\nCMD [\'a\']\n')

    assert [(one.commands, one.is_text) for one in commands if isinstance(one, Cmd)] == [
        (("a ${X}", "b"), False),
        (('echo  "a"',), True),
        (("['a']",), True),
    ]


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("RUN <<EOF\necho a\n# kept\nEOF\n", "echo a\n# kept\n"),
        ("RUN <<-EOF\n\techo a\n\tEOF\n", "echo a\n"),
        ('RUN cat <<"A" <<B\n1\nA\n2\nB\n', 'cat <<"A" <<B\n1\nA\n2\nB\n'),
        ("RUN echo '<<EOF'\n", "echo '<<EOF'"),
        ("RUN [ -f x ]\n", "[ -f x ]"),
    ],
)
def test_a_here_document_is_taken_as_it_is(text: str, command: str) -> None:
    (run,) = read(text)

    assert isinstance(run, Run)
    assert run.command == command


def test_the_escape_character_can_be_changed() -> None:
    kubefile = parse("# escape=`\nFROM scratch\nLABEL a=C:\\x `\n b=2\n", dialect="sealos")

    assert kubefile.instructions[1] == Configure("LABEL", ("a", "C:\\x", "b", "2"), written="a=C:\\x  b=2")


@given(st.text("FROMscratch ENVLABEL=COPY\n\\\"'$#[]<{}-.\t"))
def test_no_text_raises_anything_but_a_report(text: str) -> None:
    for whole in (text, f"FROM scratch\nCOPY {text}", f"FROM scratch\nENV {text}", f"FROM scratch\nRUN {text}"):
        assert all(one.hint and one.location for one in diagnostics(whole))


def diagnostics(text: str) -> tuple[Diagnostic, ...]:
    try:
        parse(text, dialect="sealos")
    except KubefileError as error:
        return error.diagnostics
    return ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ADD --keep-git-dir=true one", "ADD does not take --keep-git-dir, for it takes no git repository"),
        ("COPY --keep-git-dir=true one", "COPY has no flag --keep-git-dir"),
        ("COPY --shiny one", "COPY has no flag --shiny"),
        ("COPY one", "COPY takes a source and a destination, found 1"),
    ],
)
def test_a_flag_that_is_none_is_told_of_alone(line: str, message: str) -> None:
    assert [one.message for one in diagnostics(f"FROM scratch\n{line}\n")] == [message]


@pytest.mark.parametrize(
    ("text", "count"), [("a b", 2), ("a AS", 2), ("a x b", 3), ("a AS b c", 4), ("--platform=x a AS", 2)]
)
def test_a_from_takes_an_image_and_perhaps_a_name(text: str, count: int) -> None:
    with pytest.raises(KubefileError, match=f"FROM takes an image, or an image AS a name; found {count} words"):
        parse(f"FROM {text}\n", dialect="sealos")


@pytest.mark.parametrize("text", ["a", "a AS b", "a as b"])
def test_as_may_be_written_in_small_letters(text: str) -> None:
    assert len(parse(f"FROM {text}\n", dialect="sealos").instructions) == 1


def test_each_instruction_knows_its_line() -> None:
    lines = ["COPY a b", "RUN x", "ENV A=1", "ARG B", "CMD x", "WORKDIR /w", "LABEL a=1", "ADD a b"]

    found = [(one.keyword, one.span.location.line) for one in read("\n".join(lines) + "\n")]

    assert found == [(line.partition(" ")[0], number) for number, line in enumerate(lines, 2)]
