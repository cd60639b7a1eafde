"""Kubefiles as texts: as people write them, with mistakes, and as nobody would write them."""

from __future__ import annotations

import re
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness.strategies.kubefiles import kubefiles
from kubeimage.kubefile import Arg, Cmd, Instruction, Kubefile, Run, render

_NOISE = ("", "\n", "# note\n", "  # FROM here \\\n", "\t\n")
_BLANKS = ("", " ", "  ", "\t")
_ENDS_A_VALUE = re.compile(r"[ \t\r\n]|,[A-Za-z_][A-Za-z0-9_]*=|\\$")
_TOKENS = (
    "FROM ", "from\t", "scratch", "ARG ", "K=", "COPY ", "RUN ", "CMD ", "a", " ", "\t", "\n", "\r\n", "\\\n", "\\",
    "#", '"', "'", "[", "]", '["', '", "', '"]', ",", "=", "$", "${K}", "${", "}", "--exact", "--chmod=", "755", "..",
    "/", ".wh.", "*", "é", "漢", "\ufeff", "\x00", "\udcff", "\u2028", "\x0b", "x" * 70_000, "AS ", "://", "@", ":",
)  # fmt: skip


class WrittenKubefile(NamedTuple):
    """A text, and the Kubefile that it says."""

    text: str
    kubefile: Kubefile


class InvalidKubefile(NamedTuple):
    """A text that no parser may take, and the code of one of its mistakes."""

    text: str | bytes
    code: str


@st.composite
def written_kubefiles(draw: st.DrawFn) -> WrittenKubefile:
    """Generate Kubefiles in every handwriting: continued lines, comments everywhere, CRLF, a byte order mark, blanks.

    The plain text that ``render`` makes is the simplest.
    """
    kubefile = draw(kubefiles())
    lines = render(kubefile).splitlines()
    text = ""
    for instruction, line in zip(kubefile.instructions, lines, strict=True):
        text += draw(st.sampled_from(_NOISE)) + draw(_hand(instruction, line)) + "\n"
    text = text if draw(st.integers(0, 3)) < 3 else text.rstrip("\n")
    text = text.replace("\n", draw(st.sampled_from(("\n", "\r\n"))))
    return WrittenKubefile(draw(st.sampled_from(("", "\N{BYTE ORDER MARK}"))) + text, kubefile)


@st.composite
def _hand(draw: st.DrawFn, instruction: Instruction, line: str) -> str:
    keyword, value = line[: len(instruction.keyword)], line[len(instruction.keyword) :]
    if isinstance(instruction, Arg):
        value = " " + ",".join(key if text is None else f"{key}={_by_hand(text)}" for key, text in instruction.pairs)
    keyword = draw(st.sampled_from((keyword, keyword.lower(), keyword.title())))
    blanks, end = draw(st.sampled_from(_BLANKS)), draw(st.sampled_from(_BLANKS))
    if not isinstance(instruction, Run | Cmd):
        end += draw(st.sampled_from(("", " # note", "\t#")))
    for at in sorted(draw(st.lists(st.integers(1, len(value)), max_size=2, unique=True)), reverse=True):
        if _can_break(value, at):
            inside = draw(st.sampled_from(("", "\n", "  # inside\n")))
            value = value[:at] + "\\" + draw(st.sampled_from(_BLANKS)) + "\n" + inside + value[at:]
    return f"{blanks}{keyword}{value}{end}"


def _by_hand(text: str) -> str:
    """Return the value of an ARG as people write it: in quotes only where it has to be."""
    if text[:1] not in {"'", '"'} and not _ENDS_A_VALUE.search(text):
        return text
    return f'"{text}"' if '"' not in text else f"'{text}'"


def _can_break(value: str, at: int) -> bool:
    """Whether a line may end after ``value[:at]``, and what follows be the next one."""
    before, after = value[:at], value[at:].lstrip(" \t")
    return not before.endswith("\\") and after != "" and not after.startswith(("#", "\n"))


_MISTAKES = {
    "E0201": ("FORM scratch", "RUNtrue", "EXPOSE 80", "copy: a b"),
    "E0202": ("RUN", "CMD", "ARG"),
    "E0203": ("COPY", "COPY etc", "COPY --exact etc"),
    "E0205": ("FROM scratch", "from other:1"),
    "E0210": ("COPY --chown=1 a b", "COPY --from=x a b"),
    "E0211": ("COPY --chmod a b", "COPY --exact=1 a b"),
    "E0212": ("COPY --exact --exact a b", "COPY --chmod=1 --chmod=2 a b"),
    "E0213": ("COPY a --exact b",),
    "E0214": ("COPY --chmod=8 a b", "COPY --chmod=77777 a b"),
    "E0215": ("COPY --exact a b c",),
    "E0216": ('CMD ["a"', "CMD [a]", 'CMD ["a",]'),
    "E0217": ("CMD []",),
    "E0218": ("COPY 'a b", 'ARG A="x'),
    "E0219": ("COPY 'a'b c",),
    "E0220": ("COPY https://example.com/a b", "COPY git@example.com:a b"),
    "E0221": ("COPY ../a b", "COPY a/../../b c"),
    "E0222": ("COPY a ../b",),
    "E0223": ("COPY a .wh.b", "COPY a b/.wh.c/d"),
    "E0224": ('COPY "" a', 'CMD [""]', 'COPY a ""'),
    "E0230": ("ARG 1A=2", "ARG a-b=1", "ARG =1"),
    "E0231": ("ARG A=1 2",),
    "E0232": ("ARG A,B", "ARG A B=1"),
    "E0233": ("ARG A=1,A=2",),
    "E0234": ("ARG A =1",),
    "E0241": ("RUN a\x00b",),
}


@st.composite
def invalid_kubefiles(draw: st.DrawFn) -> InvalidKubefile:
    """Generate Kubefiles with one mistake among valid lines, or with something missing."""
    lines = render(draw(kubefiles())).splitlines()
    code = draw(st.sampled_from((*_MISTAKES, "E0204", "E0206", "E0240")))
    start = next(number for number, line in enumerate(lines) if line.startswith("FROM"))
    if code == "E0204":
        text = "\n".join(line for line in lines if line.startswith(("ARG", "#")))
        return InvalidKubefile(text, code)
    if code == "E0206":
        lines.insert(start, draw(st.sampled_from(("RUN true", "COPY a b", "CMD x"))))
    elif code != "E0240":
        lines.insert(draw(st.integers(start + 1, len(lines))), draw(st.sampled_from(_MISTAKES[code])))
    text = "\n".join(lines) + "\n"
    return InvalidKubefile(text.encode() + b"# \xff\n" if code == "E0240" else text, code)


def hostile_kubefiles() -> SearchStrategy[str | bytes]:
    """Generate any texts and bytes: what a parser must survive."""
    tokens = st.lists(st.sampled_from(_TOKENS) | st.text(max_size=3), max_size=12).map("".join)
    return tokens | tokens.map("FROM scratch\n{}".format) | st.binary(max_size=60)
