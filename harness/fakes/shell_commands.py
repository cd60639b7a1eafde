"""The programs that the shell in memory knows, each as its user knows it from a real system.

A program gets the shell and its arguments, prints by ``shell.say``, and gives its exit status. The shell reports an
OSError of the tree as ``PROGRAM: PATH: REASON``, with status 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from errno import EEXIST
from typing import Protocol

from harness.fakes.memory_tree import MemoryTree
from harness.fakes.shell_words import UnknownShellError
from kubeimage.layer.entry import Kind

_SUBSTITUTION = re.compile(r"s(.)((?:\\.|(?!\1).)*)\1((?:\\.|(?!\1).)*)\1([g]*)")
_SYMBOLIC = re.compile(r"([ugoa]*)([-+=])([rwxXst]*)")
_OCTAL = re.compile(r"[0-7]{1,4}")
_ESCAPE = re.compile(rb"\\(?:([abfnrtv\\\"'])|0?([0-7]{1,3}))")
_ESCAPES = dict(zip(b"abfnrtv\\\"'", b"\a\b\f\n\r\t\v\\\"'", strict=True))
_UMASK = 0o022
_CLASSES = {"u": 0o700, "g": 0o070, "o": 0o007}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}


class Shell(Protocol):
    """What a program sees of the shell."""

    tree: MemoryTree

    def path(self, path: str) -> str:
        """Return a path from the working directory as one from the root."""
        ...

    def say(self, text: str | bytes) -> None:
        """Print to the standard output."""
        ...


Program = Callable[[Shell, list[str]], int]


def split_options(arguments: Iterable[str], known: str, program: str) -> tuple[set[str], list[str]]:
    """Part one-letter options from the other arguments.

    Raises: UnknownShellError for an option that is not ``known``.
    """
    options: set[str] = set()
    rest: list[str] = []
    ended = False
    for argument in arguments:
        if ended or not argument.startswith("-") or argument == "-":
            rest.append(argument)
        elif argument == "--":
            ended = True
        else:
            options |= set(argument[1:])
    unknown = options - set(known)
    if unknown:
        raise UnknownShellError(f"{program} -{''.join(sorted(unknown))}")
    return options, rest


def echo(shell: Shell, arguments: list[str]) -> int:
    """Print the arguments."""
    newline = "\n"
    if arguments[:1] == ["-n"]:
        arguments, newline = arguments[1:], ""
    shell.say(" ".join(arguments) + newline)
    return 0


def printf(shell: Shell, arguments: list[str]) -> int:
    """Print the arguments by a format, over and over until none is left."""
    layout, *values = arguments
    first = True
    while first or values:
        before = len(values)
        shell.say(_format(layout, values))
        first = False
        if len(values) == before:
            break
    return 0


def _format(layout: str, values: list[str]) -> bytes:
    """Fill in one round of a format, taking what it uses from ``values``."""
    unknown = re.search(r"%(?![sd%])..?", layout.replace("%%", ""))
    if unknown:
        raise UnknownShellError(f"printf {unknown[0]!r}")
    return b"".join(_fill(piece, values) for piece in re.split(r"(%[sd%])", layout))


def _fill(piece: str, values: list[str]) -> bytes:
    if piece == "%s":
        return (values.pop(0) if values else "").encode()
    if piece == "%d":
        return b"%d" % int(values.pop(0) if values else 0)
    return b"%" if piece == "%%" else _unescape(piece)


def _unescape(text: str) -> bytes:
    def meant(match: re.Match[bytes]) -> bytes:
        return bytes([_ESCAPES[match[1][0]]]) if match[1] else bytes([int(match[2], 8) & 0xFF])

    return _ESCAPE.sub(meant, text.encode())


def cat(shell: Shell, arguments: list[str]) -> int:
    """Print files."""
    for path in arguments:
        shell.say(shell.tree.read(shell.path(path)))
    return 0


def mkdir(shell: Shell, arguments: list[str]) -> int:
    """Make directories."""
    mode = None
    if "-m" in arguments:
        at = arguments.index("-m")
        mode = int(arguments[at + 1], 8)
        arguments = arguments[:at] + arguments[at + 2 :]
    options, paths = split_options(arguments, "p", "mkdir")
    for path in paths:
        made = not shell.tree.exists(shell.path(path))
        shell.tree.mkdir(shell.path(path), parents="p" in options)
        if mode is not None and made:
            shell.tree.chmod(shell.path(path), mode)
    return 0


def mkfifo(shell: Shell, arguments: list[str]) -> int:
    """Make named pipes."""
    for path in arguments:
        shell.tree.mkfifo(shell.path(path))
    return 0


def rm(shell: Shell, arguments: list[str]) -> int:
    """Remove files, and directories with -r."""
    options, paths = split_options(arguments, "rRf", "rm")
    for path in paths:
        place = shell.path(path)
        if "f" in options and not shell.tree.exists(place, follow=False):
            continue
        recursive = bool(options & {"r", "R"})
        if shell.tree.node(place, follow=False).kind is Kind.DIRECTORY and not recursive:
            raise IsADirectoryError(21, "Is a directory", path)
        shell.tree.remove(place, recursive=recursive)
    return 0


def rmdir(shell: Shell, arguments: list[str]) -> int:
    """Remove empty directories."""
    for path in arguments:
        if shell.tree.node(shell.path(path), follow=False).kind is not Kind.DIRECTORY:
            raise NotADirectoryError(20, "Not a directory", path)
        shell.tree.remove(shell.path(path))
    return 0


def mv(shell: Shell, arguments: list[str]) -> int:
    """Move files and directories, into the last argument if that is a directory."""
    _, paths = split_options(arguments, "fT", "mv")
    for source, target in _pairs(shell, paths):
        if shell.tree.place(source) == shell.tree.place(target):
            raise FileExistsError(EEXIST, "is the same file", target)
        shell.tree.rename(source, target)
    return 0


def cp(shell: Shell, arguments: list[str]) -> int:
    """Copy files, and directories with -r, -R or -a."""
    options, paths = split_options(arguments, "rRapf", "cp")
    recursive, exact = bool(options & {"r", "R", "a"}), bool(options & {"a", "p"})
    for source, target in _pairs(shell, paths):
        if not recursive and shell.tree.node(source).kind is Kind.DIRECTORY:
            raise IsADirectoryError(21, "Is a directory (-r was not given)", source)
        _copy(shell.tree, source, target, recursive=recursive, exact=exact)
    return 0


def _copy(tree: MemoryTree, source: str, target: str, *, recursive: bool, exact: bool) -> None:
    node = tree.node(source, follow=not recursive)
    mode = node.mode if exact else node.mode & 0o777 & ~_UMASK
    if node.kind is Kind.SYMLINK:
        tree.symlink(node.target, target)
    elif node.kind is Kind.DIRECTORY:
        if not tree.exists(target):
            tree.mkdir(target, mode)
        for name in tree.children(source):
            _copy(tree, f"{source}/{name}", f"{target}/{name}", recursive=True, exact=exact)
    else:
        tree.write(target, node.content, mode if exact or not tree.exists(target) else None)
        if exact:
            tree.node(target).xattrs.update(node.xattrs)


def ln(shell: Shell, arguments: list[str]) -> int:
    """Make links, hard ones or with -s symlinks."""
    options, paths = split_options(arguments, "sfn", "ln")
    sources, directory = (paths[:-1], paths[-1]) if len(paths) > 1 else (paths, ".")
    for source in sources:
        target = shell.path(directory)
        if shell.tree.exists(target, follow="n" not in options) and _is_directory(shell.tree, target):
            target = f"{target}/{source.rstrip('/').rpartition('/')[2]}"
        if "f" in options and shell.tree.exists(target, follow=False):
            shell.tree.remove(target)
        if "s" in options:
            shell.tree.symlink(source, target)
        else:
            shell.tree.link(shell.path(source), target)
    return 0


def chmod(shell: Shell, arguments: list[str]) -> int:
    """Set permission bits, by an octal number or by letters."""
    recursive = arguments[:1] == ["-R"]
    mode, *paths = arguments[recursive:]
    todo = [shell.path(path) for path in paths]
    while todo:
        path = todo.pop()
        node = shell.tree.node(path)
        shell.tree.chmod(path, _new_mode(mode, node.mode, directory=node.kind is Kind.DIRECTORY))
        if recursive and node.kind is Kind.DIRECTORY:
            below = [f"{path}/{name}" for name in shell.tree.children(path)]
            todo += [one for one in below if shell.tree.node(one, follow=False).kind is not Kind.SYMLINK]
    return 0


def _new_mode(text: str, mode: int, *, directory: bool) -> int:
    if _OCTAL.fullmatch(text):
        # A directory keeps the bits that only letters or five digits take away.
        return int(text, 8) | (mode & 0o6000 if directory and len(text) < 4 else 0)
    for clause in text.split(","):
        match = _SYMBOLIC.fullmatch(clause)
        if match is None:
            raise UnknownShellError(f"chmod {text}")
        mode = _apply_clause(match[1], match[2], match[3], mode, directory=directory)
    return mode


def _apply_clause(who: str, how: str, what: str, mode: int, *, directory: bool) -> int:
    """Return ``mode`` after one clause of ``chmod``: ``u+x`` is ``who`` "u", ``how`` "+", ``what`` "x"."""
    classes = "ugo" if who == "" or "a" in who else who
    among = sum(_CLASSES[one] for one in set(classes))
    # X is for what somebody may run or enter already.
    letters = what if directory or mode & 0o111 else what.replace("X", "")
    bits = 0
    for letter in letters:
        bits |= _bits_of(letter, classes, among)
    if who == "":
        bits &= ~_UMASK
    match how:
        case "+":
            return mode | bits
        case "-":
            return mode & ~bits
        case _:
            return mode & ~among | bits


def _bits_of(letter: str, classes: str, among: int) -> int:
    """Return the bits that a letter of ``rwxXst`` stands for, where it is said of ``classes``."""
    if letter == "t":
        return 0o1000
    if letter == "s":
        return (0o4000 if "u" in classes else 0) | (0o2000 if "g" in classes else 0)
    return _BITS[letter.lower()] & among


def touch(shell: Shell, arguments: list[str]) -> int:
    """Make empty files where there are none."""
    for path in arguments:
        shell.tree.touch(shell.path(path))
    return 0


def sed(shell: Shell, arguments: list[str]) -> int:
    """Substitute in files, in place: ``sed -i 's/a/b/g' FILE…`` with a basic regular expression."""
    if arguments[:1] != ["-i"] or len(arguments) < 3 or arguments[1].startswith("-"):
        raise UnknownShellError("sed in another form than: sed -i 's/a/b/' FILE")
    match = _SUBSTITUTION.fullmatch(arguments[1])
    if match is None:
        raise UnknownShellError(f"sed {arguments[1]!r}")
    pattern = re.compile(_basic_regex(match[2], match[1]))
    replacement = _replacement(match[3], match[1])
    for path in arguments[2:]:
        lines = shell.tree.read(shell.path(path)).decode().split("\n")
        count = 0 if match[4] else 1
        changed = "\n".join(pattern.sub(replacement, line, count=count) for line in lines)
        node = shell.tree.node(shell.path(path))
        # sed writes a new file over the old name.
        place = shell.tree.resolve(shell.path(path))
        shell.tree.remove(place)
        shell.tree.write(place, changed, node.mode)
    return 0


def _basic_regex(text: str, delimiter: str) -> str:
    r"""Return a POSIX basic regular expression as one of Python's: there ``\(`` groups and ``(`` is itself."""
    swapped = {"\\(": "(", "\\)": ")", "\\{": "{", "\\}": "}", "\\+": "+", "\\?": "?", "\\|": "|"}
    pieces = re.findall(r"\\.|\[\^?\]?[^\]]*\]|.", text)
    return "".join(
        re.escape(delimiter)
        if piece == "\\" + delimiter
        else swapped.get(piece, "\\" + piece if piece in "(){}+?|" else piece)
        for piece in pieces
    )


