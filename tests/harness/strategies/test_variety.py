"""How often each kind of thing is generated: a faster strategy must not be a poorer one.

The floors are about a third of what there was when they were written. The examples are the same in each run.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from harness.strategies import Project, projects
from harness.trees import File
from kubeimage.kubefile import Copy

COUNT = 300


@cache
def parts() -> Counter[str]:
    """Return what part of the generated projects has each kind, in percent."""
    found: Counter[str] = Counter()

    @settings(max_examples=COUNT, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(projects())
    def collect(project: Project) -> None:
        found.update(set(kinds(project)))

    collect()
    return Counter({kind: 100 * number // COUNT for kind, number in found.items()})


def kinds(project: Project) -> Iterator[str]:
    """Yield what a project has."""
    for content in project.context.values():
        yield type(content).__name__
        if isinstance(content, File):
            yield from (["xattrs"] if content.xattrs else []) + (["setuid"] if content.mode & 0o4000 else [])
    names = [path.rpartition("/")[2] for path in project.context]
    yield from ["twins"] if len(set(names)) < len(names) else []
    yield from ["nested"] if any("/" in path for path in project.context) else []
    yield from ["ignored"] if ".kubeignore" in project.context else []
    yield from ["arguments"] if project.build_args else []
    yield f"{len(project.kubefile.instructions) - 1} instructions"
    yield from (word for word in WORDS if word in project.text)
    yield from (f"{len(one.sources)} sources" for one in project.kubefile.instructions if isinstance(one, Copy))
    if project.base is not None:
        yield f"base of {len(project.base.layers)}"
        yield from ["whiteouts below"] if any(".wh." in path for one in project.base.layers for path in one) else []


WORDS = (
    "ARG", "CMD", "COPY", "RUN", "mv ", "rm ", "ln ", "ln -s ", "chmod ", "mkdir ", "touch ", "printf ", "||", "&&",
    "; ", "false", "--exact", "--chmod", "$", "*", "[", "nowhere/..", "${BASE}",
)  # fmt: skip

FLOORS = {
    "$": 9,
    "${BASE}": 6,
    "&&": 6,
    "*": 4,
    "--chmod": 4,
    "--exact": 2,
    "0 instructions": 3,
    "1 instructions": 5,
    "1 sources": 7,
    "2 instructions": 6,
    "2 sources": 2,
    "3 instructions": 10,
    "3 sources": 2,
    "4 instructions": 3,
    "5 instructions": 1,
    "; ": 3,
    "ARG": 18,
    "CMD": 10,
    "COPY": 12,
    "Fifo": 10,
    "File": 18,
    "Folder": 20,
    "HardLink": 3,
    "Link": 9,
    "RUN": 14,
    "[": 8,
    "arguments": 6,
    "base of 0": 2,
    "base of 1": 3,
    "base of 2": 3,
    "base of 3": 3,
    "chmod ": 2,
    "ignored": 7,
    "ln ": 2,
    "mkdir ": 4,
    "nested": 14,
    "nowhere/..": 3,
    "printf ": 6,
    "rm ": 8,
    "setuid": 4,
    "str": 20,
    "touch ": 4,
    "twins": 8,
    "whiteouts below": 4,
    "xattrs": 5,
    "||": 10,
}


@pytest.mark.parametrize(("kind", "floor"), FLOORS.items())
def test_each_kind_still_occurs(kind: str, floor: int) -> None:
    assert parts()[kind] >= floor
