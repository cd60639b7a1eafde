"""The grammar of COPY: ``COPY [--exact] [--chmod=OCTAL] SRC... DEST``, or the names as a JSON array.

Flags come first. A quoted word is never a flag. A name with blanks is quoted, or stands in a JSON array.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kubeimage.kubefile.arrays import complain_behind_array, looks_like_array, read_array
from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.instructions import Copy
from kubeimage.kubefile.names import check_destination, check_source
from kubeimage.kubefile.source import ends_in_odd_backslash
from kubeimage.kubefile.statement import Problem, Statement, closest, quoted
from kubeimage.kubefile.words import Word, is_comment_at, iter_words, skip_blanks

_ARRAY_HINT = 'as in: COPY ["my file", "etc"]; a pattern that starts with [ is written ./[a-z]*'
_BLANK_HINT = 'write names that hold blanks as a JSON array, as in: COPY ["my file", "etc"]'
_MODE = r"0*+[0-7]{0,4}"
_FLAGS = ("--exact", "--chmod")
_FOREIGN_FLAGS = {
    "--chown": "what is copied always belongs to 0:0; leave the flag out",
    "--from": "multi-stage builds are not part of the language; COPY takes files of the build context",
    "--exclude": "leave files out with a .kubeignore in the build context",
}


class _Flags:
    def __init__(self) -> None:
        self.exact = False
        self.chmod: int | None = None
        self.seen = set[str]()


def read_copy(statement: Statement) -> Copy | None:
    """Read a COPY."""
    flags = _Flags()
    position = _read_flags(statement, flags)
    names = _read_names(statement, position)
    if names is None or not _are_enough(statement, names):
        return None
    _check_names(statement, names, flags)
    *sources, destination = (name.text for name in names)
    return Copy(tuple(sources), destination, flags.exact, flags.chmod, span=statement.span)


def _read_flags(statement: Statement, flags: _Flags) -> int:
    """Read the flags, and give the offset behind them."""
    position = statement.value_start
    while statement.text.startswith("--", position, statement.end):
        word = next(iter_words(statement, position))
        _read_flag(statement, word, flags)
        position = skip_blanks(statement.text, word.end, statement.end)
    return position


def _read_flag(statement: Statement, word: Word, flags: _Flags) -> None:
    name, equals, value = word.text.partition("=")
    problem = None
    if name not in _FLAGS:
        problem = _unknown_flag(name)
    elif name in flags.seen:
        problem = Problem(Mistake.FLAG_TWICE, f"{name} is given twice", "keep one of the two")
    elif name == "--exact":
        flags.exact = True
        if equals:
            problem = Problem(Mistake.FLAG_VALUE, f"--exact takes no value, found {quoted(value)}", "write --exact")
    elif not value:
        problem = Problem(Mistake.FLAG_VALUE, "--chmod takes a value, found none", "as in: COPY --chmod=755 tool bin")
    elif not re.fullmatch(_MODE, value):
        message = f"--chmod takes an octal mode from 0 to 7777, found {quoted(value)}"
        problem = Problem(Mistake.BAD_MODE, message, "as in: COPY --chmod=755 tool bin")
    else:
        flags.chmod = int(value, 8)
    flags.seen.add(name)
    if problem:
        statement.complain(problem, word.start, word.end)


def _unknown_flag(name: str) -> Problem:
    hint = _FOREIGN_FLAGS.get(name)
    meant = None if hint else closest(name, _FLAGS)
    asked = f" (did you mean {meant}?)" if meant else ""
    known = "COPY has the flags --exact and --chmod=OCTAL; quote a name that starts with --"
    return Problem(Mistake.UNKNOWN_FLAG, f"COPY has no flag {quoted(name)}{asked}", hint or known)


def _read_names(statement: Statement, start: int) -> list[Word] | None:
    before = len(statement.complaints)
    if statement.text.startswith("[", start, statement.end):
        # The words are asked only where the array would end; what they complain of may be inside the array's texts.
        words = list(iter_words(statement, start))
        if looks_like_array([word.text for word in words]):
            del statement.complaints[before:]
            return _read_array_names(statement, start)
    else:
        words = list(iter_words(statement, start))
    if len(statement.complaints) > before:
        return None
    _check_words(statement, words)
    return words


def _read_array_names(statement: Statement, start: int) -> list[Word] | None:
    found = read_array(statement, start, _ARRAY_HINT)
    if found is None:
        return None
    names, end = found
    rest = skip_blanks(statement.text, end, statement.end)
    if rest < statement.end and not (rest > end and is_comment_at(statement, rest)):
        complain_behind_array(statement, rest, _ARRAY_HINT)
        return None
    return names


def _check_words(statement: Statement, words: Sequence[Word]) -> None:
    for word in words:
        if word.quoted:
            continue
        if word.text.startswith("--"):
            message = f"flags come before the names, found {quoted(word.text)} behind one"
            problem = Problem(Mistake.FLAG_LATE, message, "put it right after COPY; quote a name that starts with --")
            statement.complain(problem, word.start, word.end)
        elif ends_in_odd_backslash(word.text):
            message = "a \\ before a blank does not make the blank part of the name"
            statement.complain(Problem(Mistake.ESCAPED_BLANK, message, _BLANK_HINT), word.start, word.end)


def _are_enough(statement: Statement, names: Sequence[Word]) -> bool:
    if len(names) >= 2:
        return True
    found, hint = "none", "as in: COPY etc ."
    if names:
        found = f"1 value: {quoted(names[0].text)}"
        hint = f"name the folder in the image, as in: COPY {names[0].text[:60].rstrip('/') or '.'} ."
    message = f"COPY takes at least one source and a destination, found {found}"
    statement.complain(Problem(Mistake.FEW_NAMES, message, hint))
    return False


def _check_names(statement: Statement, names: Sequence[Word], flags: _Flags) -> None:
    *sources, destination = names
    for source in sources:
        problem = check_source(source.text)
        if problem:
            statement.complain(problem, source.start, source.end)
    problem = check_destination(destination.text)
    if problem:
        statement.complain(problem, destination.start, destination.end)
    if flags.exact and len(sources) > 1:
        message = f"--exact places one source exactly at the destination, found {len(sources)} sources"
        problem = Problem(Mistake.EXACT_MANY, message, "write one COPY --exact for each source")
        statement.complain(problem, sources[0].start, sources[-1].end)
