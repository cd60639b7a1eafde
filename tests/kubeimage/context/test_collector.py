"""A build context on disk: what only a disk can do."""

import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem

from harness.fakes.context import Directory, File, Files, HardLink, Symlink, write_context
from kubeimage.context import ContextCollector, StatIndex
from kubeimage.errors import (
    ContextChangedError,
    ContextError,
    ContextNotFoundError,
    SourceNotFoundError,
    UnreadableSourceError,
    UnsupportedSourceError,
)
from kubeimage.layer.entry import Entry, FileIdentity, Kind, canonical_order, with_digest
from kubeimage.protocols.context import CopyRequest, SourceCollector

ALL = CopyRequest((".",), ".")

as_ordinary_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")

PROJECT: Files = {
    "bin/tool": File(b"#!/bin/sh\n", 0o755),
    "etc/a": "1",
    "etc/a.b": "2",
    "etc/a b/ü": "3",
    "etc/empty": "",
    "etc/link": Symlink("../bin/tool"),
    "etc/other": HardLink("bin/tool"),
    "var": Directory(0o700),
}


class CountingDigester:
    """Reads files as the real one does, and remembers which."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, path: str, _identity: FileIdentity | None) -> bytes:
        self.read.append(os.path.basename(path))
        with open(path, "rb") as stream:
            return sha256(stream.read()).digest()


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    write_context(PROJECT, str(folder))
    return folder


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Take all permissions from a path, until the test ends."""
    locked: list[tuple[Path, int]] = []

    def take(path: Path) -> None:
        locked.append((path, path.stat().st_mode))
        path.chmod(0)

    yield take
    for path, mode in reversed(locked):
        path.chmod(mode)


def digested(collector: SourceCollector) -> list[Entry]:
    """What would go into a layer, nothing of this machine in it."""
    entries = collector.with_digests(collector.collect(ALL).entries)
    return [entry._replace(source=None, identity=None) for entry in entries]


@pytest.mark.parametrize("name", ["", "gone", "file", "file/inside", "a\0b", "n" * 300], ids=repr)
def test_a_context_that_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ContextNotFoundError, match="the build context") as caught:
        ContextCollector(os.path.join(tmp_path, name) if name else "")

    assert caught.value.exit_status == 2
    assert caught.value.hint