def _replacement(text: str, delimiter: str) -> Callable[[re.Match[str]], str]:
    pieces = re.findall(r"\\.|.", text)

    def fill(match: re.Match[str]) -> str:
        found = []
        for piece in pieces:
            if piece == "&":
                found.append(match[0])
            elif piece[0] == "\\" and piece[1:].isdigit():
                found.append(match[int(piece[1:])] or "")
            else:
                found.append(piece[1:] if piece in ("\\" + delimiter, "\\&", "\\\\") else piece)
        return "".join(found)

    return fill


def test(shell: Shell, arguments: list[str]) -> int:
    """Test a file or compare texts."""
    if arguments[:1] == ["!"]:
        return 1 - test(shell, arguments[1:])
    if len(arguments) == 3 and arguments[1] in ("=", "!="):
        return int((arguments[0] == arguments[2]) != (arguments[1] == "="))
    if len(arguments) != 2 or arguments[0] not in _TESTS:
        raise UnknownShellError(f"test {' '.join(arguments)}")
    return int(not _TESTS[arguments[0]](shell, arguments[1]))


def bracket(shell: Shell, arguments: list[str]) -> int:
    """Test, in brackets."""
    if arguments[-1:] != ["]"]:
        raise UnknownShellError("[ without ]")
    return test(shell, arguments[:-1])


