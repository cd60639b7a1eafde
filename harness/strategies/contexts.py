"""Build contexts as trees: path -> content, as ``kube_context`` and ``kube_build`` take them."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from harness.trees import Content, File, Folder, Link

# Names that people give, and some that tools get wrong: a leading dot, blanks, letters beyond ASCII.
_NAMES = ("a", "b", "c", "app.yaml", "bin", "etc", ".hidden", "two words", "größe", "漢字", "x.tar.gz", "-dash")
_FILE_MODES = (0o644, 0o755, 0o600, 0o444, 0o4755)
_FOLDER_MODES = (0o755, 0o700, 0o555, 0o1777)


def build_contexts(*, min_size: int = 0, max_size: int = 6) -> SearchStrategy[dict[str, Content]]:
    """Generate build contexts of ``min_size`` to ``max_size`` paths that are no bare folders.

    Raises: InvalidArgument for sizes that fit no context.
    """
    if not 0 <= min_size <= max_size:
        raise InvalidArgument(f"a context has min_size <= max_size paths, found {min_size=} and {max_size=}")
    return _contexts(min_size, max_size)


@st.composite
def _contexts(draw: st.DrawFn, min_size: int, max_size: int) -> dict[str, Content]:
    tree: dict[str, Content] = {}
    folders = [""]
    taken = {""}
    for number in range(draw(st.integers(min_size, max_size))):
        folder = draw(st.sampled_from(folders))
        name = draw(st.sampled_from(_NAMES))
        path = _free(f"{folder}/{name}" if folder else name, taken, number)
        taken.add(path)
        content = draw(_contents())
        if isinstance(content, Folder):
            folders.append(path)
            # A folder is there for what is in it; the file makes sure that it is not empty.
            tree[path] = content
            taken.add(f"{path}/file")
            tree[f"{path}/file"] = draw(_files())
        else:
            tree[path] = content
    return tree


def _free(path: str, taken: set[str], number: int) -> str:
    return f"{path}{number}" if path in taken else path


def _contents() -> SearchStrategy[Content]:
    return st.one_of(_files(), st.builds(Folder, st.sampled_from(_FOLDER_MODES)), _links())


def _files() -> SearchStrategy[Content]:
    return st.builds(File, st.binary(max_size=20), st.sampled_from(_FILE_MODES))


def _links() -> SearchStrategy[Content]:
    # What a link says is kept as it is; where it leads matters to nobody who copies the folder around it.
    return st.builds(Link, st.sampled_from(("a", "nowhere", "b/file")))
