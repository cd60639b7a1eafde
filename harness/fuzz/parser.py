"""The parser: every text is read, or refused with the parser's own errors, each at a place of the text."""

from __future__ import annotations

from hypothesis import strategies as st

from harness.fuzz.target import Target
from harness.strategies import hostile_kubefiles, invalid_kubefiles, written_kubefiles
from kubeimage.errors import Diagnostic, KubefileError
from kubeimage.kubefile import Kubefile, lint, parse, render
from kubeimage.report import format_diagnostics, format_error

_BYTE_ORDER_MARK = "\N{BYTE ORDER MARK}"


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode(errors="surrogateescape") if isinstance(text, str) else text


def _read(text: str | bytes) -> Kubefile | KubefileError:
    try:
        return parse(text)
    except KubefileError as error:
        return error


def check(data: bytes) -> None:
    """Parse bytes, and the text that they are.

    Raises: AssertionError; whatever the parser raises that is not its own.
    """
    text = data.decode(errors="surrogateescape")
    lines = text.removeprefix(_BYTE_ORDER_MARK).split("\n")
    of_bytes, of_text = _read(data), _read(text)
    if isinstance(of_bytes, KubefileError):
        assert isinstance(of_text, KubefileError), "a text is taken that its bytes are not"
        assert of_text.diagnostics == of_bytes.diagnostics, "a text and its bytes have different mistakes"
        assert of_bytes.diagnostics
        for one in of_bytes.diagnostics:
            assert one.location is not None, f"{one.code} has no place"
            _check_place(one, lines)
        format_error(of_bytes)
        return
    assert of_text == of_bytes, "a text and its bytes are parsed to different Kubefiles"
    for instruction in of_bytes.instructions:
        span = instruction.span
        assert 1 <= span.first_line <= span.last_line <= len(lines), f"{instruction.keyword} is outside the file"
        start = lines[span.first_line - 1][span.column - 1 :]
        assert start.upper().startswith(instruction.keyword), f"{instruction.keyword} is not where it is said to be"
    assert parse(render(of_bytes)) == of_bytes, "what is printed is parsed to something else"
    advice = lint(of_bytes)
    for one in advice:
        _check_place(one, lines)
    format_diagnostics(advice)


def _check_place(diagnostic: Diagnostic, lines: list[str]) -> None:
    place = diagnostic.location
    if place is not None:
        assert 1 <= place.line <= len(lines), f"{diagnostic.code} is outside the file"
        assert 1 <= place.column <= len(lines[place.line - 1]) + 1, f"{diagnostic.code} is outside its line"
        assert place.length >= 1


TARGET = Target(
    "parser",
    st.one_of(
        hostile_kubefiles(),
        written_kubefiles().map(lambda one: one.text),
        invalid_kubefiles().map(lambda one: one.text),
    ).map(_as_bytes),
    check,
    dump=bytes,
    load=bytes,
    show=lambda data: f"parse({data!r})",
)
