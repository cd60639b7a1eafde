"""Text to ``Kubefile``: the whole file, and every mistake in it at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kubeimage.errors import Diagnostic, KubefileError, Location
from kubeimage.image.compatibility import DEFAULT_DIALECT, Dialect
from kubeimage.kubefile.arrays import complain_behind_array, read_array
from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.copying import read_copy
from kubeimage.kubefile.dialects import choose_dialect, hint_of_other, other_dialect, read_directives
from kubeimage.kubefile.heredocs import HINT, Ends, begins_document
from kubeimage.kubefile.instructions import KEYWORDS, Arg, Cmd, Copy, From, Instruction, Kubefile, Run, RunMount
from kubeimage.kubefile.lexer import decode, logical_lines
from kubeimage.kubefile.names import check_base
from kubeimage.kubefile.source import BLANKS, Source
from kubeimage.kubefile.statement import Problem, Statement, closest, quoted
from kubeimage.kubefile.words import Word, iter_words, skip_blanks
from kubeimage.patterns import pattern

_LETTERS = pattern(r"[A-Za-z]*+")
_CMD_HINT = 'as in: CMD ["kubectl apply -f a", "kubectl apply -f b"]; a command that starts with [ is an element of it'
_ONE_BASE = "multi-stage builds are not part of the language: build the other image on its own, and name one here"
_EXAMPLES = {
    "FROM": "FROM kubernetes:v1.19.8",
    "ARG": "ARG VERSION=1.2",
    "RUN": "RUN chmod +x bin/tool",
    "CMD": "CMD kubectl apply -f manifests",
}


def parse(
    text: str | bytes,
    *,
    file: str = "Kubefile",
    dialect: Dialect | None = None,
    preset: Dialect = DEFAULT_DIALECT,
) -> Kubefile:
    """Read a Kubefile; ``file`` is what it is called in messages.

    Without a ``dialect`` the file itself says which it is in, by a directive or by its name; else it is the ``preset``.
    Raises: KubefileError with every mistake in the file, in its order. Nothing else, whatever ``text`` holds.
    """
    source = decode(text, file)
    directives = read_directives(source)
    chosen = choose_dialect(file, directives.dialect, asked=dialect, preset=preset)
    if chosen != "sealer":
        from kubeimage.kubefile.dockerfile.parser import parse_dockerfile

        return parse_dockerfile(source, chosen, directives)
    complaints: list[Diagnostic] = []
    statements = [
        statement for line in logical_lines(source) if (statement := Statement.split(line, complaints)) is not None
    ]
    statements = _without_documents(source, statements)
    instructions = [read for statement in statements if (read := _read(statement)) is not None]
    _check_order(source, statements, complaints)
    if complaints:
        raise KubefileError(sorted(complaints, key=_place))
    return Kubefile(tuple(instructions), source)


def _without_documents(source: Source, statements: Sequence[Statement]) -> list[Statement]:
    """Leave out the lines of here-documents: one mistake is told for each, and not one for each of its lines."""
    kept, last, ends = [], 0, Ends(source)
    for statement in statements:
        span = statement.span
        if span.first_line <= last:
            continue
        kept.append(statement)
        found = begins_document(statement.value) if _keyword(statement) in {"RUN", "CMD"} else None
        end = ends.after(found, span.last_line) if found else None
        if found and end is not None:
            start = statement.value_start + found.start()
            message = f"{quoted(found[1])} begins a here-document, and the lines up to line {end} are no instructions"
            statement.complain(Problem(Mistake.HERE_DOCUMENT, message, HINT), start, start + len(found[1]))
            last = end
    return kept


def _place(diagnostic: Diagnostic) -> tuple[int, int]:
    location = diagnostic.location
    return (location.line, location.column) if location else (0, 0)


def _read(statement: Statement) -> Instruction | None:
    read = _READERS.get(_keyword(statement))
    if read is None:
        _complain_of_keyword(statement)
        return None
    if statement.value_start == statement.end and read is not read_copy:
        keyword = _keyword(statement)
        message = f"{keyword} stands alone"
        statement.complain(Problem(Mistake.NO_VALUE, message, f"as in: {_EXAMPLES[keyword]}"))
        return None
    return read(statement)


def _keyword(statement: Statement) -> str:
    return statement.keyword.upper() if statement.keyword.isascii() else ""


def _complain_of_keyword(statement: Statement) -> None:
    word = statement.keyword
    meant = _meant(statement)
    asked = f" (did you mean {meant}?)" if meant else ""
    shown = word if word.isalnum() and len(word) <= 20 else quoted(word)
    hint = hint_of_other(word, "sealer") or "a Kubefile knows FROM, ARG, COPY, RUN and CMD"
    if meant and _letters(word) == meant:
        hint = f"put a blank after {meant}"
    elif meant is None and statement.line.text[:1] in BLANKS:
        hint = "to continue the line before, end that one with a \\"
    problem = Problem(Mistake.UNKNOWN_INSTRUCTION, f"unknown instruction {shown}{asked}", hint)
    statement.complain(problem, statement.start, statement.start + len(word))


def _meant(statement: Statement) -> str | None:
    """The keyword that an unknown one was probably meant to be."""
    word = statement.keyword.upper()
    if not word or other_dialect(word, "sealer"):
        return None
    return _letters(word) if _letters(word) in KEYWORDS else closest(word, KEYWORDS)


def _letters(word: str) -> str:
    """The letters that ``word`` starts with."""
    found = _LETTERS.match(word)
    return found[0].upper() if found else ""


def _check_order(source: Source, statements: Sequence[Statement], complaints: list[Diagnostic]) -> None:
    """Check that there is exactly one FROM, and only ARG before it; a misspelt FROM is complained of already."""
    bases = [index for index, statement in enumerate(statements) if _keyword(statement) == "FROM"]
    bases = bases or [index for index, statement in enumerate(statements) if _is_misspelt_base(statement)][:1]
    if not bases:
        complaints.append(_no_base(source, statements))
        return
    for statement in statements[: bases[0]]:
        if _keyword(statement) in {"COPY", "RUN", "CMD"}:
            keyword = _keyword(statement)
            problem = Problem(Mistake.BEFORE_FROM, f"{keyword} stands above FROM", "only ARG may stand above FROM")
            statement.complain(problem, None, statement.start + len(keyword))
    first = statements[bases[0]].span.first_line
    for index in bases[1:]:
        message = f"a Kubefile has one FROM, found another one after that of line {first}"
        statements[index].complain(Problem(Mistake.SECOND_FROM, message, _ONE_BASE))


def _is_misspelt_base(statement: Statement) -> bool:
    return _keyword(statement) not in KEYWORDS and _meant(statement) == "FROM"


def _no_base(source: Source, statements: Sequence[Statement]) -> Diagnostic:
    hint = "start with FROM and the image to build on, as in: FROM kubernetes:v1.19.8, or: FROM scratch"
    if not statements:
        return Diagnostic(
            Mistake.NO_FROM.code, "the file has no instructions", Location(source.file, 1, 1, source.line(1)), hint
        )
    first = next((one for one in statements if _keyword(one) != "ARG"), statements[-1])
    location = first.line.span(first.start, first.start + len(first.keyword)).location
    return Diagnostic(Mistake.NO_FROM.code, "the file has no FROM", location, hint)


def _read_from(statement: Statement) -> From | None:
    words = _read_words(statement)
    if words is None:
        return None
    if not words:
        statement.complain(Problem(Mistake.NO_VALUE, "FROM stands alone", f"as in: {_EXAMPLES['FROM']}"))
        return None
    first = words[0]
    problem = _flag_of_from(first) or _many_bases(words)
    if problem:
        statement.complain(
            problem, first.start, first.end if problem.mistake is Mistake.UNKNOWN_FLAG else words[-1].end
        )
        return None
    problem = check_base(first.text)
    if problem:
        statement.complain(problem, first.start, first.end)
    return From(first.text, span=statement.span)


def _read_words(statement: Statement) -> list[Word] | None:
    before = len(statement.complaints)
    words = list(iter_words(statement, statement.value_start))
    return words if len(statement.complaints) == before else None


def _flag_of_from(word: Word) -> Problem | None:
    if word.quoted or not word.text.startswith("--"):
        return None
    hint = "choose the platform at build: kubeimage build --platform" if "platform" in word.text else "leave it out"
    return Problem(Mistake.UNKNOWN_FLAG, f"FROM has no flags, found {quoted(word.text)}", hint)


def _many_bases(words: Sequence[Word]) -> Problem | None:
    if len(words) == 1:
        return None
    if len(words) == 3 and words[1].text.upper() == "AS":
        message = f"FROM takes one image and gives it no name, found AS {quoted(words[2].text)}"
        return Problem(Mistake.NAMED_STAGE, message, _ONE_BASE)
    return Problem(Mistake.MANY_BASES, f"FROM takes one image, found {len(words)} words", _ONE_BASE)


_MOUNT = "--mount="
_NO_MOUNT = "RUN takes --mount=type=secret,id=ID[,target=PATH][,env=NAME] here, and no other mount"
_MOUNT_EXAMPLE = "as in: RUN --mount=type=secret,id=token,env=TOKEN ./fetch.sh"


def _read_arg(statement: Statement) -> Arg | None:
    if statement.text[statement.value_start] == "#":
        statement.complain(Problem(Mistake.NO_VALUE, "ARG stands alone", f"as in: {_EXAMPLES['ARG']}"))
        return None
    from kubeimage.kubefile.arguments import read_pairs

    pairs = read_pairs(statement)
    return Arg(pairs, span=statement.span) if pairs else None


def _read_run(statement: Statement) -> Run | None:
    if not statement.value.startswith(_MOUNT):
        return Run(statement.value, span=statement.span)
    from kubeimage.kubefile.secretmounts import SECRET_KEYS, secret_mount, secret_problem

    rest, mounts = statement.value, list[RunMount]()
    while rest.startswith(_MOUNT):
        flag, _, rest = rest.partition(" ")
        pairs = dict(pair.partition("=")[::2] for pair in flag.removeprefix(_MOUNT).split(","))
        kind = pairs.pop("type", "bind")
        unknown = [key for key in pairs if key not in SECRET_KEYS]
        problem = secret_problem(pairs) if kind == "secret" and not unknown else _NO_MOUNT
        if problem is not None:
            statement.complain(Problem(Mistake.FLAG_VALUE, problem, _MOUNT_EXAMPLE))
            return None
        mounts.append(secret_mount(pairs))
        rest = rest.lstrip()
    if not rest:
        statement.complain(Problem(Mistake.NO_VALUE, "RUN has no command behind --mount", _MOUNT_EXAMPLE))
        return None
    return Run(rest, mounts=tuple(mounts), span=statement.span, written=statement.value)


def _read_cmd(statement: Statement) -> Cmd | None:
    if statement.text[statement.value_start] != "[":
        return Cmd((statement.value,), span=statement.span)
    found = read_array(statement, statement.value_start, _CMD_HINT)
    if found is None:
        return None
    commands, end = found
    rest = skip_blanks(statement.text, end, statement.end)
    if rest < statement.end:
        complain_behind_array(statement, rest, _CMD_HINT)
    for command in commands:
        if not command.text.strip(BLANKS + "\n"):
            statement.complain(
                Problem(Mistake.EMPTY_TEXT, "an empty command", "leave it out"), command.start, command.end
            )
    return Cmd(tuple(command.text for command in commands), span=statement.span)


_READERS: Mapping[str, Callable[[Statement], Instruction | None]] = {
    From.keyword: _read_from,
    Arg.keyword: _read_arg,
    Copy.keyword: read_copy,
    Run.keyword: _read_run,
    Cmd.keyword: _read_cmd,
}
