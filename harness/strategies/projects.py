"""Projects that build, or that fail as they are meant to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from harness import model
from harness.model import Work
from harness.model.build import BASE_NAME
from harness.model.tree import is_folder, join, name_of, parent
from harness.strategies.contexts import build_contexts
from harness.strategies.dialects import docker_projects
from harness.strategies.images import PLATFORMS, base_images
from harness.strategies.project import Project
from harness.strategies.scripts import scripts
from harness.trees import Content, Folder, Link
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
    contexts = build_contexts(min_size=1, max_size=max_files, read_only=not runs, hostile=hostile)
    return _projects(contexts, (min_size, max_size), max_base_layers, tuple(platforms), runs=runs, hostile=hostile)


def build_args(kubefile: Kubefile) -> SearchStrategy[dict[str, str]]:
    """Generate build arguments for some of what ``kubefile`` declares."""
    if not kubefile.declared:
        return st.just({})
    return st.dictionaries(st.sampled_from(kubefile.declared), st.sampled_from(_VALUES), max_size=2)


@st.composite
def _projects(
    draw: st.DrawFn,
    contexts: SearchStrategy[dict[str, Content]],
    sizes: tuple[int, int],
    max_base_layers: int,
    platforms: tuple[str, ...],
    *,
    runs: bool,
    hostile: bool,
) -> Project:
    context = draw(contexts)
    platform = draw(st.sampled_from(platforms))
    base = None
    if max_base_layers and draw(st.booleans()):
        base = draw(base_images(max_layers=max_base_layers, platforms=(platform,)))
    start: list[Instruction] = [From(BASE_NAME if base else "scratch")]
    if base and draw(st.booleans()):
        start = [Arg((("BASE", BASE_NAME),)), From("${BASE}")]
    project = Project(Kubefile(tuple(start)), context, base, platform=platform)
    given = draw(_GIVEN)
    if hostile and draw(st.integers(0, 9)) == 9:
        given[_UNDECLARED] = "1"
    writer = _Writer(project, given, hostile=hostile)
    for _ in range(draw(st.integers(*sizes))):
        writer.add(draw(writer.instructions(draw(_KINDS if runs else _KINDS_WITHOUT_RUN))))
    return writer.finish()


class _Writer:
    """Writes a project instruction by instruction, knowing what the image looks like so far."""

    def __init__(self, project: Project, given: Mapping[str, str], *, hostile: bool) -> None:
        self.project = project
        self.given = given
        self.hostile = hostile
        self.values: dict[str, str | None] = {}
        self.work = Work(project.request, frozenset())
        self.work.plan()

    def instructions(self, kind: type[Instruction]) -> SearchStrategy[Instruction]:
        if kind is Copy:
            return self._copies()
        if kind is Run:
            return scripts(tree=self.work.tree, variables=list(self.values)).map(Run)
        return _ARGUMENTS if kind is Arg else _COMMANDS_OF_A_CLUSTER

    def add(self, instruction: Instruction) -> None:
        """Add an instruction; unless failing is what is wanted, one that would fail is made simpler, or left out."""
        if isinstance(instruction, Arg):
            self.values |= {key: self.given.get(key, default) for key, default in instruction.pairs}
        if not self._try(instruction) and (simpler := self._simpler(instruction)) is not None:
            self._try(simpler)

    def finish(self) -> Project:
        """Return the project, with the build arguments that its ARGs were given."""
        known = (*self.project.kubefile.declared, _UNDECLARED)
        return replace(self.project, build_args={key: self.given[key] for key in self.given if key in known})

    def _try(self, instruction: Instruction) -> bool:
        try:
            # What no Kubefile can say, such as a name with a line end, is in the context all the same.
            longer = self.project.with_instructions((*self.project.kubefile.instructions, instruction))
            render(longer.kubefile)
            self.work.do(instruction, self.values)
        except (ValueError, model.Unknown):
            return False
        except model.Failed:
            if not self.hostile:
                return False
        self.project = longer
        return True

    def _simpler(self, instruction: Instruction) -> Instruction | None:
        if isinstance(instruction, Copy):
            path = min(self.work.context.tree, key=len).replace("$", "\\$")
            return Copy((path,), "dest", chmod=instruction.chmod)
        return Run(f"{instruction.command} || true") if isinstance(instruction, Run) else None

    @st.composite
    @staticmethod
    def _copy(draw: st.DrawFn, sources: SearchStrategy[str], destinations: SearchStrategy[str]) -> Copy:
        chmod = draw(st.sampled_from(_CHMODS))
        destination = draw(destinations)
        if draw(st.integers(0, 3)) == 3:
            return Copy((draw(sources),), destination, exact=True, chmod=chmod)
        return Copy(tuple(draw(st.lists(sources, min_size=1, max_size=3))), destination, chmod=chmod)

    def _copies(self) -> SearchStrategy[Instruction]:
        sources = _sources(self.work.context.tree, self.values)
        unset = [f"${{{key}}}" for key, value in self.values.items() if value is None]
        own = [path.replace("$", "\\$") for path in self.work.context.tree][:4]
        # Below files nothing can be copied: that is an error, or makes a project simpler than it was meant to be.
        tree = self.work.tree
        folders = [path for path in tree if self.hostile or isinstance(tree[path], Folder)][:8]
        links = [path for path in tree if isinstance(tree[path], Link)][:2]
        ways = [path.replace("$", "\\$") for path in (*folders, *links * 3)]
        destinations = [*_DESTINATIONS, *ways, *own, *(f"dest/{name_of(path)}" for path in own)]
        if self.hostile:
            destinations += ["../x", "dest/.wh.x", "$UNSET", "imageListWithAuth.yaml"]
            sources += ["../a", "nothing", "a/../..", "$UNSET", "*/*", *unset * 4]
        return self._copy(st.sampled_from(sources), st.sampled_from(destinations))


def _sources(context: Mapping[str, object], values: Mapping[str, str | None]) -> list[str]:
    """Return ways to name what is in a context: as it is, by patterns that match one or many, through ARGs."""
    paths = sorted(context, key=lambda one: (len(one), one))
    found = [path.replace("$", "\\$") for path in paths]
    for path in paths[:6]:
        name, folder = name_of(path), parent(path).replace("$", "\\$")
        found += [join(folder, pattern) for pattern in ("*", name[:1] + "*", "?" + name[1:], f"[{name[:1]}-z]*")]
        found += [join(folder, "nowhere/../" + name.replace("$", "\\$"))]
        found += [f"./{path}/.", f"{path}/*", f"{path}/.."] if is_folder(context, path) else [f"/{path}"]  # type: ignore[arg-type]
        found += [join(folder, f"${{{key}}}") for key, value in values.items() if value == name]
        found += [join(folder, "${ARCH}")] if name == "amd64" else []
    names = [name_of(path) for path in paths]
    # What has one name in two folders meets where it is copied to.
    found += [path.replace("$", "\\$") for path in paths if names.count(name_of(path)) > 1] * 2
    # However many names there are: a context is copied as a whole more often than anything in it.
    return [*found, *["."] * (1 + len(found) // 8)]


# What need not be made anew for each project: making a strategy takes longer than drawing from it.
_GIVEN = st.dictionaries(st.sampled_from(_KEYS), st.sampled_from(_VALUES), max_size=1)
_KINDS = st.sampled_from((Copy, Run, Arg, Cmd))
_KINDS_WITHOUT_RUN = st.sampled_from((Copy, Arg, Cmd))
_ARGUMENTS: SearchStrategy[Instruction] = st.builds(
    lambda key, value: Arg(((key, value),)), st.sampled_from(_KEYS), st.sampled_from((*_VALUES, *[None] * 4))
)
_COMMANDS_OF_A_CLUSTER: SearchStrategy[Instruction] = st.builds(
    lambda commands: Cmd(tuple(commands)), st.lists(st.sampled_from(_COMMANDS), min_size=1, max_size=2)
)
