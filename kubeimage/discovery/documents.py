"""A text as YAML documents, each read on its own: one that is broken takes no other with it.

All scalars are texts, tags mean nothing, and ``<<`` stays a key that ``lookup`` sees through: nothing is computed that
an image's name could depend on, and no document makes more of itself than it has bytes. How deep it may be nested is
bounded by libyaml.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

Node: TypeAlias = "str | list[Node] | dict[str, Node] | None"

MERGE = "<<"


class Mapping(dict[str, "Node"]):
    """A mapping as it is written. Shape: ``twins`` are the earlier values of keys that stand there twice."""

    twins: Sequence[tuple[str, Node]] = ()


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


def iter_documents(text: str) -> Iterator[Document]:
    """Read the documents of ``text``; JSON, also one document a line, is read as well."""
    number = 0
    for line, part in _split(text.removeprefix("\ufeff")):
        if _is_blank(part):
            continue
        number += 1
        yield from _read(number, line, part)


def lookup(mapping: dict[str, Node], key: str) -> Node:
    """Return a key's value, its own or that of a mapping merged into it."""
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

    try:
        yield Document(number, line, text, _as_texts(_compose(text)))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        lines = _read_json_lines(text)
        if lines is None:
            yield Document(number, line, text, problem=_describe(error, line))
        for at, value in lines or ():
            yield Document(number + at, line + at, text, value)


def line_of(text: str, steps: Sequence[str | int]) -> int | None:
    """Return in which line of a document, from 1, the value stands that keys and numbers lead to, None if unknown.

    It reads the document once more, with places: for what is wrong alone.
    """
    import yaml

    try:
        node = _compose(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    for step in steps:
        below = _below(node, step)
        if below is None:
            break
        node = below
    return None if node is None else int(node.start_mark.line) + 1


def _below(node: Any, step: str | int) -> Any:
    import yaml

    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return node.value[step] if step < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in reversed(node.value) if key.value == step), None)
    return None


@cache
def _loader() -> Any:
    """Return libyaml's reader without tags: nothing asks what a text may mean, so nothing looks it up."""
    import yaml

    parser = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

    def nothing(*_: object) -> str:
        return ""

    plain = {"resolve": nothing, "descend_resolver": nothing, "ascend_resolver": nothing}
    return type("TextLoader", (parser,), plain)


def _compose(text: str) -> Any:
    loader = _loader()(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _as_texts(root: Any) -> Node:
    """Return the value of a YAML node: texts, lists, mappings. It goes without recursion, and an alias is one value."""
    import yaml

    made: dict[int, Node] = {}
    todo: list[tuple[Any, Any]] = []

    def begin(node: Any) -> Node:
        if type(node) is yaml.ScalarNode:
            text: str = node.value
            return text
        known = made.get(id(node))
        if known is None:
            known = made[id(node)] = [] if type(node) is yaml.SequenceNode else Mapping()
            todo.append((node, known))
        return known

    value = None if root is None else begin(root)
    while todo:
        node, target = todo.pop()
        if type(target) is list:
            target += [begin(one) for one in node.value]
            continue
        for key, below in node.value:
            if type(key) is not yaml.ScalarNode:
                raise yaml.constructor.ConstructorError(None, None, "a key is no text", key.start_mark)
            if key.value in target:
                target.twins = (*target.twins, (key.value, target[key.value]))
            target[key.value] = begin(below)
    return value


def _describe(error: Exception, first: int) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f"line {first + mark.line}: {problem}" if mark is not None else str(problem or error).partition("\n")[0]


def _read_json_lines(text: str) -> list[tuple[int, Node]] | None:
    """Return the values of JSON lines, None where it is something else."""
    lines = [(number, line) for number, line in enumerate(text.split("\n")) if line.strip()]
    if len(lines) < 2 or not all(line.lstrip().startswith("{") for _, line in lines):
        return None
    try:
        return [(number, _as_node(json.loads(line))) for number, line in lines]
    except (ValueError, RecursionError):
        return None


def _as_node(value: object) -> Node:
    if isinstance(value, dict):
        mapping = Mapping()
        mapping.update({str(key): _as_node(one) for key, one in value.items()})
        return mapping
    if isinstance(value, list):
        return [_as_node(one) for one in value]
    return None if value is None else str(value)
