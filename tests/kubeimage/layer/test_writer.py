import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Never

import pytest

from kubeimage.errors import (
    ContextChangedError,
    KubeimageError,
    LayerFormatError,
    PathEscapeError,
    UnreadableSourceError,
)
from kubeimage.layer import output
from kubeimage.layer.entry import (
    Entry,
    FileIdentity,
    Kind,
    canonical_order,
    directory,
    file,
    opaque,
    symlink,
    whiteout,
)
from kubeimage.layer.reader import iter_entries
from kubeimage.layer.stored import StoredLayer
from kubeimage.layer.writer import write_layer

EVERY_KIND = [
    opaque(""),
    directory("d", 0o1777),
    whiteout("d/gone"),
    file("d/f", b"content\n", 0o4755),
    Entry("d/g", Kind.HARDLINK, 0o4755, target="d/f"),
    Entry("d/p", Kind.FIFO, 0o600),
    symlink("d/s", "../elsewhere"),
    file("é" * 60, b"", 0o640),
]


def write(*entries: Entry) -> tuple[StoredLayer, bytes]:
    tar = io.BytesIO()
    return write_layer(entries, tar.write), tar.getvalue()


def source(place: Path, **changes: Any) -> Entry:
    """A FILE entry for a file on disk, as a collector makes it."""
    status = os.stat(place)
    identity = FileIdentity(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
    entry = Entry("f", Kind.FILE, 0o644, status.st_size, source=str(place), identity=identity)
    return entry._replace(**changes)


def test_the_bytes_of_a_layer_never_change() -> None:
    written, tar = write(*EVERY_KIND)

    assert written.diff_id.hex == hashlib.sha256(tar).hexdigest()
    assert written.diff_id.hex == "57d73fc47fa68e2580a25b2512b000d0e927c31dcc8657e47d6c3ae3c9a8e4d9"


def test_an_empty_changeset_is_two_zero_blocks() -> None:
    written, tar = write()

    assert tar == bytes(1024)
    assert (written.size, written.digests) == (1024, {})


def test_the_result_tells_size_and_content_digests() -> None:
    written, tar = write(directory("d"), file("d/a", b"1"), symlink("d/b", "a"), file("e", b""))

    assert written.size == len(tar)
    assert written.digests == {"d/a": hashlib.sha256(b"1").digest(), "e": hashlib.sha256(b"").digest()}


def test_python_reads_the_same_entries() -> None:
    _, tar = write(*EVERY_KIND)

    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        found = [(m.name, m.type, m.mode, m.size, m.linkname, m.uid, m.gid, m.uname) for m in archive.getmembers()]

    assert found == [
        (".wh..wh..opq", b"0", 0o644, 0, "", 0, 0, ""),
        ("d", b"5", 0o1777, 0, "", 0, 0, ""),
        ("d/.wh.gone", b"0", 0o644, 0, "", 0, 0, ""),
        ("d/f", b"0", 0o4755, 8, "", 0, 0, ""),
        ("d/g", b"1", 0o4755, 0, "d/f", 0, 0, ""),
        ("d/p", b"6", 0o600, 0, "", 0, 0, ""),
        ("d/s", b"2", 0o777, 0, "../elsewhere", 0, 0, ""),
        ("é" * 60, b"0", 0o640, 0, "", 0, 0, ""),
    ]


@pytest.mark.parametrize(
    ("entry", "records"),
    [
        (file("a" * 100, b""), set()),
        (file("a" * 101, b""), {"path"}),
        (file("d" * 155 + "/" + "a" * 100, b""), set()),
        (file("d" * 156 + "/" + "a" * 100, b""), {"path"}),
        (file("d" * 20 + "/" + "a" * 101, b""), {"path"}),
        (directory("d" * 99), set()),
        (directory("d" * 100), {"path"}),
        (directory("d" * 60 + "/" + "e" * 60), set()),
        (file("ä", b""), {"path"}),
        (symlink("s", "t" * 100), set()),
        (symlink("s", "t" * 101), {"linkpath"}),
        (symlink("s", "ä"), {"linkpath"}),
        (Entry("f", Kind.FIFO, mtime=8**11 - 1), set()),
        (Entry("f", Kind.FIFO, mtime=8**11), {"mtime"}),
        (Entry("f", Kind.FIFO, mtime=-1), {"mtime"}),
        (Entry("f", Kind.DIRECTORY, xattrs=(("user.b", b"\0\xff\n"), ("user.a", b""))), {"SCHILY.xattr.user.b"}),
    ],
    ids=lambda value: value.path[:3] + value.path[-3:] if isinstance(value, Entry) else None,
)
def test_pax_records_stand_only_where_ustar_cannot_say_it(entry: Entry, records: set[str]) -> None:
    _, tar = write(entry)

    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        member = archive.next()
    [found] = iter_entries(io.BytesIO(tar))
    assert member is not None
    assert member.pax_headers.keys() >= records
    assert bool(member.pax_headers) == bool(records)
    assert member.name == entry.path
    assert found == entry._replace(source=None, xattrs=tuple(sorted(entry.xattrs)))


def test_a_size_of_eight_gibibytes_needs_a_record() -> None:
    from kubeimage.layer.header import render_header

    just_fits = render_header(Entry("f", Kind.FILE, size=8**11 - 1))
    too_large = render_header(Entry("f", Kind.FILE, size=8**11))

    assert len(just_fits) == 512
    assert b"19 size=8589934592\n" in too_large


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([file("b", b""), file("a", b"")], "canonical order"),
        ([file("a", b""), file("a", b"")], "comes twice"),
        ([file("a/b", b""), directory("a")], "canonical order"),
        ([file("a.b", b""), file("a/b", b"")], "canonical order"),
        ([file("d/a", b""), whiteout("d/b")], "canonical order"),
        ([file("a", b""), file("a/b", b"")], "no directory"),
        ([symlink("a", "b"), whiteout("a/b")], "no directory"),
        ([Entry("a", Kind.HARDLINK, target="b"), file("b", b"")], "first file"),
        ([Entry("a", Kind.HARDLINK, target="b")], "first file"),
        ([Entry("a", Kind.FILE, size=1)], "no content"),
        ([Entry("a", Kind.FILE, size=1, source=b"")], "no content"),
    ],
)
def test_a_changeset_that_was_not_put_together_well_is_a_bug(entries: list[Entry], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write(*entries)


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        (file("../a", b""), PathEscapeError),
        (file("/a", b""), PathEscapeError),
        (directory("a/.."), PathEscapeError),
        (file("a//b", b""), LayerFormatError),
        (file("a\0b", b""), LayerFormatError),
        (file("a\udcff", b""), LayerFormatError),
        (file(".wh.a", b""), LayerFormatError),
        (directory("d/.wh..wh..opq"), LayerFormatError),
        (whiteout("d/.wh.a"), LayerFormatError),
        (whiteout("d/.."), PathEscapeError),
        (opaque("../d"), PathEscapeError),
        (symlink("s", ""), LayerFormatError),
        (symlink("s", "a\0b"), LayerFormatError),
        (symlink("s", "\udcff"), LayerFormatError),
        (Entry("f", Kind.FIFO, xattrs=(("user.a=b", b""),)), LayerFormatError),
    ],
    ids=lambda value: repr(value.path) if isinstance(value, Entry) else value.__name__,
)
def test_names_that_no_layer_may_hold_are_refused(entry: Entry, error: type[KubeimageError]) -> None:
    with pytest.raises(error):
        write(entry)


