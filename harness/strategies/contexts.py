"""Build contexts as trees: path -> content, as ``kube_context`` and ``kube_build`` take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from harness.strategies.dice import Dice, Part, records
from harness.trees import Content, Fifo, File, Folder, HardLink, Link

# Names that people give, prefixes of each other, and some that tools get wrong: a leading dot, blanks, quotes, signs
# that a shell or a pattern means something by, letters beyond ASCII, one that no ustar header has room for.
NAMES = (
    "a",
    "b",
    "a.b",
    "ab",
    "app.yaml",
    ".a",
    "two words",
    "größe",
    "漢字",
    "x.tar.gz",
    "-dash",
    "it's",
    'say "x"',
    "a*",
    "[a]",
    "$A",
    "#1",
    "%2e",
    "back\\slash",
    "amd64",
    "e\N{COMBINING ACUTE ACCENT}",
    "é",
    "😀",
    "l" + "ong" * 60,
)
_HOSTILE_NAMES = (".wh.a", ".wh..wh..opq", "imageListWithAuth.yaml", "Kubefile.lock", "id_rsa", "new\nline", "\udcff")
_ALL_NAMES = (*NAMES, *_HOSTILE_NAMES)
_TEXTS = ("", "1", "2", "two\nlines\n")
# A tar has blocks of 512 bytes.
_OTHERS = ("x" * 512, "x" * 513, "y" * 1024, b"\0", b"\xff\xfe", b"\0\xff" * 5_200)
_ALL_TEXTS: tuple[str | bytes, ...] = (*_TEXTS, *_OTHERS)
FILE_MODES = (0o755, 0o600, 0o640, 0o4755, 0o777)
FOLDER_MODES = (0o755, 0o700, 0o1777, 0o775)
# Of a context's files; nothing of it comes into an image.
MTIMES = (1, 1_600_000_000, 2**32)
XATTRS = ((), (("user.note", b"\0\xff"),), (("user.overlay.opaque", b"y"), ("user.a", b"1")))
_TOUCHED = tuple(product(MTIMES, XATTRS))
# What an ordinary user may not change: a RUN as root could, one as somebody else could not.
_READ_ONLY_FILES = (0o444, 0o400)
_READ_ONLY_FOLDERS = (0o555,)
_DEEPEST = 6
_IGNORED = ("b", "*.yaml", "/a", "a/", "!a", "**/b", "a/**", ".a", "# a", "*", "!/*")
_MOST_IGNORED = 3
# Units: bytes.
_PATH = 6
_HEAD = 3 + _MOST_IGNORED


def build_contexts(
    *, min_size: int = 0, max_size: int = 6, read_only: bool = True, hostile: bool = False
) -> SearchStrategy[dict[str, Content]]:
    """Generate build contexts of ``min_size`` to ``max_size`` paths, beside folders that only others imply.

    A few have a ``.kubeignore`` more. Without ``read_only`` everything can be written to by its owner. Symlinks stay
    inside the context, or lead nowhere or in circles; with ``hostile`` they lead out of it as well, and there are names
    that no layer may have.
    Raises: InvalidArgument for sizes that fit no context.
    """
    if not 0 <= min_size <= max_size:
        raise InvalidArgument(f"a context has min_size <= max_size paths, found {min_size=} and {max_size=}")
    kind = ContextKind(min_size, max_size, read_only=read_only, hostile=hostile)
    return records(kind.read)


@dataclass(frozen=True)
class ContextKind:
    """What contexts are wanted, and how records say one; the fields are those of `build_contexts`."""

    min_size: int
    max_size: int
    read_only: bool = False
    hostile: bool = False

    def read(self, dice: Dice) -> dict[str, Content]:
        """Return the context that records say."""
        head = dice.part(_HEAD)
        count = self.min_size + head.below(self.max_size - self.min_size + 1)
        ignored = _read_ignored(head)
        writer = _Writer(self)
        for _ in range(count):
            writer.add(dice.part(_PATH))
        if ignored:
            writer.tree[".kubeignore"] = "\n".join(ignored)
        return writer.tree


def _read_ignored(dice: Part) -> list[str]:
    """Return the lines of a ``.kubeignore``: of three contexts in four none."""
    if dice.below(4) != 3:
        return []
    return [dice.pick(_IGNORED) for _ in range(dice.below(_MOST_IGNORED + 1))]


class _Writer:
    """Writes a context path by path."""

    def __init__(self, kind: ContextKind) -> None:
        self.tree: dict[str, Content] = {}
        self._kind = kind
        self._names = _ALL_NAMES if kind.hostile else NAMES
        self._file_modes = (*FILE_MODES, *_READ_ONLY_FILES) if kind.read_only else FILE_MODES
        self._folder_modes = (*FOLDER_MODES, *_READ_ONLY_FOLDERS) if kind.read_only else FOLDER_MODES
        self._folders = [""]
        self._files: list[str] = []

    def add(self, dice: Part) -> None:
        """Add the path that some bytes say; where none is needed, zeros say none."""
        if not dice.below(256) and len(self.tree) >= self._kind.min_size:
            return
        folder = dice.pick(self._folders)
        name = dice.below(2 * len(self._names) if folder else len(self._names))
        if name < len(self._names):
            path = self._names[name]
        else:
            # Names that stand elsewhere too: what is copied from both places meets.
            known = sorted(map(_last, self.tree))
            path = known[(name - len(self._names)) % len(known)]
        self._put(_free(f"{folder}/{path}" if folder else path, self.tree), dice)

    def _put(self, path: str, dice: Part) -> None:
        kind = dice.below(8)
        content: Content = "1"
        if kind == 0:
            content = dice.pick(_TEXTS)
        elif kind == 1:
            content = File(dice.pick(_ALL_TEXTS), dice.pick(self._file_modes))
        elif kind == 2:
            mtime, xattrs = dice.pick(_TOUCHED)
            content = File(dice.pick(_TEXTS), mtime=mtime, xattrs=xattrs)
        elif kind in {3, 4}:
            content = Folder(dice.pick(self._folder_modes))
        elif kind == 5:
            content = Fifo()
        elif kind == 6:
            content = Link(dice.pick(_targets(path, hostile=self._kind.hostile)))
        elif dice.below(2):
            path, content = path + "/d" * _DEEPEST, Folder()
        elif self._files:
            content = HardLink(dice.pick(self._files))
        if isinstance(content, Folder):
            self._folders.append(path)
        elif isinstance(content, str | bytes | File):
            self._files.append(path)
        self.tree[path] = content


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _free(path: str, taken: dict[str, Content]) -> str:
    return f"{path}{len(taken)}" if path in taken or any(one.startswith(path + "/") for one in taken) else path


def _targets(path: str, *, hostile: bool) -> Sequence[str]:
    """Return what the symlink at ``path`` may say: a neighbour, itself, the folder it stands in, nothing."""
    depth = path.count("/")
    # Bytes that are no text stand in names alone: pyfakefs takes no such target.
    own = _last(path).replace("\udcff", "a")
    targets = ["a", "b", "a/b", ".", own, "nowhere", "./a"]
    if depth:
        targets += ["..", "../a"]
    if hostile:
        targets += ["/nowhere", "../" * (depth + 1) + "a", "a/../../b", "nowhere/../a"]
    return targets
