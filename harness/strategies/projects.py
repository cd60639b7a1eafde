"""Projects: a Kubefile with a context that it can be built in."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from harness.strategies.contexts import build_contexts
from harness.trees import Content
from kubeimage.kubefile import Arg, Cmd, Copy, From, Instruction, Kubefile, Run, render

# No generated context has such names, so that no destination runs through a file.
_DESTINATIONS = ("dest", "dest/deep", "dest two")
_SCRIPTS = ("true", "echo 1 > made", "mkdir -p made-dir && echo 1 > made-dir/file", "rm -f made")
_COMMANDS = ("kubectl apply -f a.yaml", "helm install x charts/x --set a=1,b=2")


@dataclass(frozen=True)
class Project:
    """A Kubefile and its context. Shape: it builds FROM scratch, without anything but the two."""

    kubefile: Kubefile
    context: dict[str, Content]

    @property
    def text(self) -> str:
        """The Kubefile's text, to be pasted into a file."""
        return render(self.kubefile)

    def __repr__(self) -> str:
        return f"Project(text={self.text!r}, context={self.context!r})"


def projects(*, max_size: int = 5, runs: bool = True) -> SearchStrategy[Project]:
    """Generate projects of at most ``max_size`` instructions behind FROM; without RUN, if ``runs`` is False.

    Raises: InvalidArgument for a negative size.
    """
    if max_size < 0:
        raise InvalidArgument(f"a Kubefile has 0 or more instructions behind FROM, found {max_size=}")
    return build_contexts(min_size=1).flatmap(lambda context: _projects(context, max_size, runs=runs))


def _projects(context: dict[str, Content], max_size: int, *, runs: bool) -> SearchStrategy[Project]:
    kinds: list[SearchStrategy[Instruction]] = [_copies(context), st.builds(Cmd, st.tuples(st.sampled_from(_COMMANDS)))]
    if runs:
        kinds.append(st.builds(Run, st.sampled_from(_SCRIPTS)))
    kinds.append(st.sampled_from("12").map(lambda value: Arg((("VERSION", value),))))
    behind = st.lists(st.one_of(kinds), max_size=max_size)
    return behind.map(lambda found: Project(Kubefile((From("scratch"), *found)), context))


def _copies(context: dict[str, Content]) -> SearchStrategy[Instruction]:
    # Two sources of one name would land in one place.
    several = st.lists(st.sampled_from(sorted(context)), min_size=1, max_size=3, unique_by=_name).map(tuple)
    return st.builds(Copy, several, st.sampled_from(_DESTINATIONS))


def _name(path: str) -> str:
    return path.rpartition("/")[2]
