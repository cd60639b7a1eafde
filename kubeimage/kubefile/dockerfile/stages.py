"""Whether the stages of a file fit together: their names, and what takes from which.

A stage takes only from those above it, so there are no circles.

Source: moby's Dockerfile reference, "Multi-stage builds"; the project's design, "Dialects and runners".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.instructions import Copy, From, Instruction, Run
from kubeimage.kubefile.statement import Problem, Statement, cut, quoted

_NAME = re.compile(r"[a-z][a-z0-9._-]*")
_TAKEN = ("scratch", "context")


def check_stages(read: Sequence[tuple[Statement, Instruction | None]]) -> None:
    """Complain of names that are none or come twice, and of stages that are not there or stand below."""
    names = [one.stage for _, one in read if isinstance(one, From)]
    number = -1
    for statement, one in read:
        if isinstance(one, From):
            number += 1
            _check_name(statement, one, names[:number])
        for origin in taken_by(one):
            _check_origin(statement, origin, names, number)


def taken_by(one: Instruction | None) -> Iterable[str]:
    """Yield the names of stages and images that an instruction takes files from."""
    if isinstance(one, Copy) and one.origin:
        yield one.origin
    if isinstance(one, Run):
        yield from (mount.origin for mount in one.mounts if mount.origin)


def _check_name(statement: Statement, one: From, above: Sequence[str]) -> None:
    name = one.stage
    if not name:
        return
    if not _NAME.fullmatch(name) or name in _TAKEN:
        hint = "a stage's name starts with a letter, and holds letters, digits and the signs . _ -"
        statement.complain(Problem(Mistake.BAD_STAGE, f"no stage can be called {quoted(name)}", hint))
    elif name in above:
        message = f"there is a stage {cut(name)} already, which is number {above.index(name)}"
        statement.complain(Problem(Mistake.BAD_STAGE, message, "give each stage a name of its own"))


def _check_origin(statement: Statement, origin: str, names: Sequence[str], number: int) -> None:
    wanted = _number_of(origin, names)
    if wanted is None or wanted < number:
        return
    keyword = statement.keyword.upper()
    above = ", ".join(name or str(at) for at, name in enumerate(names[:number]))
    hint = f"stages above this one: {above}" if above else "no stage stands above this one"
    if wanted >= len(names):
        message = f"{keyword} takes from stage {cut(origin)}, and there are {len(names)}, counted from 0"
    elif wanted == number:
        message = f"{keyword} takes from its own stage {cut(origin)}"
    else:
        message = f"{keyword} takes from the stage {cut(origin)}, which stands below; a stage takes from those above it"
    statement.complain(Problem(Mistake.BAD_STAGE, message, hint))


def _number_of(origin: str, names: Sequence[str]) -> int | None:
    """Return the number of a stage; None for an image's name."""
    if origin.isascii() and origin.isdigit():
        return int(origin[:9])
    return names.index(origin.lower()) if origin.lower() in names else None
