"""A key says the same of a table as of its entries one by one."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from harness.trees import write_tree
from kubeimage.builder.steps import copy, copy_key
from kubeimage.context import ContextCollector
from kubeimage.image.digest import Digest
from kubeimage.layer import table as tables
from kubeimage.layer.entry import with_digest
from kubeimage.layer.stack import LayerStack
from kubeimage.layer.table import DIGEST_SIZE, EntryTable
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.context import CopyRequest
from kubeimage.protocols.keytext import LongSources, parse_key_fields, render_key_fields
from kubeimage.store import Store

PARENT, FIELDS = Digest("0" * 64), (("kind", "COPY"),)


def make(mtime: int | None, *, names: int = 20_000, size: int = 7) -> EntryTable:
    """Files with and without ASCII names, a folder and a symlink."""
    table = EntryTable(mtime)
    first, second = table.add_place("a/", "/c/a/"), table.add_place("ü/", "/c/ü/")
    table.add_other("d", first, 0o40750, 0)
    table.add_other("l", first, 0o120777, 0, "tab\ttarget")
    for number in range(names):
        status = os.stat_result((0o100644, number, 5, 1, 0, 0, size, 0, 0, 0), {"st_mtime_ns": 3 * 10**9})
        table.add_file(f"n\n{number:06}", second if number % 3 == 0 else first, status, 0o640)
    return table.with_digests(b"".join(number.to_bytes(DIGEST_SIZE, "big") for number in range(len(table))))


@pytest.mark.parametrize("mtime", [0, None, 5])
def test_the_key_of_a_table_is_that_of_its_entries(mtime: int | None) -> None:
    table = make(mtime)
    one = copy_key(PARENT, FIELDS, table)
    other = copy_key(PARENT, FIELDS, list(table))

    assert one.digest == other.digest
    assert tuple(one.sources) == other.sources == tuple(one.sources[:])
    assert (len(one.sources), one.sources[3]) == (len(other.sources), other.sources[3])
    assert render_key_fields(one) == render_key_fields(other)
    assert parse_key_fields(render_key_fields(one)) == (FIELDS, other.sources)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("abc", "abc", None),
        ("abc", "aBc", "file b removed"),
        ("abc", "ac", "file b removed"),
        ("ac", "abc", "file b added"),
        ("ab", "abc", "file c added"),
        ("abc", "ab", "file c removed"),
    ],
)
def test_the_first_source_that_differs_is_told_of_long_lists_too(
    tmp_path: os.PathLike[str], before: str, after: str, told: str | None
) -> None:
    path = os.path.join(tmp_path, "record")
    old = CacheKey(PARENT, FIELDS, tuple((name, f"file {name}") for name in before.lower() if name in before))
    new = CacheKey(PARENT, FIELDS, tuple((name, f"file {name}") for name in after if name.islower()))
    with open(path, "wb") as file:
        file.write(b"{}\n" + render_key_fields(old))
    long = CacheKey(PARENT, FIELDS, LongSources(path))

    assert list(long.sources) == list(old.sources)
    assert new.difference(long) == told


def test_a_changed_source_is_told_of_long_lists_too(tmp_path: os.PathLike[str]) -> None:
    table = make(0, names=3)
    path = os.path.join(tmp_path, "record")
    with open(path, "wb") as file:
        file.write(render_key_fields(copy_key(PARENT, FIELDS, table)))
    edited = list(table)
    edited[-1] = with_digest(edited[-1], bytes(32))

    told = copy_key(PARENT, FIELDS, edited).difference(CacheKey(PARENT, FIELDS, LongSources(path)))

    assert told == f"file {edited[-1].path} changed"


def test_a_record_that_is_gone_has_no_sources() -> None:
    assert list(LongSources("/nowhere/at/all")) == []
    assert len(LongSources("/nowhere/at/all")) == 0


@pytest.mark.parametrize("destination", ["d", "x/d", "x/y/z/d"])
@pytest.mark.parametrize("fewest", [1, 1_000], ids=["a table", "a list"])
def test_each_file_of_a_copy_has_its_own_digest_however_deep_it_lands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, destination: str, fewest: int
) -> None:
    monkeypatch.setattr(tables, "FEWEST", fewest)
    files = {f"f{number}": b"%d" % number for number in range(9)}
    write_tree(str(tmp_path / "context"), {f"d/{name}": content.decode() for name, content in files.items()})
    collected = ContextCollector(str(tmp_path / "context")).collect(CopyRequest(("d",), destination, exact=True))
    with Store.open(str(tmp_path / "store")) as store:
        copied = copy(collected, LayerStack(store.layers), store.layers)

    found = {entry.path.rpartition("/")[2]: entry.digest for entry in copied.sources if entry.digest is not None}
    assert found == {name: sha256(content).digest() for name, content in files.items()}
