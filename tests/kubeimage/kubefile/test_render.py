"""Whatever a text says, ``render`` says it again: parse(render(k)) == k."""

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from kubeimage.errors import KubefileError
from kubeimage.kubefile import Arg, Cmd, Copy, From, Instruction, Kubefile, Run, parse, render

NASTY = st.sampled_from(
    ["\\", '"', "'", "$", "${", "}", "#", " #", ",", ", B=", "[", "]", " ", "\t", "=", "--", "é", "配", "\r"]
)
TEXTS = st.lists(NASTY | st.text(max_size=4), max_size=8).map("".join)
ONE_LINE = TEXTS.map(lambda text: text.replace("\x00", "").replace("\n", ""))
NAMES = TEXTS.map(lambda text: text.replace("\x00", "").replace("/", ""))
KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,3}", fullmatch=True)


def is_command(text: str) -> bool:
    return bool(text) and text == text.strip(" \t\r") and (len(text) - len(text.rstrip("\\"))) % 2 == 0


def fits_quotes(text: str) -> bool:
    return not ('"' in text and "'" in text)


bases = st.sampled_from(["scratch", "kubernetes:v1.19.8", "${REGISTRY}/app:$TAG", "[::1]:5000/a"]).map(From)
arguments = st.one_of(
    KEYS.map(lambda key: Arg(((key, None),))),
    st.dictionaries(KEYS, ONE_LINE.filter(fits_quotes), min_size=1, max_size=4).map(
        lambda pairs: Arg(tuple(pairs.items()))
    ),
)
names = NAMES.filter(lambda name: name.strip(".") and not name.startswith((".wh.", "git@")))
copies = st.builds(
    Copy,
    st.lists(names, min_size=1, max_size=3).map(tuple),
    names,
    chmod=st.none() | st.integers(0, 0o7777),
) | st.builds(Copy, st.tuples(names), names, exact=st.just(True))
runs = ONE_LINE.filter(is_command).map(Run)
commands = st.lists(
    TEXTS.map(lambda text: text.replace("\x00", "")).filter(lambda text: text.strip(" \t\r\n")), min_size=1, max_size=3
)
cmds = commands.map(lambda texts: Cmd(tuple(texts)))
kubefiles = st.builds(
    lambda above, base, below: Kubefile((*above, base, *below)),
    st.lists(arguments, max_size=2),
    bases,
    st.lists(arguments | copies | runs | cmds, max_size=5),
)


@given(kubefiles)
def test_what_is_rendered_parses_to_the_same(kubefile: Kubefile) -> None:
    assert parse(render(kubefile)) == kubefile


@given(kubefiles)
def test_rendering_again_changes_nothing(kubefile: Kubefile) -> None:
    text = render(kubefile)

    assert render(parse(text)) == text


LINES = st.tuples(
    st.sampled_from(["ARG A=", "ARG ", "COPY ", "COPY a ", "COPY [", "RUN ", "CMD ", "CMD [", "cmd\t", "# ", ""]),
    st.lists(NASTY | st.sampled_from(["\\\n", "a", "\n", '["', '","', '"]', "\\n", "\\\\\n"]), max_size=8).map("".join),
).map("".join)


@given(LINES)
@example("COPY '#a' \"b\\\"")
@example("RUN a\\\\\\\n\\\\")
@example("RUN a \\ \\")
@example("RUN a \\ \\\n\n")
@example("RUN a \\ \\\n\\")
@example('CMD ["[ -f x ]"]')
@example('CMD ["a\\nb"]')
@example("ARG A='\"',B=\"'\"")
@example('ARG A="\'\\"')
def test_every_text_that_parses_can_be_rendered(line: str) -> None:
    try:
        kubefile = parse(f"FROM scratch\n{line}\n")
    except KubefileError:
        assume(False)

    assert parse(render(kubefile)) == kubefile


def test_the_rendered_text_is_what_a_person_would_write() -> None:
    text = """\
ARG VERSION=2.2.0,GREETING="hello, A=1"
FROM kubernetes:v1.19.8
COPY --chmod=755 ${ARCH}/helm bin
COPY ["my file", "etc"]
RUN sed -i "s/TAG/$VERSION/" manifests/dashboard.yaml
CMD kubectl apply -f manifests/dashboard.yaml
CMD ["[ -f x ] && true", "b"]
"""

    assert render(parse(text)) == text


@pytest.mark.parametrize(
    "instruction",
    [
        Run("a\nb"),
        Run(""),
        Run(" a"),
        Run("a\\"),
        Cmd(()),
        Cmd(("",)),
        Copy((), "a"),
        Copy(("a", "b"), "c", exact=True),
        Copy(("../a",), "c"),
        Arg((("a-b", "1"),)),
        Arg((("A", None), ("B", None))),
        Arg((("A", "\"' "),)),
    ],
    ids=repr,
)
def test_what_no_kubefile_can_say_is_refused(instruction: Instruction) -> None:
    with pytest.raises(ValueError, match="no Kubefile can say this"):
        render(Kubefile((From("scratch"), instruction)))
