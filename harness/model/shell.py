"""RUN: the few commands that generated projects use, as POSIX has them.

    SCRIPT   = COMMAND {("&&" | "||" | ";") COMMAND}
    COMMAND  = WORD... [(">" | ">>") WORD]      with '…', "…" and "$KEY" in words

``printf mkdir rm mv ln chmod touch true : false exit``.

Source: POSIX.1-2017, "Shell Command Language" and "Utilities"; what real programs of GNU do is checked by a test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from harness.model.tree import Node, Tree, join, name_of, parent
from harness.trees import Fifo, File, Folder, Link

_TOKEN = re.compile(r"\s*(&&|\|\||;|>>|>|(?:'[^']*'|\"[^\"`]*\"|[^\s'\";&|>`])+)")
_PIECE = re.compile(r"'([^']*)'|\"([^\"]*)\"|([^'\"]+)")
_VARIABLE = re.compile(r"\$(\w+)")
_MOST_LINKS = 40


class Unknown(Exception):  # noqa: N818 - the script is at fault, or this module
    """A script has something that this shell does not know, or would wait for ever."""


class _Refused(Exception):  # noqa: N818 - of the commands, not of the model
    """A command fails."""


class _Exit(Exception):  # noqa: N818 - no error
    """The script ends itself."""


class Shell:
    """One script at work on a tree.

    Shape: ``files`` says which file each path is: hard links are paths with the same number.
    """

    def __init__(self, tree: Mapping[str, Node], variables: Mapping[str, str]) -> None:
        self._nodes = dict(enumerate(tree.values()))
        self.files = dict(zip(tree, self._nodes, strict=True))
        self._variables = variables
        self._next = len(self._nodes)

    @property
    def tree(self) -> Tree:
        """What it has come to."""
        return {path: self._nodes[number] for path, number in self.files.items()}

    def run(self, script: str) -> int:
        """Do what a script says, and give its exit status.

        Raises: Unknown.
        """
        status, skip, words = 0, "", list[str]()
        for token in [*_tokens(script), ";"]:
            if token not in {"&&", "||", ";"}:
                words.append(token)
                continue
            if words and not (skip == "&&" and status) and not (skip == "||" and not status):
                try:
                    status = self._command(words)
                except _Exit as ending:
                    return int(ending.args[0])
            skip, words = token, []
        return status

    def _command(self, words: list[str]) -> int:
        output = b""
        try:
            sink: Callable[[bytes], None] = lambda _data: None  # noqa: E731
            if len(words) > 2 and words[-2] in {">", ">>"}:
                sink = self._open(self._word(words[-1]), append=words[-2] == ">>")
                words = words[:-2]
            name, *arguments = [self._word(word) for word in words]
            output = self._call(name, arguments)
            sink(output)
        except _Refused:
            return 1
        return int(name == "false")

    def _call(self, name: str, arguments: list[str]) -> bytes:
        options = ""
        while arguments and re.fullmatch("-[a-z]+", arguments[0]) and name not in {"printf", "chmod"}:
            options += arguments.pop(0)[1:]
        if name in {"true", ":", "false"}:
            return b""
        if name == "exit":
            raise _Exit(arguments[0])
        if name == "printf" and arguments[0] in {"%s", "%s\\n"}:
            return (arguments[1] + ("\n" if len(arguments[0]) > 2 else "")).encode()
        command = _COMMANDS.get((name, options))
        if command is None:
            raise Unknown(f"{name} {options}")
        command(self, arguments)
        return b""

    def _word(self, word: str) -> str:
        def fill(text: str) -> str:
            return _VARIABLE.sub(lambda use: self._variables.get(use[1], ""), text)

        return "".join(one[1] if one[1] is not None else fill(one[2] or one[3] or "") for one in _PIECE.finditer(word))

    # Files

    def _find(self, path: str, *, follow: bool = True) -> str:
        """Return the place of a path: links on the way followed, and at its end as well with ``follow``."""
        todo, way, links = path.split("/"), list[str](), 0
        while todo:
            part = todo.pop(0)
            if part in {"", "."}:
                continue
            if part == "..":
                if not way:
                    raise Unknown("what stands beside the root")
                way.pop()
                continue
            here = "/".join([*way, part])
            node = self._get(here)
            if isinstance(node, Link) and (follow or any(todo)):
                links += 1
                if links > _MOST_LINKS or node.target.startswith("/"):
                    raise _Refused
                todo = node.target.split("/") + todo
                continue
            if any(todo) and not isinstance(node, Folder):
                raise _Refused
            way.append(part)
        return "/".join(way)

    def _get(self, place: str) -> Node | None:
        return self._nodes[self.files[place]] if place in self.files else None

    def _existing(self, path: str, *, follow: bool = True) -> tuple[str, Node]:
        place = self._find(path, follow=follow)
        node = Folder() if not place else self._get(place)
        if node is None:
            raise _Refused
        return place, node

    def _add(self, place: str, node: Node) -> int:
        if not place or place in self.files:
            raise _Refused
        if not self._is_place(parent(place)):
            raise _Refused
        self._next += 1
        self._nodes[self._next] = node
        self.files[place] = self._next
        return self._next

    def _is_place(self, folder: str) -> bool:
        return not folder or isinstance(self._get(folder), Folder)

    def _below(self, place: str) -> list[str]:
        return [one for one in self.files if one.startswith(place + "/")]

    def _is_folder(self, path: str) -> bool:
        try:
            return isinstance(self._existing(path)[1], Folder)
        except _Refused:
            return False

    def _open(self, path: str, *, append: bool) -> Callable[[bytes], None]:
        place = self._find(path)
        node = self._get(place) if place else Folder()
        if isinstance(node, Folder):
            raise _Refused
        if isinstance(node, Fifo):
            raise Unknown("a pipe that nobody reads")
        number = self._add(place, File(b"")) if node is None else self.files[place]
        there = self._nodes[number]
        assert isinstance(there, File)
        before = there.data if append else b""
        self._nodes[number] = File(before, there.mode if append else _mode_once_written(there.mode))

        def write(data: bytes) -> None:
            file = self._nodes[number]
            assert isinstance(file, File)
            self._nodes[number] = File(before + data, _mode_once_written(file.mode) if data else file.mode)

        return write

    # Commands

    def mkdir(self, paths: list[str]) -> None:
        self._add(self._find(paths[0], follow=False), Folder())

    def mkdir_parents(self, paths: list[str]) -> None:
        parts = paths[0].split("/")
        for count in range(1, len(parts) + 1):
            path = "/".join(parts[:count])
            if not self._is_folder(path):
                self._add(self._find(path, follow=False), Folder())

    def rm(self, paths: list[str], *, recursive: bool = False, force: bool = False) -> None:
        try:
            place, node = self._existing(paths[0], follow=False)
        except _Refused:
            if force:
                return
            raise
        if isinstance(node, Folder) and not recursive:
            raise _Refused
        for one in [place, *self._below(place)]:
            del self.files[one]

    def mv(self, paths: list[str]) -> None:
        source, node = self._existing(paths[0], follow=False)
        target = self._into(paths[1], name_of(paths[0]))
        there = self._get(target)
        if target == source or target.startswith(source + "/"):
            raise _Refused
        if not self._is_place(parent(target)):
            raise _Refused
        if there is not None and isinstance(there, Folder) is not isinstance(node, Folder):
            raise _Refused
        if self._below(target):
            raise _Refused
        self.files.pop(target, None)
        for one in [source, *self._below(source)]:
            self.files[target + one[len(source) :]] = self.files.pop(one)

    def ln(self, paths: list[str]) -> None:
        place, node = self._existing(paths[0], follow=False)
        target = self._into(paths[1], name_of(paths[0]))
        if isinstance(node, Folder):
            raise _Refused
        number = self.files[place]
        self._add(target, node)
        self.files[target] = number

    def ln_symbolic(self, paths: list[str]) -> None:
        target = self._into(paths[1], name_of(paths[0]))
        if name_of(target) == ".":
            raise _Refused
        self._add(target, Link(paths[0]))

    def chmod(self, arguments: list[str]) -> None:
        place, node = self._existing(arguments[1])
        mode = int(arguments[0], 8)
        if not place:
            return
        if isinstance(node, Folder):
            self._nodes[self.files[place]] = Folder(mode | node.mode & 0o6000)
        elif isinstance(node, File):
            self._nodes[self.files[place]] = File(node.data, mode)
        else:
            self._nodes[self.files[place]] = Fifo(mode)

    def touch(self, paths: list[str]) -> None:
        place = self._find(paths[0])
        if place and self._get(place) is None:
            self._add(place, File(b""))

    def _into(self, path: str, name: str) -> str:
        """Return the place of a path, or of ``name`` in it where it is a folder."""
        return join(self._find(path), name) if self._is_folder(path) else self._find(path, follow=False)


def _mode_once_written(mode: int) -> int:
    """Return the mode of a file after a write: the kernel takes off the bits that lend rights of owner or group."""
    return mode & ~(0o6000 if mode & 0o010 else 0o4000)


_COMMANDS: dict[tuple[str, str], Callable[[Shell, list[str]], None]] = {
    ("mkdir", ""): Shell.mkdir,
    ("mkdir", "p"): Shell.mkdir_parents,
    ("rm", ""): Shell.rm,
    ("rm", "f"): lambda shell, paths: shell.rm(paths, force=True),
    ("rm", "r"): lambda shell, paths: shell.rm(paths, recursive=True),
    ("rm", "rf"): lambda shell, paths: shell.rm(paths, recursive=True, force=True),
    ("mv", ""): Shell.mv,
    ("ln", ""): Shell.ln,
    ("ln", "s"): Shell.ln_symbolic,
    ("chmod", ""): Shell.chmod,
    ("touch", ""): Shell.touch,
}


def _tokens(script: str) -> list[str]:
    tokens, position = [], 0
    while script[position:].strip():
        found = _TOKEN.match(script, position)
        if found is None:
            raise Unknown(script[position:])
        tokens.append(found[1])
        position = found.end()
    return tokens
