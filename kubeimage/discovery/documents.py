"""A text as YAML documents, each read on its own: one that is broken takes no other with it.

All scalars are texts, tags mean nothing, and ``<<`` stays a key that ``lookup`` sees through: nothing is computed that
an image's name could depend on, and no document makes more of itself than it has bytes. How deep it may be nested is
bounded by libyaml.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

Node: TypeAlias = "str | list[Node] | dict[str, Node] | None"

MERGE = "<<"
_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|$)|^\.\.\.[ \t\r]*$", re.MULTILINE)
_SOMETHING = re.compile(r"^(?!%(?:YAML|TAG)\b)[ \t]*[^#\s]", re.MULTILINE)
_MOST_MERGES = 100


class Document(NamedTuple):
    """One document.

    Shape: ``value`` is None where the text is no YAML; then ``problem`` says why.
    Units: ``number`` and ``line`` (its first one in the file) count from 1.
    """

    number: int
    line: int
    text: str
    value: Node = None
    problem: str | None = None


def iter_documents(text: str, containing: str = "") -> Iterator[Document]:
    """Read the documents of ``text``; JSON, also one document a line, is read as well.

    Shape: what does not hold the word ``containing``, in lower case, is counted and not read.
    """
    number = 0
    for line, part in _split(text.removeprefix("\ufeff")):
        if _is_blank(part):
            continue
        number += 1
        if containing and containing not in part.lower():
            continue
        yield from _read(number, line, part)


def lookup(mapping: Mapping[str, Node], key: str) -> Node:
    """Give a key's value, its own or that of a mapping merged into it."""
    todo, steps = [mapping], 0
    while todo and steps < _MOST_MERGES:
        here, steps = todo.pop(0), steps + 1
        if key in here:
            return here[key]
        merged = here.get(MERGE)
        todo += [one for one in (merged if isinstance(merged, list) else [merged]) if isinstance(one, dict)]
    return None


def _split(text: str) -> Iterator[tuple[int, str]]:
    start, line = 0, 1
    for separator in _SEPARATOR.finditer(text):
        part = text[start : separator.start()]
        yield line, part
        line += part.count("\n") + separator[0].count("\n")
        start = separator.end()
    yield line, text[start:]


def _is_blank(text: str) -> bool:
    """Whether a part holds nothing but comments and directives."""
    return _SOMETHING.search(text) is None


def _read(number: int, line: int, text: str) -> Iterator[Document]:
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        yield Document(number, line, text, yaml.load(text, Loader=loader))  # noqa: S506  it makes texts alone
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        lines = _read_json_lines(text)
        if lines is None:
            yield Document(number, line, text, problem=_describe(error, line))
        for at, value in lines or ():
            yield Document(number + at, line + at, text, value)


def _describe(error: Exception, first: int) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f"line {first + mark.line}: {problem}" if mark is not None else str(problem or error).partition("\n")[0]


def _read_json_lines(text: str) -> list[tuple[int, Node]] | None:
    """Give the values of JSON lines, None where it is something else."""
    lines = [(number, line) for number, line in enumerate(text.split("\n")) if line.strip()]
    if len(lines) < 2 or not all(line.lstrip().startswith("{") for _, line in lines):
        return None
    try:
        return [(number, _as_node(json.loads(line))) for number, line in lines]
    except (ValueError, RecursionError):
        return None


def _as_node(value: object) -> Node:
    if isinstance(value, dict):
        return {str(key): _as_node(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_as_node(one) for one in value]
    return None if value is None else str(value)
