"""A file in a dialect after Docker's rules, to a ``Kubefile``: every mistake in it at once."""

from __future__ import annotations

from collections.abc import Sequence

from kubeimage.errors import Diagnostic, KubefileError
from kubeimage.image.compatibility import Dialect
from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.dialects import Directives, hint_of_other
from kubeimage.kubefile.dockerfile.lines import Line, logical_lines
from kubeimage.kubefile.dockerfile.reading import READERS
from kubeimage.kubefile.dockerfile.sealer09 import SEALER_09_READERS, check_order
from kubeimage.kubefile.dockerfile.stages import check_stages
from kubeimage.kubefile.dockerfile.statement import Reading
from kubeimage.kubefile.dockerfile.words import WordError, expand_word
from kubeimage.kubefile.instructions import Arg, Configure, Copy, From, Instruction, Kubefile
from kubeimage.kubefile.source import Source
from kubeimage.kubefile.statement import Problem, Statement, closest, quoted

_DIALECTS = {"sealos": READERS, "sealer-0.9": SEALER_09_READERS}
_EXPANDED = frozenset({"ENV", "LABEL", "USER", "WORKDIR", "EXPOSE", "STOPSIGNAL"})
_ONE_STAGE = "build the other image on its own, and name it here; the dialect sealos has several stages"


def parse_dockerfile(source: Source, dialect: Dialect, directives: Directives) -> Kubefile:
    """Read a file in ``dialect``.

    Raises: KubefileError with every mistake in the file, in its order.
    """
    complaints: list[Diagnostic] = []
    lines = list(logical_lines(source, directives.escape, complaints))
    statements = [(split, line) for line in lines if (split := Statement.split(line.line, complaints)) is not None]
    read = [(statement, _read(statement, line, dialect, directives.escape)) for statement, line in statements]
    instructions = [one for _, one in read if one is not None]
    _check_order(source, [statement for statement, _ in statements], complaints)
    if dialect == "sealer-0.9":
        check_order([statement for statement, _ in statements])
        _refuse_stages([statement for statement, _ in statements])
    else:
        check_stages(read)
    if complaints:
        raise KubefileError(sorted(complaints, key=_place))
    return Kubefile(tuple(instructions), source, dialect)


def _place(diagnostic: Diagnostic) -> tuple[int, int]:
    location = diagnostic.location
    return (location.line, location.column) if location else (0, 0)


def _read(statement: Statement, line: Line, dialect: Dialect, escape: str) -> Instruction | None:
    keyword = statement.keyword.upper()
    reader = _DIALECTS[dialect].get(keyword)
    if reader is None:
        _complain_of_keyword(statement, dialect)
        return None
    if statement.value_start == statement.end:
        problem = Problem(
            Mistake.NO_VALUE, f"{keyword} stands alone", f"say what {keyword} is to take, or leave it out"
        )
        statement.complain(problem)
        return None
    read = reader(Reading(statement, line.documents, escape))
    if read is not None:
        _check_words(statement, read, escape)
    return read


def _check_words(statement: Statement, read: Instruction, escape: str) -> None:
    """Complain of a word that nothing could expand, whatever the variables are."""
    for word in _expanded_words(read):
        try:
            expand_word(word, {}, escape)
        except WordError as error:
            hint = "close it, or put a backslash before the character to mean it"
            statement.complain(Problem(Mistake.BAD_WORD, f"{quoted(word)} cannot be read: {error}", hint))


def _expanded_words(read: Instruction) -> tuple[str, ...]:
    match read:
        case From():
            return (read.name, read.platform)
        case Arg():
            return tuple(value for _, value in read.pairs if value is not None)
        case Copy():
            return (*read.sources, read.destination)
        case Configure() if read.keyword in _EXPANDED:
            return read.words
        case _:
            return ()


def _complain_of_keyword(statement: Statement, dialect: Dialect) -> None:
    word = statement.keyword
    words = _DIALECTS[dialect]
    meant = None if hint_of_other(word, dialect) else closest(word.upper(), words)
    asked = f" (did you mean {meant}?)" if meant else ""
    hint = hint_of_other(word, dialect) or f"the dialect {dialect} knows {', '.join(words)}"
    if meant and word.upper().startswith(meant):
        hint = f"put a blank after {meant}"
    message = f"unknown instruction {word if word.isalnum() and len(word) <= 20 else quoted(word)}{asked}"
    statement.complain(
        Problem(Mistake.UNKNOWN_INSTRUCTION, message, hint), statement.start, statement.start + len(word)
    )


def _check_order(source: Source, statements: Sequence[Statement], complaints: list[Diagnostic]) -> None:
    """Check that there is a FROM, with nothing but ARG before it."""
    bases = [index for index, statement in enumerate(statements) if statement.keyword.upper() == From.keyword]
    if not bases:
        location = source.span(1, 1, 1, 1).location
        hint = "start with FROM and the image to build on, as in: FROM scratch"
        complaints.append(Diagnostic(Mistake.NO_FROM.code, "the file has no FROM", location, hint))
        return
    for statement in statements[: bases[0]]:
        if statement.keyword.upper() != "ARG":
            problem = Problem(Mistake.BEFORE_FROM, f"{statement.keyword.upper()} stands above FROM", "only ARG may")
            statement.complain(problem, None, statement.start + len(statement.keyword))


def _refuse_stages(statements: Sequence[Statement]) -> None:
    bases = [statement for statement in statements if statement.keyword.upper() == From.keyword]
    for statement in bases[1:]:
        statement.complain(Problem(Mistake.SECOND_FROM, "a second FROM begins another stage", _ONE_STAGE))
