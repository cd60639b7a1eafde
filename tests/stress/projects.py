"""Small projects that share layers, commands and a word by which their processes can be found."""

import uuid
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.program import Program, write

WORD = f"kubeimage-stress-{uuid.uuid4().hex}"
_KUBEFILE = """\
FROM scratch
COPY shared etc
COPY own etc
RUN : {word} && cat etc/shared/1 etc/own/0 > etc/both && mkdir -p var/lib && rm -r etc/shared/3
ARG NUMBER={number}
RUN : {word} && echo "number $NUMBER" > etc/number && ln -s both etc/link
CMD cat etc/both
"""


@dataclass(frozen=True)
class Project:
    """A context with its Kubefile, and the id of its image."""

    context: Path
    image_id: str


def write_projects(folder: Path, alone: Program) -> tuple[Project, ...]:
    """Write four projects below ``folder``; with ``alone`` find out what their images are."""
    return tuple(_write_project(folder / str(number), number, alone) for number in range(4))


def _write_project(folder: Path, number: int, alone: Program) -> Project:
    shared = {f"shared/{index}": f"{index}\n" * 5000 for index in range(40)}
    own = {f"own/{index}": f"{number} {index}\n" * (200_000 if index == 0 else 10) for index in range(20)}
    kubefile = _KUBEFILE.replace("{word}", WORD).replace("{number}", str(number % 2))
    context = write(folder, {"Kubefile": kubefile, **shared, **own})
    return Project(context, alone.build(f"alone:{number}", context))
