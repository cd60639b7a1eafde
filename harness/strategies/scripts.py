"""RUNs in words that a real ``sh``, the shell in memory and `harness.model.shell` all understand."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from hypothesis.strategies import SearchStrategy

from harness.model import Node
from harness.strategies.contexts import NAMES
from harness.strategies.dice import Part, records
from harness.trees import Fifo, Folder

_NEW = ("made", "made/x", "new", "a", "two words")
_TEXTS = ("1", "2", "", "a  b", "größe", "$(x)")
_MODES = ("700", "755", "750", "711")
_SIMPLE = ("true", ":")
_ENDINGS = ("false", "exit 3")
_JOINTS = (" && ", "; ", " || ")
_NONE: Mapping[str, Node] = {}


# Units: bytes.
_COMMAND = 7
MOST_COMMANDS = 3
SCRIPT = 1 + _COMMAND * MOST_COMMANDS


def scripts(
    *, tree: Mapping[str, Node] = _NONE, variables: Sequence[str] = (), max_size: int = MOST_COMMANDS
) -> SearchStrategy[str]:
    """Generate scripts of at most ``max_size`` commands that change ``tree``, or try to.

    Shape: ``variables`` are names of ARGs that may be used. No script reads or writes a pipe.
    """
    return records(lambda dice: read_script(dice.part(SCRIPT), tree, variables, max_size))


def read_script(
    dice: Part, tree: Mapping[str, Node], variables: Sequence[str], most_commands: int = MOST_COMMANDS
) -> str:
    """Return the script that `SCRIPT` bytes say."""
    paths = _Paths(tree)
    text = ""
    for _ in range(1 + dice.below(most_commands)):
        joint = dice.pick(_JOINTS)
        text += f"{joint if text else ''}{_command(dice, paths, variables)}"
    return text


def quote(path: str) -> str:
    """Return a path as a word of a shell that no program takes for an option."""
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


class _Paths:
    """Paths to choose from: those of ``tree``, and some where nothing stands yet."""

    def __init__(self, tree: Mapping[str, Node]) -> None:
        self._tree = tree
        self._known = [path for path in sorted(tree, key=lambda one: (len(one), one)) if "\n" not in path]
        folders = [path for path in self._known if isinstance(tree[path], Folder)]
        inside = [f"{folder}/{name}" for folder in folders[:6] for name in ("made", *NAMES[:2])]
        self._paths = [*_NEW, *self._known, *inside]
        self.written: list[str] = []
        """What the script has written to so far."""

    def anything(self, dice: Part) -> str:
        return dice.pick(self._paths)

    def old(self, dice: Part) -> str:
        """Half of what is moved, changed or removed is there."""
        return dice.pick(self._known) if self._known and not dice.below(2) else self.anything(dice)

    def writable(self, dice: Part) -> str:
        return dice.pick([path for path in self._paths if not isinstance(self._tree.get(path), Fifo)])

    def file(self, dice: Part) -> str:
        """Something to link to: two names of one file are in one layer only if it was written to there."""
        return dice.pick(self.written) if self.written and not dice.below(2) else self.old(dice)


def _command(dice: Part, paths: _Paths, variables: Sequence[str]) -> str:
    kind = dice.pick((*_KINDS, *["ln"] * 3) if paths.written else _KINDS)
    if kind == "simple":
        return dice.pick(_SIMPLE)
    if kind == "ending":
        return dice.pick(_ENDINGS)
    if kind in {">", ">>"}:
        text = dice.pick((*_TEXTS, *[*variables] * 4))
        word = f'"${text}"' if text in variables else shlex.quote(text)
        paths.written.append(paths.writable(dice))
        return f"printf '%s\\n' {word} {kind} {quote(paths.written[-1])}"
    if kind in {"mv", "ln"}:
        old = paths.file(dice) if kind == "ln" else paths.old(dice)
        return f"{kind} {quote(old)} {quote(paths.anything(dice))}"
    if kind == "ln -s":
        return f"ln -s {dice.pick(_LINKED)} {quote(paths.anything(dice))}"
    if kind == "chmod":
        return f"chmod {dice.pick(_MODES)} {quote(paths.old(dice))}"
    return f"{kind} {quote(paths.old(dice) if kind.startswith('rm') else paths.anything(dice))}"


_LINKED = ("a", ".", "nowhere", "made")
_KINDS = (
    ">", "mkdir -p", "rm -rf", "mv", "simple", "touch", "chmod", "ln", "ln -s", "mkdir", "rm", "rm -r", "rm -f", ">>",
    "ending",
)  # fmt: skip
