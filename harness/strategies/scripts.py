"""RUNs in words that a real ``sh``, the shell in memory and `harness.model.shell` all understand."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness.model import Node
from harness.strategies.contexts import NAMES
from harness.trees import Fifo, Folder

_NEW = ("made", "made/x", "new", "a", "two words")
_TEXTS = ("1", "2", "", "a  b", "größe", "$(x)")
_MODES = ("700", "755", "750", "711")
_SIMPLE = ("true", ":")
_ENDINGS = ("false", "exit 3")
_JOINTS = (" && ", "; ", " || ")
_NONE: Mapping[str, Node] = {}


@st.composite
def scripts(
    draw: st.DrawFn, *, tree: Mapping[str, Node] = _NONE, variables: Sequence[str] = (), max_size: int = 3
) -> str:
    """Generate scripts of at most ``max_size`` commands that change ``tree``, or try to.

    Shape: ``variables`` are names of ARGs that may be used. No script reads or writes a pipe.
    """
    known = [path for path in _paths(tree) if path in tree]
    paths = st.sampled_from(_paths(tree))
    # Half of what is moved, linked, removed is there.
    olds = paths if not known else st.sampled_from(known) | paths
    one = _command(olds, paths, st.sampled_from(_writable(tree)), variables)
    commands = [draw(one) for _ in range(draw(st.integers(1, max_size)))]
    joints = [draw(st.sampled_from(_JOINTS)) for _ in commands[1:]]
    return commands[0] + "".join(joint + command for joint, command in zip(joints, commands[1:], strict=True))


def quote(path: str) -> str:
    """Give a path as a word of a shell that no program takes for an option."""
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


def _paths(tree: Mapping[str, Node]) -> list[str]:
    known = [path for path in sorted(tree, key=lambda one: (len(one), one)) if "\n" not in path]
    folders = [path for path in known if isinstance(tree[path], Folder)]
    return [*_NEW, *known, *(f"{folder}/{name}" for folder in folders[:6] for name in ("made", *NAMES[:2]))]


def _writable(tree: Mapping[str, Node]) -> list[str]:
    return [path for path in _paths(tree) if not isinstance(tree.get(path), Fifo)]


@st.composite
def _command(
    draw: st.DrawFn,
    olds: SearchStrategy[str],
    paths: SearchStrategy[str],
    writable: SearchStrategy[str],
    variables: Sequence[str],
) -> str:
    kind = draw(st.sampled_from(_KINDS))
    if kind == "simple":
        return draw(st.sampled_from(_SIMPLE))
    if kind == "ending":
        return draw(st.sampled_from(_ENDINGS))
    if kind in {">", ">>"}:
        text = draw(st.sampled_from((*_TEXTS, *variables)))
        word = f'"${text}"' if text in variables else shlex.quote(text)
        return f"printf '%s\\n' {word} {kind} {quote(draw(writable))}"
    if kind in {"mv", "ln"}:
        return f"{kind} {quote(draw(olds))} {quote(draw(paths))}"
    if kind == "ln -s":
        return f"ln -s {draw(st.sampled_from(('a', '.', 'nowhere', 'made')))} {quote(draw(paths))}"
    if kind == "chmod":
        return f"chmod {draw(st.sampled_from(_MODES))} {quote(draw(olds))}"
    return f"{kind} {quote(draw(olds if kind.startswith('rm') else paths))}"


_KINDS = (
    ">", "mkdir -p", "rm -rf", "mv", "simple", "touch", "chmod", "ln", "ln -s", "mkdir", "rm", "rm -r", "rm -f", ">>",
    "ending",
)  # fmt: skip
