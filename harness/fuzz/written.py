"""Values as they print: read back from text, without running it.

    read('Project.of("FROM scratch", {"a": File("1", 0o755)})', {"Project.of": Project.of, "File": File})

Literals, calls of the names that are given, ``+`` of texts, ``*`` of a text and a number; nothing else.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Any

Names = Mapping[str, Callable[..., Any]]

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {ast.Add: operator.add, ast.Mult: operator.mul}


def read(text: str, names: Names) -> Any:
    """Read one value; ``names`` are what may be called.

    Raises: ValueError for text that is anything else.
    """
    try:
        return _value(ast.parse(text, mode="eval").body, names)
    except (SyntaxError, TypeError) as error:
        raise ValueError(f"this is no written value: {error}") from error


def read_tuple(data: bytes, names: Names, kinds: type | UnionType) -> tuple[Any, ...]:
    """Read a tuple of values, all of ``kinds``.

    Raises: ValueError for anything else.
    """
    values = read(data.decode(), names)
    if not isinstance(values, tuple) or not all(isinstance(one, kinds) for one in values):
        raise ValueError(f"this is no tuple of {kinds}: {str(values)[:80]}")
    return values


def _value(node: ast.expr, names: Names) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Tuple() | ast.List():
            items = [_value(item, names) for item in node.elts]
            return tuple(items) if isinstance(node, ast.Tuple) else items
        case ast.Dict():
            pairs = [(key, value) for key, value in zip(node.keys, node.values, strict=True) if key is not None]
            if len(pairs) == len(node.keys):
                return {_value(key, names): _value(value, names) for key, value in pairs}
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand, names)
        case ast.BinOp() if type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](_value(node.left, names), _value(node.right, names))
        case ast.Call() if (called := ast.unparse(node.func)) in names:
            given = {word.arg: _value(word.value, names) for word in node.keywords if word.arg is not None}
            return names[called](*(_value(one, names) for one in node.args), **given)
    raise ValueError(f"this is no written value: {ast.unparse(node)[:80]}")
