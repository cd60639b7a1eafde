"""Every mutation that Cosmic Ray knows of some modules, but for those that change nothing by construction."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

# These leave the code as it is, or need to be told names.
_LEFT_OUT = ("core/NoOp", "core/VariableInserter", "core/VariableReplacer")

# Of these there are two hundred, each for one kind of node alone: to ask all nodes takes most of the time.
_FITTING = {"ReplaceBinaryOperator": "operator", "ReplaceComparisonOperator": "comparison"}

# Cosmic Ray fails where such a name has its module before it.
_EXCEPTIONS, _DOTTED = "core/ExceptionReplacer", re.compile(r"\w+\.")


class Mutation(NamedTuple):
    """One change to one module.

    Shape: ``path`` is relative to the root; ``occurrence`` counts the places where the operator fits; ``line`` and
           ``column`` are where it is.
    """

    path: str
    operator: str
    occurrence: int
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column} {self.operator.removeprefix('core/')}"


def sample(root: Path, rooms: Iterable[str], count: int, seed: int) -> list[Mutation]:
    """Return ``count`` mutations of the modules below ``rooms``: the same for one seed.

    Each place is as likely as any other, and has one mutation at most. An addition, for which a dozen other operators
    can stand, counts no more than a number.
    """
    places: dict[tuple[str, int, int, str], list[Mutation]] = {}
    for path in modules(root, rooms):
        for one in mutations(root, path):
            places.setdefault((path, one.line, one.column, one.operator.partition("_")[0]), []).append(one)
    chance = Random(seed)
    return [chance.choice(places[place]) for place in chance.sample(sorted(places), min(count, len(places)))]


def modules(root: Path, rooms: Iterable[str]) -> list[str]:
    """Return the paths of the modules of rooms such as ``kubeimage/store`` and ``kubeimage/cache.py``."""
    found = {
        path for room in rooms for path in ([root / room] if room.endswith(".py") else (root / room).rglob("*.py"))
    }
    return sorted(path.relative_to(root).as_posix() for path in found)


def mutations(root: Path, path: str) -> Iterator[Mutation]:
    """Yield all mutations of one module."""
    text = (root / path).read_text()
    lines = text.splitlines()
    nodes, silent = list(ast_nodes(get_ast(text))), silent_places(text)
    fitting = {family: [node for node in nodes if node.type == kind] for family, kind in _FITTING.items()}
    for name in sorted(cosmic_ray.plugins.operator_names()):
        kind = cosmic_ray.plugins.get_operator(name)
        if name in _LEFT_OUT or kind.arguments():
            continue
        operator = kind()
        among = fitting.get(name.removeprefix("core/").partition("_")[0], nodes)
        places = [start for node in among for start, _ in operator.mutation_positions(node)]
        for occurrence, (line, column) in enumerate(places):
            is_dotted = name == _EXCEPTIONS and _DOTTED.match(lines[line - 1], column) is not None
            if not is_dotted and not any(first <= (line, column) < last for first, last in silent):
                yield Mutation(path, name, occurrence, line, column)


def mutated(root: Path, mutation: Mutation) -> str:
    """Return the text of the mutated module."""
    operator = cosmic_ray.plugins.get_operator(mutation.operator)()
    text = (root / mutation.path).read_text()
    changed = mutate_code(text, operator, mutation.occurrence)
    assert isinstance(changed, str)
    assert changed != text
    return changed


def statement(root: Path, mutation: Mutation) -> range:
    """Return the lines of the statement that a mutation changes; of one with a body, those of its head.

    What runs is noted by lines, and not each line of a statement has code of its own. What runs when a module is
    imported has no lines: it is noted for that test alone that happened to come first.
    """
    found, is_inside = range(mutation.line, mutation.line + 1), False
    for node in ast.walk(ast.parse((root / mutation.path).read_text())):
        if isinstance(node, ast.stmt) and node.lineno <= mutation.line <= (node.end_lineno or 0):
            body = getattr(node, "body", None)
            end = body[0].lineno if body else (node.end_lineno or 0) + 1
            if mutation.line < end:
                found = range(node.lineno, end)
            elif isinstance(node, ast.FunctionDef):
                is_inside = True
    return found if is_inside else range(0)


@cache
def silent_places(text: str) -> tuple[tuple[tuple[int, int], tuple[int, int]], ...]:
    """Return where no code runs: annotations, for they are never evaluated, and what only type checkers read."""
    found: list[ast.AST] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            found.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            found.append(node.returns)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            found.append(node)
    return tuple((_start(node), (node.end_lineno or 0, node.end_col_offset or 0)) for node in found)  # type: ignore[attr-defined]


def _start(node: ast.AST) -> tuple[int, int]:
    return node.lineno, node.col_offset  # type: ignore[attr-defined]
