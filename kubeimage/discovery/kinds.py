"""Kinds of which is known where they name images: ``kinds.toml``, and files of the same form that a user adds.

    ["postgresql.cnpg.io/Cluster"]
    images = ["spec.imageName"]
    composed = ["{spec.registry}/{spec.image}:{spec.version}"]

A path goes through keys with dots; ``[]`` is each item of a list, ``*`` each value of a mapping. ``images`` hold whole
names: they are certain. ``composed`` are names that the kind's operator makes of several texts: guesses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from kubeimage.discovery.documents import Node, lookup
from kubeimage.errors import SettingsError
from kubeimage.toml import read_toml
from kubeimage.values import dataclass

_FILE = "kinds.toml"
_PART = re.compile(r"\{([^{}]+)\}")
_KEYS = ("images", "composed")


@dataclass(frozen=True)
class Kind:
    """Where one kind names images."""

    images: tuple[str, ...] = ()
    composed: tuple[str, ...] = ()


Kinds = Mapping[str, Kind]
"""By ``group/Kind``; the core group is empty, as in ``/Pod``."""


@cache
def known_kinds() -> Kinds:
    """Return the kinds that come with kubeimage."""
    return parse_kinds(files("kubeimage.discovery").joinpath(_FILE).read_bytes(), file=_FILE)


@cache
def merged_kinds(texts: tuple[bytes, ...]) -> Kinds:
    """Return the known kinds with those of a user's files: what a file says of a kind is added to what is known.

    Raises: SettingsError.
    """
    merged = dict(known_kinds())
    for text in texts:
        for name, kind in parse_kinds(text, file="image-kinds").items():
            known = merged.get(name, Kind())
            merged[name] = Kind((*known.images, *kind.images), (*known.composed, *kind.composed))
    return merged


def parse_kinds(data: bytes, *, file: str) -> Kinds:
    """Read a file of kinds.

    Raises: SettingsError, which names the file and the kind.
    """
    try:
        document = read_toml(data)
    except ValueError as error:
        raise SettingsError(f"{file}: {error}") from error
    return {name: _read_kind(table, f'{file}: ["{name}"]') for name, table in document.items()}


def _read_kind(table: Any, where: str) -> Kind:
    if not isinstance(table, dict):
        raise SettingsError(
            f"{where} is not a table", hint='as in: ["example.com/Thing"], then images = ["spec.image"]'
        )
    for key, value in table.items():
        if key not in _KEYS:
            raise SettingsError(f"{where} has a key that means nothing: {key!r}", hint=f"known are {', '.join(_KEYS)}")
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise SettingsError(f"{where} {key} is not a list of texts")
    return Kind(tuple(table.get("images", ())), tuple(table.get("composed", ())))


def name_of_kind(mapping: dict[str, Node]) -> str | None:
    """Return ``group/Kind`` of a resource, None for what is none."""
    version, kind = mapping.get("apiVersion"), mapping.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str):
        return None
    return f"{version.rpartition('/')[0]}/{kind}"


Step = str | int
"""A key, or a number in a list."""


def texts_at(node: Node, path: str) -> Iterator[tuple[tuple[Step, ...], str]]:
    """Yield the texts at a path of the kinds' form, each with its own place."""
    yield from _texts(node, _steps(path), ())


@cache
def _steps(path: str) -> tuple[str, ...]:
    return tuple(step for part in path.split(".") for step in part.replace("[]", ".[]").split(".") if step)


def _texts(node: Node, steps: Sequence[str], at: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], str]]:
    if not steps:
        if isinstance(node, str):
            yield at, node
        return
    step, rest = steps[0], steps[1:]
    if step == "[]":
        for number, item in enumerate(node if isinstance(node, list) else ()):
            yield from _texts(item, rest, (*at, number))
    elif isinstance(node, dict) and step == "*":
        for key, value in node.items():
            yield from _texts(value, rest, (*at, key))
    elif isinstance(node, dict) and (value := lookup(node, step)) is not None:
        yield from _texts(value, rest, (*at, step))


def compose(node: Node, pattern: str) -> Iterator[str]:
    """Yield the name that a pattern makes of a resource's texts; none where one of them is not there.

    A part with a default is written ``{path|default}``; ``[]`` and ``*`` are not for patterns.
    """
    pieces: dict[str, str] = {}
    for part in _PART.findall(pattern):
        path, has_default, default = part.partition("|")
        found = next((text for _, text in texts_at(node, path)), "") or default
        if not found and not has_default:
            return
        pieces[part] = found
    yield _PART.sub(lambda match: pieces[match[1]], pattern)