def setfattr(shell: Shell, arguments: list[str]) -> int:
    """Set an extended attribute: ``setfattr -n NAME -v VALUE FILE``."""
    if len(arguments) != 5 or (arguments[0], arguments[2]) != ("-n", "-v"):
        raise UnknownShellError("setfattr in another form than: setfattr -n NAME -v VALUE FILE")
    shell.tree.set_xattr(shell.path(arguments[4]), arguments[1], arguments[3].encode())
    return 0


def _pairs(shell: Shell, paths: list[str]) -> list[tuple[str, str]]:
    *sources, last = [shell.path(path) for path in paths]
    if not _is_directory(shell.tree, last):
        if len(sources) != 1:
            raise NotADirectoryError(20, "Not a directory", paths[-1])
        return [(sources[0], last)]
    return [(source, f"{last}/{source.rstrip('/').rpartition('/')[2]}") for source in sources]


def _is_directory(tree: MemoryTree, path: str) -> bool:
    return tree.exists(path) and tree.node(path).kind is Kind.DIRECTORY


def _is_kind(kind: Kind, *, follow: bool = True) -> Callable[[Shell, str], bool]:
    def check(shell: Shell, path: str) -> bool:
        place = shell.path(path)
        return shell.tree.exists(place, follow=follow) and shell.tree.node(place, follow=follow).kind is kind

    return check


