"""ARG: which values each instruction sees, and what names become with them.

Source: docs/kubefile-sealer-0.8.md, "ARG".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from harness.model.failure import Failed
from kubeimage.kubefile import Arg, Copy, Instruction, Kubefile

_USE = re.compile(r"\\\$|\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)", re.ASCII)

Values = dict[str, str | None]
"""By key; None where it is declared and has no value."""


def walk(kubefile: Kubefile, given: Mapping[str, str]) -> Iterator[tuple[Instruction, Values]]:
    """Yield each instruction with what it sees; an ARG sees itself.

    Raises: Failed.
    """
    declared = {key for one in kubefile.instructions if isinstance(one, Arg) for key, _ in one.pairs}
    if not declared.issuperset(given):
        raise Failed("E0102", "a build argument that no ARG declares")
    values: Values = {}
    for instruction in kubefile.instructions:
        if isinstance(instruction, Arg):
            for key, default in instruction.pairs:
                value = given.get(key)
                if value is None and default is not None:
                    value = expand(default, values)
                values = {**values, key: value}
        yield instruction, values


def expand(text: str, values: Values) -> str:
    """Put values in the place of ``$KEY`` and ``${KEY}``.

    Raises: Failed for a key that is declared and has no value.
    """

    def value_of(use: re.Match[str]) -> str:
        key = use[1] or use[2]
        if key is None:
            return "$"
        value = values.get(key, use[0])
        if value is None:
            raise Failed("E0250", f"{key} has no value")
        return value

    return _USE.sub(value_of, text)


def expand_copy(copy: Copy, values: Values, architecture: str) -> tuple[tuple[str, ...], str]:
    """Return a COPY's sources and destination as they are meant.

    Raises: Failed.
    """
    values = {**values, "ARCH": architecture}
    sources = tuple(expand(source, values) for source in copy.sources)
    destination = expand(copy.destination, values)
    for source in sources:
        _check(source, "E0221")
    _check(destination, "E0222")
    if any(part.startswith(".wh.") for part in destination.split("/")):
        raise Failed("E0223", f"{destination!r} is reserved")
    return sources, destination


def _check(name: str, escapes: str) -> None:
    if not name:
        raise Failed("E0224", "an empty name")
    depth = 0
    for part in name.split("/"):
        depth += -1 if part == ".." else part not in {"", "."}
        if depth < 0:
            raise Failed(escapes, f"{name!r} leaves its root")
