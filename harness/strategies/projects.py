"""Projects that build, or that fail as they are meant to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import islice

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from harness import model
from harness.model import Work
from harness.model.build import BASE_NAME
from harness.model.tree import name_of
from harness.strategies.contexts import ContextKind
from harness.strategies.dialects import docker_projects
from harness.strategies.dice import Dice, Part, records
from harness.strategies.images import PLATFORMS, read_image
from harness.strategies.project import Project
from harness.strategies.saying import say_layers
from harness.strategies.scripts import read_script
from harness.strategies.sources import Sources, quoted
from harness.trees import Folder, Link
from kubeimage.image.compatibility import DEFAULT_DIALECT, Dialect
from kubeimage.kubefile import Arg, Cmd, Copy, From, Instruction, Kubefile, Run, render

_COMMANDS = ("kubectl apply -f a.yaml", "helm install x charts/x --set a=1,b=2", 'echo "a   b"')
_DESTINATIONS = (".", "dest", "dest/deep", "dest two", "/dest/", "dest/../etc")
_KEYS = ("VERSION", "TAG")
_UNDECLARED = "OTHER"
_VALUES = ("1", "2", "a", "a,b", "two words", "größe")
_CHMODS = (None, None, None, 0o755, 0o700)


def projects(
    *,
    min_size: int = 0,
    max_size: int = 5,
    max_files: int = 6,
    runs: bool = True,
    max_base_layers: int = 3,
    platforms: Sequence[str] = PLATFORMS[:1],
    hostile: bool = False,
    dialect: Dialect = DEFAULT_DIALECT,
) -> SearchStrategy[Project]:
    """Generate projects of about ``min_size`` to ``max_size`` instructions behind FROM; without RUN, if not ``runs``.

    They build: sources are in the context, destinations in the image, and each RUN works on what is there. With
    ``hostile`` most of them fail, each with an error of its own. In another ``dialect`` than sealer's, ``max_size`` is
    that of each stage, and `docker_projects` says the rest.
    Raises: InvalidArgument for sizes that fit no Kubefile, or for a context without files.
    """
    if not 0 <= min_size <= max_size:
        raise InvalidArgument(f"a Kubefile has min_size <= max_size instructions, found {min_size=} and {max_size=}")
    if dialect != DEFAULT_DIALECT:
        bases = max_base_layers > 0
        return docker_projects(dialect, max_size=max_size, runs=runs, bases=bases, hostile=hostile, platforms=platforms)
    kind = _Kind((min_size, max_size), max_base_layers, tuple(platforms), runs=runs, hostile=hostile)
    return _projects(kind, ContextKind(1, max_files, read_only=not runs, hostile=hostile))


def build_args(kubefile: Kubefile) -> SearchStrategy[dict[str, str]]:
    """Generate build arguments for some of what ``kubefile`` declares."""
    if not kubefile.declared:
        return st.just({})
    return st.dictionaries(st.sampled_from(kubefile.declared), st.sampled_from(_VALUES), max_size=2)


@dataclass(frozen=True)
class _Kind:
    """What projects are wanted; the fields are those of `projects`."""

    sizes: tuple[int, int]
    max_base_layers: int
    platforms: tuple[str, ...]
    runs: bool
    hostile: bool


def _projects(kind: _Kind, contexts: ContextKind) -> SearchStrategy[Project]:
    if contexts.max_size < 1:
        raise InvalidArgument(f"a project has files, found max_files={contexts.max_size}")
    return records(partial(_read, kind, contexts))


def _read(kind: _Kind, contexts: ContextKind, dice: Dice) -> Project:
    """Return the project that records say."""
    head = dice.part(_HEAD)
    context = contexts.read(dice)
    platform = head.pick(kind.platforms)
    base = None
    if kind.max_base_layers and head.below(2):
        base = read_image(dice, 0, kind.max_base_layers, (platform,))
    start: list[Instruction] = [From(BASE_NAME if base else "scratch")]
    if base and head.below(2):
        start = [Arg((("BASE", BASE_NAME),)), From("${BASE}")]
    given = {head.pick(_KEYS): head.pick(_VALUES)} if head.below(2) else {}
    if kind.hostile and head.below(10) == 9:
        given[_UNDECLARED] = "1"
    writer = _Writer(Project(Kubefile(tuple(start)), context, base, platform=platform), given, kind)
    first, last = kind.sizes
    for number in range(first + head.below(last - first + 1)):
        one = dice.part(_INSTRUCTION)
        # Where no more is needed, zeros say nothing.
        if one.below(256) or number < first:
            writer.add(writer.read(one))
    return writer.finish()


class _Writer:
    """Writes a project instruction by instruction, knowing what the image looks like so far."""

    def __init__(self, project: Project, given: Mapping[str, str], kind: _Kind) -> None:
        self.project = project
        self.instructions = list(project.kubefile.instructions)
        self.given = given
        self.kind = kind
        self.values: dict[str, str | None] = {}
        self.work = Work(project.request, frozenset())
        self.work.plan()
        self._sources = Sources(self.work.context.tree)

    def read(self, dice: Part) -> Instruction:
        """Return the instruction that a record says."""
        kind = dice.pick(_KINDS if self.kind.runs else _KINDS_WITHOUT_RUN)
        if kind is Copy:
            return self._read_copy(dice)
        if kind is Run:
            return Run(read_script(dice, self.work.tree, tuple(self.values)))
        if kind is Arg:
            return Arg(((dice.pick(_KEYS), dice.pick(_DEFAULTS)),))
        return Cmd(tuple(dice.pick(_COMMANDS) for _ in range(1 + dice.below(2))))

    def add(self, instruction: Instruction) -> None:
        """Add an instruction; unless failing is what is wanted, one that would fail is made simpler, or left out."""
        if isinstance(instruction, Arg):
            self.values |= {key: self.given.get(key, default) for key, default in instruction.pairs}
        if not self._try(instruction) and (simpler := self._simpler(instruction)) is not None:
            self._try(simpler)

    def finish(self) -> Project:
        """Return the project, with the build arguments that its ARGs were given."""
        kubefile = Kubefile(tuple(self.instructions))
        known = (*kubefile.declared, _UNDECLARED)
        given = {key: self.given[key] for key in self.given if key in known}
        say_layers([step.layer for step in self.work.steps if step.layer is not None])
        return replace(self.project, kubefile=kubefile, build_args=given)

    def _try(self, instruction: Instruction) -> bool:
        try:
            # What no Kubefile can say, such as a name with a line end, is in the context all the same.
            _check_writable(instruction)
            self.work.do(instruction, self.values)
        except (ValueError, model.Unknown):
            return False
        except model.Failed:
            if not self.kind.hostile:
                return False
        self.instructions.append(instruction)
        return True

    def _simpler(self, instruction: Instruction) -> Instruction | None:
        if isinstance(instruction, Copy):
            return Copy((min(self._sources.names, key=len),), "dest", chmod=instruction.chmod)
        return Run(f"{instruction.command} || true") if isinstance(instruction, Run) else None

    def _read_copy(self, dice: Part) -> Copy:
        chmod = dice.pick(_CHMODS)
        destination = dice.pick(self._destinations())
        sources = self._sources.ways(self.values)
        if self.kind.hostile:
            unset = [f"${{{key}}}" for key, value in self.values.items() if value is None]
            sources += ["../a", "nothing", "a/../..", "$UNSET", "*/*", *unset * 4]
        if dice.below(4) == 3:
            return Copy((dice.pick(sources),), destination, exact=True, chmod=chmod)
        count = 1 + dice.below(3)
        return Copy(tuple(dice.pick(sources) for _ in range(count)), destination, chmod=chmod)

    def _destinations(self) -> list[str]:
        own = [quoted(path) for path in islice(self.work.context.tree, 4)]
        # Below files nothing can be copied: that is an error, or makes a project simpler than it was meant to be.
        tree = self.work.tree
        folders = [path for path in tree if self.kind.hostile or isinstance(tree[path], Folder)][:8]
        links = [path for path in tree if isinstance(tree[path], Link)][:2]
        ways = [quoted(path) for path in (*folders, *links * 3)]
        found = [*_DESTINATIONS, *ways, *own, *(f"dest/{name_of(path)}" for path in own)]
        return [*found, "../x", "dest/.wh.x", "$UNSET", "imageListWithAuth.yaml"] if self.kind.hostile else found


def _check_writable(instruction: Instruction) -> None:
    """Raise ValueError for what no Kubefile can say."""
    if isinstance(instruction, Copy):
        # Each word stands for itself, and most of the odd ones have come before.
        for source in instruction.sources:
            if not _PLAIN_WORD.fullmatch(source):
                _check_said(Copy((source,), "x"))
        if not _PLAIN_WORD.fullmatch(instruction.destination):
            _check_said(Copy(("x",), instruction.destination))
    elif not (isinstance(instruction, Run) and _PLAIN_SCRIPT.fullmatch(instruction.command)):
        _check_said(instruction)


@lru_cache(maxsize=4096)
def _check_said(instruction: Instruction) -> None:
    render(Kubefile((From("scratch"), instruction)))


# What can be said without any doubt; the rest is tried.
_PLAIN_WORD = re.compile(r"(?!.*(?:\.\.|\.wh\.))[A-Za-z0-9_][A-Za-z0-9_ ./*?\[\]]*")
_PLAIN_SCRIPT = re.compile(r"[a-z:][^\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff<]*[^\\\s<]")
_KINDS = (Copy, Run, Arg, Cmd)
_KINDS_WITHOUT_RUN = (Copy, Arg, Cmd)
_DEFAULTS = (*_VALUES, *[None] * 4)
# Units: bytes.
_HEAD = 8
_INSTRUCTION = 24
