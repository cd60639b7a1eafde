"""Generated contexts and COPYs: memory and disk agree."""

import os
import tempfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.fakes.context import Directory, Fifo, File, Files, HardLink, Item, MemoryContext, Symlink, write_context
from kubeimage.context import ContextCollector
from kubeimage.errors import ContextError
from kubeimage.layer.entry import canonical_order
from kubeimage.lock.lockfile import FIRST_LINE
from kubeimage.protocols.context import CopyRequest, SourceCollector

NAMES = st.sampled_from(
    [
        "a",
        "b",
        "a.b",
        "ab",
        "a b",
        ".a",
        "é",
        "*",
        "[a]",
        "a\\",
        "id_rsa",
        "imageListWithAuth.yaml",
        "Kubefile.lock",
        "o.lock",
    ]
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TARGETS = st.one_of(PATHS, PATHS.map("../{}".format), st.just("/a"), st.just(".."), st.just("."), st.just("../.."))
ITEMS = st.one_of(
    st.binary(max_size=4),
    st.just(f"{FIRST_LINE}\n".encode()),
    st.builds(File, st.binary(max_size=4), st.sampled_from([0o644, 0o755, 0o4711, 0o600]), st.integers(0, 9)),
    st.builds(Directory, st.sampled_from([0o755, 0o700, 0o1777])),
    st.builds(Symlink, TARGETS),
    st.builds(Fifo, st.sampled_from([0o644, 0o600])),
)
PATTERNS = st.sampled_from([".", "*", "a", "?", "*b", "[!a]*", "a*", "\\*", "..", "a/.", "*/.", "*/*", "b/*", "/a/"])
SOURCES = st.one_of(PATHS, PATTERNS, st.tuples(PATTERNS, PATHS).map("/".join), st.tuples(PATHS, PATTERNS).map("/".join))
IGNORE_LINES = st.sampled_from(["a", "*.b", "/b", "a/", "!a", "**/b", "a/**", "!*b", ".a", "*", "!/*"])


@st.composite
def contexts(draw: st.DrawFn) -> Files:
    """Trees that a directory can hold, sometimes with hard links and ignore rules."""
    files: dict[str, bytes | str | Item] = {}
    for path, item in draw(st.dictionaries(PATHS, ITEMS, max_size=8)).items():
        inner = any(path.startswith(f"{other}/") and not isinstance(files[other], Directory) for other in files)
        outer = any(other.startswith(f"{path}/") for other in files) and not isinstance(item, Directory)
        if not inner and not outer:
            files[path] = item
    regular = [path for path, item in files.items() if isinstance(item, bytes | File)]
    if draw(st.booleans()) and regular:
        files["linked"] = HardLink(draw(st.sampled_from(regular)))
    rules = draw(st.lists(IGNORE_LINES, max_size=3))
    if rules:
        files[".kubeignore"] = "\n".join(rules)
    return files


REQUESTS = st.builds(
    CopyRequest,
    st.lists(SOURCES, min_size=1, max_size=3).map(tuple),
    st.one_of(st.just("."), PATHS, st.just("../x"), st.just("x/../a")),
    exact=st.booleans(),
    chmod=st.sampled_from([None, 0o600]),
    mtime=st.just(0),
)


def outcome(context: SourceCollector, request: CopyRequest) -> object:
    """The entries without what only a disk knows, or the error."""
    try:
        collected = context.collect(request)
    except ContextError as error:
        return type(error), error.message, error.hint
    entries = [e._replace(source=None, identity=None) for e in context.with_digests(collected.entries)]
    return entries, collected.directories, collected.warnings


@given(files=contexts(), request=REQUESTS)
@example(files={"a": Symlink(".")}, request=CopyRequest(("a/a/.",), "x"))
@example(files={"a/b": "", "b": Symlink("a/gone/../b")}, request=CopyRequest(("b",), "x"))
def test_memory_and_disk_agree(files: Files, request: CopyRequest) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # One step down, so that nothing of the machine stands beside the context.
        root = os.path.join(folder, "context")
        os.mkdir(root)
        write_context(files, root)

        assert outcome(ContextCollector(root), request) == outcome(MemoryContext(files, label=root), request)


@given(files=contexts(), request=REQUESTS)
def test_entries_are_in_canonical_order_and_no_path_comes_twice(files: Files, request: CopyRequest) -> None:
    try:
        collected = MemoryContext(files).collect(request)
    except ContextError:
        return
    paths = [entry.path for entry in collected.entries]

    assert list(collected.entries) == canonical_order(collected.entries)
    assert len(set(paths)) == len(paths)
    assert not set(collected.directories) & set(paths)
    assert all(parent_of(path) in {"", *paths, *collected.directories} for path in paths)


def parent_of(path: str) -> str:
    return path.rpartition("/")[0]


@given(files=contexts(), request=REQUESTS)
def test_copying_the_context_changes_nothing_but_times(files: Files, request: CopyRequest) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first, second = (os.path.join(folder, name, "context") for name in ("one", "other"))
        _write_with_times(files, first, 1_000)
        _write_with_times(dict(reversed(list(files.items()))), second, 2_000)

        assert _anywhere(outcome(ContextCollector(first), request), first) == _anywhere(
            outcome(ContextCollector(second), request), second
        )


def _write_with_times(files: Files, root: str, seconds: int) -> None:
    os.makedirs(root)
    write_context(files, root)
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            os.utime(os.path.join(folder, name), (seconds, seconds), follow_symlinks=False)


def _anywhere(result: object, root: str) -> object:
    return repr(result).replace(root, "")


@pytest.mark.parametrize(
    "files",
    [
        {"a": "", "a/b": ""},
        {"../a": ""},
        {"a//b": ""},
        {"/a": ""},
        {"": ""},
        {"a": HardLink("gone")},
        {"a": HardLink("a")},
    ],
    ids=str,
)
def test_a_dict_that_no_directory_can_hold_is_refused(files: Files) -> None:
    with pytest.raises(ValueError, match=r"path in a context|no directory|hard link"):
        MemoryContext(files)
