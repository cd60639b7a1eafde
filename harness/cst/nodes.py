"""Values of a YAML or JSON file, read by the types that fields have in container-structure-test.

YAML is read strictly, as the program does: an unknown field, a field that comes twice, or a value of another type is a
mistake with its line. A text field takes any plain value as it is written. JSON is read as Go does: names of fields in
any case, unknown ones passed over, no text for a number or a number for a text.

Sources: gopkg.in/yaml.v2, UnmarshalStrict; Go, encoding/json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml

_TRUE = frozenset(("y", "yes", "true", "on"))
_BOOL = "tag:yaml.org,2002:bool"
_INT = "tag:yaml.org,2002:int"
_NULL = "tag:yaml.org,2002:null"
_WORDS = {"str": "a text", "int": "a whole number", "bool": "true or false"}


class Mistake(NamedTuple):
    """Something in a file that cannot be followed. Shape: ``line`` counts from 1; None where nobody knows."""

    message: str
    line: int | None


class MistakesError(ValueError):
    """All the mistakes of a file."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("; ".join(one.message for one in mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True)
class Value:
    """One value of a file.

    Shape: ``raw`` is a text, number, truth or None of JSON's, or a node of YAML's.
    """

    raw: Any
    line: int | None
    is_json: bool


class Fields(NamedTuple):
    """An object. Shape: ``values`` by the names that its type has."""

    values: dict[str, Any]
    line: int | None


Reading = Callable[["Reader", Value], Any]


class Reader:
    """Reads values, and gathers what is wrong with them."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def wrong(self, message: str, value: Value) -> None:
        """Note a mistake."""
        self.mistakes.append(Mistake(message, value.line))

    def scalar(self, value: Value, kind: str) -> Any:
        """Return a text, a number or a truth; its empty value where it is something else."""
        found = _json_scalar(value.raw, kind) if value.is_json else _yaml_scalar(value.raw, kind)
        if found is None and not _is_null(value):
            self.wrong(f"{_shown(value)} stands where {_WORDS[kind]} is wanted", value)
        return found if found is not None else {"str": "", "int": 0, "bool": False}[kind]

    def items(self, value: Value) -> Iterator[Value]:
        """Yield the items of a list; nothing for an absent one."""
        if _is_null(value):
            return
        raw = value.raw
        if value.is_json and isinstance(raw, list):
            yield from (Value(one, None, is_json=True) for one in raw)
        elif isinstance(raw, yaml.SequenceNode):
            yield from (_yaml(one) for one in raw.value)
        else:
            self.wrong(f"{_shown(value)} stands where a list is wanted", value)

    def fields(self, value: Value, types: Mapping[str, Reading]) -> Fields:
        """Return an object whose fields have these types."""
        found: dict[str, Any] = {}
        for name, one in self._pairs(value):
            known = next((key for key in types if key.lower() == name.lower()), None) if value.is_json else name
            if known not in types:
                if not value.is_json:
                    near = next((key for key in types if key.lower() == name.lower()), None)
                    hint = f" (did you mean {near}?)" if near else f"; known are {', '.join(types)}"
                    self.wrong(f"there is no field {name!r} here{hint}", one)
            elif known in found and not value.is_json:
                self.wrong(f"the field {name!r} comes twice", one)
            else:
                assert known is not None
                found[known] = types[known](self, one)
        return Fields(found, value.line)

    def _pairs(self, value: Value) -> Iterator[tuple[str, Value]]:
        if _is_null(value):
            return
        raw = value.raw
        if value.is_json and isinstance(raw, dict):
            yield from ((name, Value(one, None, is_json=True)) for name, one in raw.items())
        elif isinstance(raw, yaml.MappingNode):
            for key, one in raw.value:
                # The line of the name, which is where a person looks.
                yield str(key.value), Value(one, key.start_mark.line + 1, is_json=False)
        else:
            self.wrong(f"{_shown(value)} stands where fields are wanted", value)


def text(reader: Reader, value: Value) -> str:
    """Read a text."""
    return str(reader.scalar(value, "str"))


def number(reader: Reader, value: Value) -> int:
    """Read a whole number."""
    return int(reader.scalar(value, "int"))


def truth(reader: Reader, value: Value) -> bool:
    """Read true or false."""
    return bool(reader.scalar(value, "bool"))


def texts(reader: Reader, value: Value) -> tuple[str, ...]:
    """Read a list of texts."""
    return tuple(text(reader, one) for one in reader.items(value))


def commands(reader: Reader, value: Value) -> tuple[tuple[str, ...], ...]:
    """Read a list of lists of texts."""
    return tuple(texts(reader, one) for one in reader.items(value))


def parse_yaml(data: str) -> Value:
    """Return the one document of a YAML text.

    Raises: MistakesError.
    """
    try:
        node = yaml.compose(data, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise MistakesError([Mistake(f"this is no YAML: {error.problem}", mark.line + 1 if mark else None)]) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise MistakesError([Mistake(f"this is no YAML: {error}", None)]) from error
    return _yaml(node) if node is not None else Value(None, 1, is_json=False)


def parse_json(data: str) -> Value:
    """Return the value of a JSON text.

    Raises: MistakesError.
    """
    try:
        return Value(json.loads(data), 1, is_json=True)
    except json.JSONDecodeError as error:
        raise MistakesError([Mistake(f"this is no JSON: {error.msg}", error.lineno)]) from error
    except RecursionError as error:
        raise MistakesError([Mistake("this is no JSON that can be read: it nests too deeply", None)]) from error


def _yaml(node: yaml.Node) -> Value:
    return Value(node, node.start_mark.line + 1, is_json=False)


def _is_null(value: Value) -> bool:
    raw = value.raw
    return raw is None or (isinstance(raw, yaml.ScalarNode) and raw.tag == _NULL)


def _json_scalar(raw: object, kind: str) -> object:
    if kind == "bool":
        return raw if isinstance(raw, bool) else None
    if kind == "int":
        return raw if isinstance(raw, int) and not isinstance(raw, bool) else None
    return raw if isinstance(raw, str) else None


def _yaml_scalar(node: object, kind: str) -> object:
    if not isinstance(node, yaml.ScalarNode):
        return None
    if kind == "str":
        return node.value if node.tag != _NULL else None
    if kind == "bool":
        return node.value.lower() in _TRUE if node.tag == _BOOL else None
    try:
        return int(yaml.SafeLoader("").construct_yaml_int(node)) if node.tag == _INT else None
    except ValueError:
        return None


def _shown(value: Value) -> str:
    raw = value.raw
    if isinstance(raw, yaml.ScalarNode):
        return repr(raw.value)
    if isinstance(raw, yaml.SequenceNode | list):
        return "a list"
    return "an object" if isinstance(raw, yaml.MappingNode | dict) else repr(raw)