def test_a_hard_link_says_of_the_file_what_the_file_says() -> None:
    _, tar = write(Entry("a", Kind.FILE, 0o4711, 0, mtime=7, source=b""), Entry("b", Kind.HARDLINK, 0o644, target="a"))

    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        assert [(member.mode, member.mtime) for member in archive] == [(0o4711, 7), (0o4711, 7)]


def test_the_order_of_xattrs_does_not_matter() -> None:
    xattrs = (("user.b", b"2"), ("user.a", b"1"))

    assert write(directory("d")._replace(xattrs=xattrs)) == write(directory("d")._replace(xattrs=xattrs[::-1]))


SMALL, LARGE = 1000, (1 << 20) + 77


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 2**18 - 1, 2**18, 2**18 + 1, LARGE, 3 * 2**20])
def test_a_file_gives_the_same_layer_as_its_bytes(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "f").write_bytes(content)

    from_disk = write(source(tmp_path / "f"), file("g", content))

    assert from_disk == write(file("f", content), file("g", content))
    assert from_disk[0].digests["f"] == hashlib.sha256(content).digest()


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    ("change", "how"),
    [
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "grew"),
        (lambda path: os.truncate(path, path.stat().st_size - 1), "shrank"),
        (lambda path: os.truncate(path, 0), "shrank"),
        (lambda path: path.unlink(), "it is gone"),
        (
            lambda path: (path.rename(f"{path}.old"), path.write_bytes(b"x" * os.stat(f"{path}.old").st_size)),
            "replaced",
        ),
        (lambda path: (path.unlink(), path.symlink_to("/etc/passwd")), "symlink"),
        (lambda path: (path.unlink(), path.mkdir()), "directory|no regular file"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "no regular file"),
        (lambda path: (path.write_bytes(b"y" * path.stat().st_size), os.utime(path, ns=(1, 1))), "written to"),
    ],
    ids=["grows", "shrinks", "is emptied", "vanishes", "is replaced", "symlink", "directory", "fifo", "is rewritten"],
)
def test_a_file_that_changed_since_it_was_looked_at_is_named(
    tmp_path: Path, size: int, change: Callable[..., Any], how: str
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * size)
    entry = source(path)

    change(path)

    with pytest.raises(ContextChangedError, match=how) as caught:
        write(entry)
    assert str(path) in caught.value.message


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
def test_content_that_changed_behind_equal_times_is_seen_where_its_digest_is_known(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * size)

    with pytest.raises(ContextChangedError, match="content"):
        write(source(path, digest=hashlib.sha256(b"before").digest()))
    with pytest.raises(ContextChangedError, match="digest"):
        write(file("f", b"x")._replace(digest=hashlib.sha256(b"before").digest()))


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
def test_another_mode_or_name_is_no_change_of_content(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * size)
    entry = source(path)

    path.chmod(0o600)
    os.link(path, tmp_path / "g")

    assert write(entry) == write(file("f", b"x" * size))


