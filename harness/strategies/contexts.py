"""Build contexts as trees: path -> content, as ``kube_context`` and ``kube_build`` take them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

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
_NAMES = st.sampled_from(NAMES)
_ALL_NAMES = st.sampled_from((*NAMES, *_HOSTILE_NAMES))
_TEXTS = ("", "1", "2", "two\nlines\n")
# A tar has blocks of 512 bytes.
_OTHERS = ("x" * 512, "x" * 513, "y" * 1024, b"\0", b"\xff\xfe", b"\0\xff" * 5_200)
FILE_MODES = (0o755, 0o600, 0o640, 0o4755, 0o777)
FOLDER_MODES = (0o755, 0o700, 0o1777, 0o775)
# Of a context's files; nothing of it comes into an image.
MTIMES = (1, 1_600_000_000, 2**32)
XATTRS = ((), (("user.note", b"\0\xff"),), (("user.overlay.opaque", b"y"), ("user.a", b"1")))
# What an ordinary user may not change: a RUN as root could, one as somebody else could not.
_READ_ONLY_FILES = (0o444, 0o400)
_READ_ONLY_FOLDERS = (0o555,)
_DEEPEST = 6


_IGNORED: SearchStrategy[list[str]] = st.one_of(
    st.just([]),
    st.just([]),
    st.just([]),
    st.lists(st.sampled_from(("b", "*.yaml", "/a", "a/", "!a", "**/b", "a/**", ".a", "# a", "*", "!/*")), max_size=3),
)


class _Special(Enum):
    """What depends on the path or on what is there already."""

    LINK = auto()
    HARD_LINK = auto()
    DEEP = auto()


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
    return _contexts(min_size, max_size, read_only=read_only, hostile=hostile)


@st.composite
def _contexts(draw: st.DrawFn, min_size: int, max_size: int, *, read_only: bool, hostile: bool) -> dict[str, Content]:
    tree: dict[str, Content] = {}
    folders = [""]
    files: list[str] = []
    names = _ALL_NAMES if hostile else _NAMES
    plain = _contents(read_only=read_only)
    for number in range(draw(st.integers(min_size, max_size))):
        folder = draw(st.sampled_from(folders)) if len(folders) > 1 else ""
        # Names that stand elsewhere too: what is copied from both places meets.
        is_met = bool(folder) and draw(st.booleans())
        name = draw(st.sampled_from(sorted(map(_last, tree)))) if is_met else draw(names)
        path = _free(f"{folder}/{name}" if folder else name, tree, number)
        content = draw(plain)
        if content is _Special.LINK:
            content = Link(draw(_targets(path, hostile=hostile)))
        elif content is _Special.HARD_LINK:
            content = HardLink(draw(st.sampled_from(files))) if files else "1"
        elif content is _Special.DEEP:
            path += "/d" * _DEEPEST
            content = Folder()
        if isinstance(content, Folder):
            folders.append(path)
        elif isinstance(content, str | bytes | File):
            files.append(path)
        assert not isinstance(content, _Special)
        tree[path] = content
    if ignored := draw(_IGNORED):
        tree[".kubeignore"] = "\n".join(ignored)
    return tree


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _free(path: str, taken: dict[str, Content], number: int) -> str:
    return f"{path}{number}" if path in taken or any(one.startswith(path + "/") for one in taken) else path


def _contents(*, read_only: bool) -> SearchStrategy[Content | _Special]:
    return _READ_ONLY_CONTENTS if read_only else _CONTENTS


def _all_contents(file_modes: Sequence[int], folder_modes: Sequence[int]) -> SearchStrategy[Content | _Special]:
    texts = st.sampled_from(_TEXTS)
    return st.one_of(
        texts,
        st.builds(File, texts | st.sampled_from(_OTHERS), st.sampled_from(file_modes)),
        st.builds(File, texts, mtime=st.sampled_from(MTIMES), xattrs=st.sampled_from(XATTRS)),
        st.builds(Folder, st.sampled_from(folder_modes)),
        st.sampled_from(_Special),
        st.just(Fifo()),
    )


_CONTENTS = _all_contents(FILE_MODES, FOLDER_MODES)
_READ_ONLY_CONTENTS = _all_contents((*FILE_MODES, *_READ_ONLY_FILES), (*FOLDER_MODES, *_READ_ONLY_FOLDERS))


def _targets(path: str, *, hostile: bool) -> SearchStrategy[str]:
    """Generate what the symlink at ``path`` says: a neighbour, itself, the folder it stands in, nothing."""
    depth = path.count("/")
    # Bytes that are no text stand in names alone: pyfakefs takes no such target.
    own = _last(path).replace("\udcff", "a")
    targets = ["a", "b", "a/b", ".", own, "nowhere", "./a"]
    if depth:
        targets += ["..", "../a"]
    if hostile:
        targets += ["/nowhere", "../" * (depth + 1) + "a", "a/../../b", "nowhere/../a"]
    return st.sampled_from(targets)