def test_files_say_where_they_are_and_what_they_were(context: Path) -> None:
    entry = next(e for e in ContextCollector(str(context)).collect(ALL).entries if e.path == "etc/a")
    status = (context / "etc/a").stat()

    assert entry.source == str(context / "etc/a")
    assert entry.identity == (1, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def test_a_context_behind_a_symlink_is_its_real_folder(tmp_path: Path, context: Path) -> None:
    (tmp_path / "link").symlink_to(context)

    assert ContextCollector(f"{tmp_path}/link/").collect(ALL) == ContextCollector(str(context)).collect(ALL)


def test_a_relative_context_stays_where_it_was(context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(context)
    collector = ContextCollector(".")
    monkeypatch.chdir(tmp_path)

    assert digested(collector) == digested(ContextCollector(str(context)))


def test_the_order_of_directories_on_disk_changes_nothing(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = ContextCollector(str(context))
    requests = [ALL, CopyRequest(("*",), "x"), CopyRequest(("*/a*", "etc"), "x")]
    expected = [collector.collect(request) for request in requests]
    shuffle_directories(monkeypatch)

    assert [collector.collect(request) for request in requests for _ in range(5)] == [
        answer for answer in expected for _ in range(5)
    ]


def shuffle_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    real_scandir, real_listdir = os.scandir, os.listdir

    class Shuffled:
        def __init__(self, path: str) -> None:
            with real_scandir(path) as found:
                self.entries = list(found)
            random.shuffle(self.entries)

        def __enter__(self) -> Iterator[os.DirEntry[str]]:
            return iter(self.entries)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Shuffled)
    monkeypatch.setattr(os, "listdir", lambda path: random.sample(names := real_listdir(path), len(names)))


def test_a_copy_of_the_context_is_equal_whatever_its_times(context: Path, tmp_path: Path) -> None:
    # copytree would make files of hard links.
    subprocess.run(["cp", "-a", context, tmp_path / "copy"], check=True)
    for folder, _, names in os.walk(tmp_path / "copy"):
        for name in names:
            os.utime(os.path.join(folder, name), (5, 5), follow_symlinks=False)

    assert digested(ContextCollector(str(tmp_path / "copy"))) == digested(ContextCollector(str(context)))


def test_a_tree_deeper_than_the_stack_is_collected(tmp_path: Path) -> None:
    depth = 1_050
    path = tmp_path / "context"
    path.mkdir()
    for count in range(1, depth + 1):
        os.mkdir(os.path.join(path, *["d"] * count))

    entries = ContextCollector(str(path)).collect(ALL).entries

    assert len(entries) == depth
    assert entries == canonical_order(entries)
    remove_deep(path, depth)


def remove_deep(path: Path, depth: int) -> None:
    for count in range(depth, 0, -1):
        os.rmdir(os.path.join(path, *["d"] * count))


def test_a_path_too_long_for_the_system_is_an_error_with_its_name(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    folders = [here]
    try:
        for _ in range(20):
            os.mkdir("n" * 250, dir_fd=folders[-1])
            folders.append(os.open("n" * 250, os.O_RDONLY, dir_fd=folders[-1]))

        with pytest.raises(UnreadableSourceError, match="nnn"):
            ContextCollector(str(tmp_path)).collect(ALL)
    finally:
        for folder in reversed(folders[:-1]):
            os.rmdir("n" * 250, dir_fd=folder)
        for folder in folders:
            os.close(folder)


def test_names_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    open(os.fsencode(tmp_path / "sub") + b"/caf\xe9", "wb").close()

    with pytest.raises(UnsupportedSourceError, match="UTF-8") as caught:
        ContextCollector(str(tmp_path)).collect(ALL)

    assert r"'sub/caf\udce9'" in caught.value.message


def test_link_targets_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    os.symlink(b"caf\xe9", os.fsencode(tmp_path / "link"))

    with pytest.raises(UnsupportedSourceError, match="the symlink 'link'"):
        ContextCollector(str(tmp_path)).collect(ALL)


@pytest.mark.parametrize("source", [".", "s*", "socket"])
def test_sockets_are_refused_by_name(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")

        with pytest.raises(UnsupportedSourceError, match="'socket': a socket cannot be copied"):
            ContextCollector(str(tmp_path)).collect(CopyRequest((source,), "x"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_devices_are_refused_by_name(tmp_path: Path) -> None:
    try:
        os.mknod(tmp_path / "null", 0o20666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this container makes no devices")

    with pytest.raises(UnsupportedSourceError, match="'null': a device cannot be copied"):
        ContextCollector(str(tmp_path)).collect(ALL)


@as_ordinary_user
@pytest.mark.parametrize("source", [".", "etc", "etc/.", "etc/*", "etc/a b/ü", "etc/a b/."])
def test_an_unreadable_folder_is_an_error_never_an_empty_one(
    context: Path, lock: Callable[[Path], None], source: str
) -> None:
    lock(context / "etc/a b")

    with pytest.raises(UnreadableSourceError, match="'etc/a b"):
        ContextCollector(str(context)).collect(CopyRequest((source,), "x"))


@as_ordinary_user
def test_an_unreadable_folder_that_is_ignored_does_no_harm(context: Path, lock: Callable[[Path], None]) -> None:
    lock(context / "etc/a b")
    (context / ".kubeignore").write_text("a b/\n")

    assert "etc/a b" not in [entry.path for entry in ContextCollector(str(context)).collect(ALL).entries]


@as_ordinary_user
def test_an_unreadable_context_is_an_error(context: Path, lock: Callable[[Path], None]) -> None:
    lock(context)

    with pytest.raises(UnreadableSourceError, match="cannot be read: Permission denied"):
        ContextCollector(str(context)).collect(ALL)


@as_ordinary_user
def test_an_unreadable_file_is_an_error_when_it_is_read(context: Path, lock: Callable[[Path], None]) -> None:
    lock(context / "etc/a.b")
    collector = ContextCollector(str(context))

    with pytest.raises(UnreadableSourceError, match=r"etc/a\.b' cannot be read"):
        collector.with_digests(collector.collect(ALL).entries)


@as_ordinary_user
def test_an_unreadable_kubeignore_is_an_error(context: Path, lock: Callable[[Path], None]) -> None:
    (context / ".kubeignore").touch()
    lock(context / ".kubeignore")

    with pytest.raises(UnreadableSourceError, match=r"\.kubeignore"):
        ContextCollector(str(context)).collect(ALL)


def test_a_kubeignore_that_is_a_folder_or_no_text_is_an_error(context: Path) -> None:
    collector = ContextCollector(str(context))
    (context / ".kubeignore").mkdir()
    with pytest.raises(UnreadableSourceError, match=r"\.kubeignore"):
        collector.collect(ALL)

    (context / ".kubeignore").rmdir()
    (context / ".kubeignore").write_bytes(b"a\xff")
    with pytest.raises(UnsupportedSourceError, match="UTF-8"):
        collector.collect(ALL)


def edit(path: Path) -> None:
    path.write_text("longer than before")


def replace_by_other(path: Path) -> None:
    os.rename(path.with_name("a.b"), path)


def replace_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("a.b")


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def set_time_back(path: Path) -> None:
    status = path.stat()
    path.write_text("2")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [Path.unlink, edit, replace_by_other, replace_by_link, replace_by_fifo, replace_by_folder],
)
def test_a_file_that_is_not_the_one_collected_fails_the_build(context: Path, change: Callable[[Path], None]) -> None:
    os.utime(context / "etc/a", (1, 1))
    collector = ContextCollector(str(context))
    entries = collector.collect(ALL).entries

    change(context / "etc/a")

    with pytest.raises(ContextChangedError, match="etc/a' changed"):
        collector.with_digests(entries)


def indexed(context: Path, kept: Path, digester: CountingDigester) -> tuple[ContextCollector, StatIndex]:
    """A collector that begins when all files of the context are old."""
    index = StatIndex(str(kept), str(context), clock=lambda: time.time_ns() + 10**11, find_ground=lambda _: b"here")
    return ContextCollector(str(context), stat_index=index, digester=digester), index


def read_files(context: Path, kept: Path) -> list[str]:
    """Which files a build reads."""
    digester = CountingDigester()
    collector, index = indexed(context, kept, digester)
    found = digested(collector)
    index.save()
    assert found == digested(ContextCollector(str(context)))
    return digester.read


FILES = ["tool", "a", "ü", "a.b", "empty"]


def test_an_unchanged_context_is_read_once(context: Path, tmp_path: Path) -> None:
    assert [read_files(context, tmp_path / "kept") for _ in range(3)] == [FILES, [], []]


def test_only_what_changed_is_read_again(context: Path, tmp_path: Path) -> None:
    read_files(context, tmp_path / "kept")
    (context / "etc/a").write_text("9")
    (context / "etc/new").write_text("new")

    assert read_files(context, tmp_path / "kept") == ["a", "new"]


def test_a_touched_file_is_read_again_and_is_equal(context: Path, tmp_path: Path) -> None:
    read_files(context, tmp_path / "kept")
    before = digested(ContextCollector(str(context)))
    os.utime(context / "etc/a", (77, 77))

    assert read_files(context, tmp_path / "kept") == ["a"]
    assert digested(ContextCollector(str(context))) == before


def test_an_edit_that_keeps_size_and_mtime_is_seen(context: Path, tmp_path: Path) -> None:
    read_files(context, tmp_path / "kept")
    time.sleep(0.02)  # so that the clock of the filesystem has moved on
    set_time_back(context / "etc/a")

    assert read_files(context, tmp_path / "kept") == ["a"]


def test_swapped_files_of_one_size_are_seen(context: Path, tmp_path: Path) -> None:
    read_files(context, tmp_path / "kept")
    os.rename(context / "etc/a", context / "x")
    os.rename(context / "etc/a.b", context / "etc/a")
    os.rename(context / "x", context / "etc/a.b")

    assert read_files(context, tmp_path / "kept") == ["a", "a.b"]


def test_files_edited_as_the_build_began_are_not_remembered(context: Path, tmp_path: Path) -> None:
    digester = CountingDigester()
    for _ in range(2):
        index = StatIndex(str(tmp_path / "kept"), str(context), find_ground=lambda _: b"here")
        (context / "etc/a").write_text("written just now")
        digested(ContextCollector(str(context), stat_index=index, digester=digester))
        index.save()

    assert digester.read.count("a") == 2


def test_another_context_shares_nothing(context: Path, tmp_path: Path) -> None:
    read_files(context, tmp_path / "kept")
    shutil.copytree(context, tmp_path / "copy", symlinks=True)

    assert set(read_files(tmp_path / "copy", tmp_path / "kept")) == {*FILES, "other"}


def test_what_the_layer_store_read_need_not_be_read(context: Path, tmp_path: Path) -> None:
    collector, index = indexed(context, tmp_path / "kept", CountingDigester())
    entries = collector.collect(CopyRequest(("etc",), "opt")).entries
    collector.expect(entries)
    collector.remember([with_digest(one, b"a" * 32) if one.path == "opt/etc/a" else one for one in entries])
    index.save()

    digester = CountingDigester()
    again, _ = indexed(context, tmp_path / "kept", digester)
    known = {entry.path: entry.digest for entry in again.with_digests(again.collect(ALL).entries)}

    assert known["etc/a"] == b"a" * 32
    assert "a" not in digester.read


def test_what_was_read_by_somebody_unexpected_is_read_again(context: Path, tmp_path: Path) -> None:
    collector, index = indexed(context, tmp_path / "kept", CountingDigester())
    collector.remember(digested(ContextCollector(str(context))))
    index.save()

    assert read_files(context, tmp_path / "kept") == FILES


def test_whether_somebody_writes_is_asked_before_anything_is_read(context: Path, tmp_path: Path) -> None:
    calls: list[str] = []

    def at_rest(path: str, _identity: FileIdentity) -> bool:
        calls.append(f"asked of {os.path.basename(path)}")
        return True

    class Digester(CountingDigester):
        def __call__(self, path: str, identity: FileIdentity | None) -> bytes:
            calls.append(f"read {os.path.basename(path)}")
            return super().__call__(path, identity)

    index = StatIndex(
        str(tmp_path / "kept"),
        str(context),
        clock=lambda: time.time_ns() + 10**11,
        find_ground=lambda _: b"here",
        at_rest=at_rest,
    )
    digested(ContextCollector(str(context), stat_index=index, digester=Digester()))

    assert calls == [call for name in FILES for call in (f"asked of {name}", f"read {name}")]


def test_without_an_index_remembering_is_harmless(context: Path) -> None:
    collector = ContextCollector(str(context))

    collector.expect(collector.collect(ALL).entries)
    collector.remember(collector.with_digests(collector.collect(ALL).entries))

    assert sha256(b"1").digest() in [entry.digest for entry in digested(collector)]


def test_contents_in_memory_are_digested_too(context: Path) -> None:
    entries = [Entry("a", Kind.FILE, source=b"x"), Entry("b", Kind.DIRECTORY)]

    assert [entry.digest for entry in ContextCollector(str(context)).with_digests(entries)] == [
        sha256(b"x").digest(),
        None,
    ]


def test_collecting_reads_no_content(context: Path) -> None:
    digester = CountingDigester()

    ContextCollector(str(context), digester=digester).collect(ALL)

    assert digester.read == []


def test_all_of_it_works_on_a_fake_filesystem(fs: FakeFilesystem) -> None:
    fs.create_file("/project/etc/a", contents="1")
    fs.create_file("/project/big", contents="x" * 600_000)
    fs.create_symlink("/project/link", "etc/a")
    fs.create_file("/project/.kubeignore", contents="*.log\n")
    fs.create_file("/project/x.log", contents="")
    index = StatIndex(
        "/kept",
        "/project",
        clock=lambda: time.time_ns() + 10**11,
        find_ground=lambda _: b"here",
        at_rest=lambda _path, _identity: True,
    )
    collector = ContextCollector("/project", stat_index=index)

    entries = collector.with_digests(collector.collect(ALL).entries)
    index.save()

    assert {entry.path: entry.digest or entry.target for entry in entries if entry.kind is not Kind.DIRECTORY} == {
        ".kubeignore": sha256(b"*.log\n").digest(),
        "big": sha256(b"x" * 600_000).digest(),
        "etc/a": sha256(b"1").digest(),
        "link": "etc/a",
    }
    assert os.path.exists(index.path)


PLACES = ["store", "a/store", ".store", "a/b/c"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("source", [".", "*", "a", "a/*", "[a-z.]*"])
def test_the_store_never_enters_a_layer(tmp_path: Path, place: str, source: str) -> None:
    for path in ("a/f", "f", f"{place}/blobs/sha256/1", f"{place}/cache/keys/2"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    everything = ContextCollector(str(tmp_path)).collect(CopyRequest((source,), "x"))

    found = ContextCollector(str(tmp_path), store=str(tmp_path / place)).collect(CopyRequest((source,), "x"))

    shutil.rmtree(tmp_path / place)
    assert found.entries == ContextCollector(str(tmp_path)).collect(CopyRequest((source,), "x")).entries
    assert bool(found.warnings) == (len(found.entries) < len(everything.entries))
    assert all(repr(place) in warning for warning in found.warnings)


def test_a_store_behind_a_symlink_stays_out_as_well(tmp_path: Path) -> None:
    (tmp_path / "context/real").mkdir(parents=True)
    (tmp_path / "context/real/blob").write_text("1")
    (tmp_path / "link").symlink_to("context/real")

    collector = ContextCollector(str(tmp_path / "context"), store=str(tmp_path / "link"))

    assert collector.collect(ALL).entries == []
    with pytest.raises(SourceNotFoundError) as caught:
        collector.collect(CopyRequest(("real/blob",), "x"))
    assert "is the store" in (caught.value.hint or "")


@pytest.mark.parametrize("inside", ["", "blobs", "a/b"])
def test_a_context_inside_the_store_is_refused(tmp_path: Path, inside: str) -> None:
    (tmp_path / inside).mkdir(parents=True, exist_ok=True)

    with pytest.raises(ContextError, match="lies in the store"):
        ContextCollector(str(tmp_path / inside), store=str(tmp_path)).collect(ALL)


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd", "../rules"])
def test_rules_that_lie_elsewhere_are_not_read(context: Path, target: str) -> None:
    (context.parent / "rules").write_text("*")
    (context / ".kubeignore").symlink_to(target)

    with pytest.raises(ContextError, match="leads out"):
        ContextCollector(str(context)).collect(ALL)
