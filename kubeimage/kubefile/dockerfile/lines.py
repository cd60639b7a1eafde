r"""Physical lines to logical ones, by Docker's rules.

A line that ends in the escape character (blanks behind it allowed, any number of them) goes on in the next one, which
keeps its leading blanks. Comment lines and empty lines are passed over everywhere. ``<<NAME`` in a RUN takes the lines
up to ``NAME`` as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from kubeimage.errors import Diagnostic
from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.lexer import LogicalLine, join
from kubeimage.kubefile.source import BLANKS, Source, is_comment

_RUN = re.compile(rf"[{BLANKS}]*+run[{BLANKS}]", re.IGNORECASE)
# A word of its own, as BuildKit has it; what stands in quotes is passed over.
_HERE = re.compile(
    r""""(?:\\.|[^"\\])*"|'[^']*'|\\."""
    r"""|(?<!\S)[0-9]*<<(?P<dash>-?)(?P<quote>["']?)(?P<name>[A-Za-z_]\w*)(?P=quote)(?!\S)"""
)


class HereDocument(NamedTuple):
    """The lines that an instruction takes as they are.

    Shape: ``expands`` where its name is not quoted; ``text`` ends in a line feed, if it is not empty.
    """

    name: str
    text: str
    expands: bool


class Line(NamedTuple):
    """A logical line, and the here-documents that belong to it."""

    line: LogicalLine
    documents: tuple[HereDocument, ...] = ()


def logical_lines(source: Source, escape: str, complaints: list[Diagnostic]) -> Iterator[Line]:
    """Yield the logical lines; a here-document that does not end is complained of."""
    continues = re.compile(re.escape(escape) + rf"[{BLANKS}]*+$")
    numbered = iter(enumerate(source.lines, start=1))
    pieces: list[tuple[int, str]] = []
    for number, physical in numbered:
        if not physical.strip(BLANKS) or is_comment(physical):
            continue
        found = continues.search(physical)
        pieces.append((number, physical[: found.start()] if found else physical))
        if found:
            continue
        line = join(source, pieces)
        pieces = []
        yield Line(line, tuple(_here_documents(line, numbered, complaints)))
    if pieces:
        yield Line(join(source, pieces))


def _here_documents(
    line: LogicalLine, rest: Iterator[tuple[int, str]], complaints: list[Diagnostic]
) -> Iterator[HereDocument]:
    if not _RUN.match(line.text):
        return
    for found in _HERE.finditer(line.text):
        if not found["name"]:
            continue
        texts: list[str] = []
        for _, physical in rest:
            text = physical.lstrip("\t") if found["dash"] else physical
            if text == found["name"]:
                break
            texts.append(text + "\n")
        else:
            message = f"the here-document {found['name']} does not end: no line is {found['name']} alone"
            location = line.span(found.start("name"), found.end("name")).location
            hint = f"end it with a line that holds {found['name']} and nothing else"
            complaints.append(Diagnostic(Mistake.OPEN_DOCUMENT.code, message, location, hint))
        yield HereDocument(found["name"], "".join(texts), not found["quote"])
