"""Docker's placement of COPY: where things land, what is left out, and that memory and disk agree."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.fakes.context import Directory, File, Item, MemoryContext, Symlink, write_context
from kubeimage.context.collector import ContextCollector
from kubeimage.context.dockercopy import clamp
from kubeimage.errors import KubeimageError, SourceNotFoundError
from kubeimage.layer.entry import Entry
from kubeimage.protocols.context import CopyRequest

FILES: dict[str, Item] = {
    "a.yaml": File(b"a"),
    "run.sh": File(b"r", 0o6755),
    "d/x": File(b"x", 0o600),
    "d/lnk": Symlink("x"),
    "d/sub/y": File(b"y"),
    "broken": Symlink("nowhere"),
    "empty": Directory(),
    "notes/a.md": File(b"m"),
    "notes/keep.md": File(b"k"),
}


def copied(*sources: str, to: str = "x", files: dict[str, Item] | None = None, **options: object) -> dict[str, str]:
    """Return what lands where, and in which mode."""
    request = CopyRequest(sources, to, by_docker=True, **options)  # type: ignore[arg-type]
    return {
        one.path: f"{one.kind.value} {one.mode:o}" for one in MemoryContext(files or FILES).collect(request).entries
    }


def test_set_id_bits_are_taken_off() -> None:
    assert copied("run.sh") == {"x": "file 755"}


def test_a_symlink_that_is_named_is_what_it_leads_to() -> None:
    assert copied("d/lnk") == {"x": "file 600"}
    with pytest.raises(SourceNotFoundError, match="leads to nothing"):
        copied("broken")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", {"a.md", "keep.md"}),
        ("*.md", {"a.md", "keep.md"}),
        ("**/*.md", set()),
        ("notes/*.md\n!notes/keep.md", {"keep.md"}),
        ("notes\n!notes/keep.md", {"keep.md"}),
        ("!notes/keep.md\nnotes/*", set()),
        ("# notes/*\n\n  /notes/a.md  ", {"keep.md"}),
        ("./notes/?.md", {"keep.md"}),
    ],
)
def test_an_ignore_file_leaves_out_what_its_last_line_says(lines: str, expected: set[str]) -> None:
    files = {**FILES, ".dockerignore": File(lines.encode())}

    found = copied("notes/", to=".", files=files) if expected else copied(".", to=".", files=files)

    assert {path.rpartition("/")[2] for path in found if path.endswith(".md")} == expected


def test_containerignore_comes_before_dockerignore() -> None:
    files = {**FILES, ".dockerignore": File(b"d"), ".containerignore": File(b"notes")}

    found = copied(".", to=".", files=files)

    assert "d/x" in found
    assert "notes" not in found


def test_an_exclude_leaves_out_more() -> None:
    assert set(copied("d", to=".", excludes=("**/y",))) == {"x", "lnk", "sub"}


def test_a_source_that_may_be_missing_brings_nothing() -> None:
    assert copied("registry", to="registry", optional=("registry",)) == {}
    with pytest.raises(SourceNotFoundError):
        copied("registry", to="registry")


@given(st.lists(st.sampled_from(["..", ".", "a", "", "b"])).map("/".join))
def test_no_path_leaves_its_root(path: str) -> None:
    assert ".." not in clamp(path).split("/")
    assert not clamp(path).startswith("/")


@pytest.mark.parametrize("sources", [("a.yaml",), ("d",), ("d/*",), (".",), ("*.yaml", "d/lnk"), ("empty",), ("gone",)])
@pytest.mark.parametrize("into", [True, False])
def test_memory_and_disk_agree(sources: tuple[str, ...], into: bool, tmp_path: Path) -> None:
    write_context({**FILES, ".dockerignore": File(b"notes\n!notes/keep.md")}, str(tmp_path))
    request = CopyRequest(sources, "x/y", by_docker=True, into=into)
    memory = MemoryContext({**FILES, ".dockerignore": File(b"notes\n!notes/keep.md")})

    assert outcome(memory, request) == outcome(ContextCollector(str(tmp_path)), request)


def outcome(collector: MemoryContext | ContextCollector, request: CopyRequest) -> object:
    try:
        collected = collector.collect(request)
    except KubeimageError as error:
        return error.code
    return [essence(entry) for entry in collected.entries], collected.directories


def essence(entry: Entry) -> tuple[object, ...]:
    return (entry.path, entry.kind, entry.mode, entry.size, entry.target)
