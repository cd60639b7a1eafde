"""A layer that is made of an earlier one: the bytes of one that is written, or none."""

import errno
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.errors import ContextChangedError
from kubeimage.image.digest import Digest
from kubeimage.layer import splicing
from kubeimage.layer.entry import Entry, directory
from kubeimage.layer.splicing import Earlier, RottenLayerError, Run, Splice
from kubeimage.layer.stored import StoredLayer
from kubeimage.layer.table import EntryTable, join
from kubeimage.layer.writer import write_layer

NAMES = [f"{letter}{number}" for letter in "abc" for number in range(4)]
SIZES = [0, 1, 511, 512, 513, 5000]
PARENTS = (directory("above"),)


class Blob:
    """A new file, as a store has it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)


def table_of(folder: Path, contents: dict[str, int]) -> EntryTable:
    """Files of some sizes, with a folder before them and a symlink after them."""
    table = EntryTable(0)
    place = table.add_place("x/", f"{folder}/")
    table.add_other("0", place, 0o40755, 0)
    for name, size in sorted(contents.items()):
        path = folder / name
        # What has not changed is not written anew.
        if not path.exists() or path.stat().st_size != size:
            path.write_bytes(name.encode()[:1] * size)
        table.add_file(name, place, path.stat(), 0o644)
    table.add_other("z" * 101, place, 0o120777, 0, "target")
    return table


def written(entries: Sequence[Entry], path: Path) -> StoredLayer:
    with path.open("wb") as stream:
        return write_layer(entries, stream.write)


def matching(now: EntryTable, before: EntryTable) -> list[Run]:
    """The rows that are the same, each a run of its own or joined with the one before."""
    runs: list[Run] = []
    for number, name in enumerate(now.names):
        if name in before.names:
            then = before.names.index(name)
            if now[number] == before[then]._replace(digest=None):
                if runs and (runs[-1].now + runs[-1].length, runs[-1].before + runs[-1].length) == (number, then):
                    runs[-1] = runs[-1]._replace(length=runs[-1].length + 1)
                else:
                    runs.append(Run(number, then, 1))
    return runs


class Case:
    """An earlier layer, and what its files have become."""

    def __init__(
        self,
        folder: Path,
        before: dict[str, int],
        after: dict[str, int],
        *,
        parents: int = 1,
        written_as: Callable[[Entry], Entry] = lambda entry: entry,
    ) -> None:
        self.folder = folder
        old = table_of(folder, before)
        self.old = folder / "old.tar"
        made = written([*PARENTS, *map(written_as, old)], self.old)
        for name in before.keys() - after.keys():
            (folder / name).unlink()
        now = table_of(folder, after)
        expected = written(join(PARENTS[:parents], now), folder / "expected.tar")
        self.expected = (folder / "expected.tar").read_bytes()
        self.now = now.with_digests(expected.digests.packed[32 * parents :])  # type: ignore[attr-defined]
        self.entries = join(PARENTS[:parents], self.now)
        self.earlier = Earlier(made.diff_id, 512, old, matching(now, old))

    def splice(self) -> tuple[StoredLayer, bytes]:
        path = self.folder / "new.tar"
        with self.old.open("rb", buffering=0) as old:
            made = Splice(self.entries, self.earlier).write(old, Blob(path), lambda _: None)  # type: ignore[arg-type]
        return made, path.read_bytes()


CONTENTS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(SIZES), max_size=8)


@given(before=CONTENTS, after=CONTENTS, parents=st.sampled_from([0, 1]), in_kernel=st.booleans())
def test_what_is_spliced_is_what_would_be_written(
    tmp_path_factory: pytest.TempPathFactory,
    before: dict[str, int],
    after: dict[str, int],
    parents: int,
    in_kernel: bool,
) -> None:
    case = Case(tmp_path_factory.mktemp("case"), before, after, parents=parents)
    with pytest.MonkeyPatch.context() as patch:
        if not in_kernel:
            patch.setattr(os, "copy_file_range", refuse)
        made, tar = case.splice()

    assert tar == case.expected
    assert made == write_layer(case.entries, io.BytesIO().write)


def refuse(*_: object) -> int:
    raise OSError(errno.EXDEV, "not between file systems")


BEFORE = dict.fromkeys(NAMES, 700)
AFTER = {**BEFORE, "b1": 800}


@pytest.mark.parametrize("place", [0, 512, 1024, 1600, 5000, 8000, 12_000, -1500, -1])
def test_a_byte_that_has_rotted_is_never_given_a_new_digest(tmp_path: Path, place: int) -> None:
    case = Case(tmp_path, BEFORE, AFTER)
    damaged = bytearray(case.old.read_bytes())
    damaged[place] ^= 1
    case.old.write_bytes(damaged)

    with pytest.raises(RottenLayerError):
        case.splice()


@pytest.mark.parametrize(
    "damage", [lambda tar: tar[:-512], lambda tar: tar[:3000], lambda tar: tar + b"\0", lambda _: b""]
)
def test_a_tar_of_another_length_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    case = Case(tmp_path, BEFORE, AFTER)
    case.old.write_bytes(damage(case.old.read_bytes()))

    with pytest.raises(RottenLayerError):
        case.splice()


def test_a_layer_of_another_copy_is_refused(tmp_path: Path) -> None:
    case = Case(tmp_path, BEFORE, AFTER)
    case.earlier = case.earlier._replace(diff_id=Digest("0" * 64))

    with pytest.raises(RottenLayerError):
        case.splice()


@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_a_layer_of_the_same_files_with_other_modes_is_refused(tmp_path: Path, mode: int) -> None:
    def with_another_mode(entry: Entry) -> Entry:
        return entry._replace(mode=mode) if entry.path.startswith("x/a") else entry

    case = Case(tmp_path, BEFORE, AFTER, written_as=with_another_mode)
    case.earlier = case.earlier._replace(runs=[run for one in case.earlier.runs for run in _single(one)])

    with pytest.raises(RottenLayerError):
        case.splice()


def _single(run: Run) -> list[Run]:
    return [Run(run.now + number, run.before + number, 1) for number in range(run.length)]


def test_a_file_that_changed_since_it_was_looked_at_is_an_error(tmp_path: Path) -> None:
    case = Case(tmp_path, BEFORE, AFTER)
    (tmp_path / "b1").write_bytes(b"y" * 800)

    with pytest.raises(ContextChangedError):
        case.splice()


def test_a_full_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    case = Case(tmp_path, BEFORE, AFTER)
    monkeypatch.setattr(os, "copy_file_range", full)

    with pytest.raises(OSError, match="full"):
        case.splice()


def test_little_is_not_worth_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(tmp_path, BEFORE, AFTER)

    assert not Splice(case.entries, case.earlier).is_worth_it  # type: ignore[arg-type]
    monkeypatch.setattr(splicing, "_LEAST", 1)
    assert Splice(case.entries, case.earlier).is_worth_it  # type: ignore[arg-type]
    few = case.earlier._replace(runs=case.earlier.runs[:1])
    assert not Splice(case.entries, few).is_worth_it  # type: ignore[arg-type]
