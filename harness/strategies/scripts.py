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


class _Paths:
    """Paths to choose from: those of ``tree``, and some where nothing stands yet."""

    def __init__(self, tree: Mapping[str, Node]) -> None:
        known = [path for path in sorted(tree, key=lambda one: (len(one), one)) if "\n" not in path]
        folders = [path for path in known if isinstance(tree[path], Folder)]
        inside = [f"{folder}/{name}" for folder in folders[:6] for name in ("made", *NAMES[:2])]
        paths = [*_NEW, *known, *inside]
        self.anything = st.sampled_from(paths)
        # Half of what is moved, changed or removed is there.
        self.old = st.sampled_from(known) | self.anything if known else self.anything
        self.writable = st.sampled_from([path for path in paths if not isinstance(tree.get(path), Fifo)])
        self.written: list[str] = []
        """What the script has written to so far."""

    @property
    def file(self) -> SearchStrategy[str]:
        """Something to link to: two names of one file are in one layer only if it was written to there."""
        return st.sampled_from(self.written) | self.old if self.written else self.old


@st.composite
def scripts(
    draw: st.DrawFn, *, tree: Mapping[str, Node] = _NONE, variables: Sequence[str] = (), max_size: int = 3
) -> str:
    """Generate scripts of at most ``max_size`` commands that change ``tree``, or try to.

    Shape: ``variables`` are names of ARGs that may be used. No script reads or writes a pipe.
    """
    one = _command(_Paths(tree), variables)
    commands = [draw(one) for _ in range(draw(st.integers(1, max_size)))]
    joints = [draw(st.sampled_from(_JOINTS)) for _ in commands[1:]]
    return commands[0] + "".join(joint + command for joint, command in zip(joints, commands[1:], strict=True))


def quote(path: str) -> str:
    """Return a path as a word of a shell that no program takes for an option."""
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


@st.composite
def _command(draw: st.DrawFn, paths: _Paths, variables: Sequence[str]) -> str:
    kind = draw(st.sampled_from((*_KINDS, *["ln"] * 3) if paths.written else _KINDS))
    if kind == "simple":
        return draw(st.sampled_from(_SIMPLE))
    if kind == "ending":
        return draw(st.sampled_from(_ENDINGS))
    if kind in {">", ">>"}:
        text = draw(st.sampled_from((*_TEXTS, *[*variables] * 4)))
        word = f'"${text}"' if text in variables else shlex.quote(text)
        paths.written.append(draw(paths.writable))
        return f"printf '%s\\n' {word} {kind} {quote(paths.written[-1])}"
    if kind in {"mv", "ln"}:
        return f"{kind} {quote(draw(paths.file if kind == 'ln' else paths.old))} {quote(draw(paths.anything))}"
    if kind == "ln -s":
        return f"ln -s {draw(st.sampled_from(('a', '.', 'nowhere', 'made')))} {quote(draw(paths.anything))}"
    if kind == "chmod":
        return f"chmod {draw(st.sampled_from(_MODES))} {quote(draw(paths.old))}"
    return f"{kind} {quote(draw(paths.old if kind.startswith('rm') else paths.anything))}"


_KINDS = (
    ">", "mkdir -p", "rm -rf", "mv", "simple", "touch", "chmod", "ln", "ln -s", "mkdir", "rm", "rm -r", "rm -f", ">>",
    "ending",
)  # fmt: skip