def test_a_file_without_identity_must_have_the_size_that_was_said(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * SMALL)

    with pytest.raises(ContextChangedError, match="grew"):
        write(source(path, identity=None, size=SMALL - 1))
    assert write(source(path, identity=None)) == write(file("f", b"x" * SMALL))


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
def test_a_file_that_comes_in_small_pieces_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * size)
    read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, wanted: read(descriptor, min(wanted, 100)))

    assert write(source(path)) == write(file("f", b"x" * size))


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
def test_an_unreadable_file_is_named(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * size)
    path.chmod(0)

    with pytest.raises(UnreadableSourceError, match="Permission denied") as caught:
        write(source(path))
    assert str(path) in caught.value.message


@pytest.mark.parametrize("size", [10, 5 << 20], ids=["at the end", "in the middle"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_an_error_of_the_sink_reaches_the_caller_and_leaves_no_thread(
    tmp_path: Path, size: int, error: BaseException
) -> None:
    before = set(threading.enumerate())

    def fail(piece: bytes | memoryview) -> Never:
        raise error

    (tmp_path / "f").write_bytes(bytes(size))

    with pytest.raises(type(error)):
        write_layer([source(tmp_path / "f")], fail)
    assert set(threading.enumerate()) <= before


def test_an_error_of_a_source_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    (tmp_path / "f").write_bytes(bytes(5 << 20))

    with pytest.raises(ContextChangedError):
        write(source(tmp_path / "f"), source(tmp_path / "f", path="g", size=1))
    assert set(threading.enumerate()) <= before


def test_pieces_reach_the_sink_in_order_and_whole(tmp_path: Path) -> None:
    names = [f"{number:03}" for number in range(40)]
    entries = []
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(name.encode() * (100 if number % 3 else 200_000))
        entries.append(source(tmp_path / name, path=name))
    pieces = []

    written = write_layer(entries, lambda piece: pieces.append(bytes(piece)))

    tar = b"".join(pieces)
    assert len(pieces) > 3
    assert max(map(len, pieces)) < 2 * output.PIECE
    assert written.size == len(tar)
    assert written.diff_id.hex == hashlib.sha256(tar).hexdigest()
    assert [entry.path for entry in iter_entries(io.BytesIO(tar))] == names


def test_canonical_order_puts_whiteouts_before_a_directorys_other_entries() -> None:
    entries = [file("a.b", b""), file("a/b", b""), whiteout("a/z"), opaque("a"), directory("a"), whiteout("b")]

    ordered = canonical_order(entries)

    assert [(entry.path, entry.kind) for entry in ordered] == [
        ("b", Kind.WHITEOUT),
        ("a", Kind.DIRECTORY),
        ("a", Kind.OPAQUE),
        ("a/z", Kind.WHITEOUT),
        ("a/b", Kind.FILE),
        ("a.b", Kind.FILE),
    ]