_TESTS: dict[str, Callable[[Shell, str], bool]] = {
    "-e": lambda shell, path: shell.tree.exists(shell.path(path)),
    "-f": _is_kind(Kind.FILE),
    "-d": _is_kind(Kind.DIRECTORY),
    "-p": _is_kind(Kind.FIFO),
    "-L": _is_kind(Kind.SYMLINK, follow=False),
    "-h": _is_kind(Kind.SYMLINK, follow=False),
    "-s": lambda shell, path: shell.tree.exists(shell.path(path)) and bool(shell.tree.node(shell.path(path)).content),
    "-x": lambda shell, path: (
        shell.tree.exists(shell.path(path)) and bool(shell.tree.node(shell.path(path)).mode & 0o111)
    ),
    "-n": lambda _shell, text: bool(text),
    "-z": lambda _shell, text: not text,
}

PROGRAMS: dict[str, Program] = {
    ":": lambda _shell, _arguments: 0,
    "[": bracket,
    "cat": cat,
    "chmod": chmod,
    "cp": cp,
    "echo": echo,
    "false": lambda _shell, _arguments: 1,
    "ln": ln,
    "mkdir": mkdir,
    "mkfifo": mkfifo,
    "mv": mv,
    "printf": printf,
    "rm": rm,
    "rmdir": rmdir,
    "sed": sed,
    "setfattr": setfattr,
    "sleep": lambda _shell, _arguments: 0,
    "test": test,
    "touch": touch,
    "true": lambda _shell, _arguments: 0,
}
"""Every program, by name."""
