import hashlib
import io
import os
import re
import tarfile
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.errors import KubeimageError, LayerFormatError, LayerTooLargeError, PathEscapeError
from kubeimage.layer import namespace
from kubeimage.layer.entry import Entry, Kind, directory, file, opaque, symlink, whiteout
from kubeimage.layer.pax import render_records
from kubeimage.layer.reader import Limits, iter_contents, iter_entries, iter_places
from kubeimage.layer.writer import write_layer

USTAR, GNU, NO_MAGIC = b"ustar\00000", b"ustar  \0", bytes(8)
END = bytes(1024)


def header(
    name: bytes = b"a",
    flag: bytes = b"0",
    size: bytes = b"00000000000\0",
    *,
    mode: bytes = b"0000644\0",
    user: bytes = b"0000000\0",
    mtime: bytes = b"00000000000\0",
    link: bytes = b"",
    magic: bytes = USTAR,
    prefix: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """A tar header put together by hand."""
    block = b"%b%b%b%b%b" % (name.ljust(100, b"\0"), mode, user + b"0000000\0", size, mtime)
    rest = flag + link.ljust(100, b"\0") + magic + bytes(80) + prefix.ljust(167, b"\0")
    total = sum(block) + sum(rest) + 8 * 32
    return block + (checksum or b"%06o\0 " % total) + rest


def member(name: bytes, content: bytes, flag: bytes = b"0", **fields: bytes) -> bytes:
    """A header with its content after it."""
    return header(name, flag, b"%011o\0" % len(content), **fields) + content + bytes(-len(content) % 512)


def pax(flag: bytes = b"x", /, **records: bytes) -> bytes:
    return member(b"pax", render_records((key.replace("__", "."), value) for key, value in records.items()), flag)


def read(tar: bytes, **limits: int) -> list[Entry]:
    return list(iter_entries(io.BytesIO(tar), limits=Limits(**limits)))


def test_a_layer_of_ours_is_read_as_it_was_written() -> None:
    entries = [
        opaque(""),
        directory("d", 0o1777)._replace(xattrs=(("user.a", b"\0=\n"), ("user.ä", b""))),
        whiteout("d/gone"),
        file("d/f", b"content\n", 0o4755),
        Entry("d/g", Kind.HARDLINK, 0o4755, target="d/f"),
        Entry("d/p", Kind.FIFO, 0o600, mtime=-5),
        symlink("d/s", "/ä" * 200),
        file("é" * 60, b"", 0o640)._replace(mtime=2**40),
    ]
    tar = io.BytesIO()
    write_layer(entries, tar.write)
    tar.seek(0)

    found = list(iter_entries(tar))

    assert found == [entry._replace(source=None) for entry in entries]


LONG = b"d" * 90 + b"/" + b"f" * 120

FOREIGN = {
    "leading ./": (header(b"./a"), file("a", b"")),
    "repeated ./": (header(b"././a"), file("a", b"")),
    "directory with slash": (header(b"d/", b"5"), directory("d", 0o644)),
    "directory without slash": (header(b"d", b"5"), directory("d", 0o644)),
    "directory with ./": (header(b"./d//", b"5"), directory("d", 0o644)),
    "v7 file": (header(b"a", b"\0", magic=NO_MAGIC), file("a", b"")),
    "v7 directory": (header(b"d/", b"\0", magic=NO_MAGIC), directory("d", 0o644)),
    "v7 knows no prefix": (header(b"a", magic=NO_MAGIC, prefix=b"p"), file("a", b"")),
    "gnu has times in place of the prefix": (header(b"a", magic=GNU, prefix=b"14000000000\0"), file("a", b"")),
    "ustar prefix": (header(b"a", prefix=b"p/q"), file("p/q/a", b"")),
    "full name field": (header(b"n" * 100), file("n" * 100, b"")),
    "file type in the mode": (header(mode=b"0100755\0"), file("a", b"", 0o755)),
    "numbers with blanks": (header(mode=b"   644 \0", mtime=b"       5  \0 "), file("a", b"")._replace(mtime=5)),
    "empty numbers": (header(mode=bytes(8), mtime=b" " * 12), file("a", b"", 0)),
    "number without end": (header(mtime=b"000000000012"), file("a", b"")._replace(mtime=10)),
    "checksum as old tools write it": (header(b"b", checksum=b"  6077\0 "), file("b", b"")),
    "base-256 time": (header(mtime=b"\x80" + (2**40).to_bytes(11, "big")), file("a", b"")._replace(mtime=2**40)),
    "negative base-256 time": (header(mtime=b"\xff" * 12), file("a", b"")._replace(mtime=-1)),
    "gnu long name": (member(b"././@LongLink", LONG + b"\0", b"L") + header(LONG[:100]), file(LONG.decode(), b"")),
    "gnu long link": (
        member(b"././@LongLink", b"t" * 150 + b"\0", b"K") + header(b"s", b"2", link=b"t" * 100),
        symlink("s", "t" * 150),
    ),
    "gnu long name and link": (
        member(b"l", b"t" * 150 + b"\0", b"K") + member(b"l", LONG + b"\0", b"L") + header(b"s", b"2", link=b"t"),
        symlink(LONG.decode(), "t" * 150),
    ),
    "pax path": (pax(path="é/a".encode()) + header(b"x"), file("é/a", b"")),
    "pax before gnu": (pax(path=b"p") + member(b"l", b"l\0", b"L") + header(b"x"), file("p", b"")),
    "empty pax value": (pax(path=b"", size=b"", mtime=b"") + header(b"x"), file("x", b"")),
    "pax time": (pax(mtime=b"12.999") + header(), file("a", b"")._replace(mtime=12)),
    "negative pax time": (pax(mtime=b"-12.5") + header(), file("a", b"")._replace(mtime=-13)),
    "negative whole pax time": (pax(mtime=b"-12.000") + header(), file("a", b"")._replace(mtime=-12)),
    "unknown pax keys": (pax(ctime=b"1", LIBARCHIVE__xattr__user__a=b"YQ", x=b"y") + header(), file("a", b"")),
    "xattrs": (
        pax(SCHILY__xattr__user__b=b"\0", SCHILY__xattr__user__a=b"") + header(),
        file("a", b"")._replace(xattrs=(("user.a", b""), ("user.b", b"\0"))),
    ),
    "harmless global header": (pax(b"g", comment=b"0123abc") + header(), file("a", b"")),
    "mode that fills its field": (header(mode=b"00007751"), file("a", b"", 0o7751)),
    "the last user": (header(user=b"\x80\0\0\0\xff\xff\xff\xfe"), file("a", b"")._replace(owner=(0xFFFFFFFE, 0))),
    "one user more": (header(user=b"\x80\0\0\0\xff\xff\xff\xff"), file("a", b"")),
    "mode of a symlink": (header(b"s", b"2", link=b"t", mode=b"0000644\0"), symlink("s", "t")),
    "fifo": (header(b"p", b"6"), Entry("p", Kind.FIFO)),
    "whiteout": (header(b"d/.wh.a"), whiteout("d/a")),
    "whiteout with ./": (header(b"./.wh.a"), whiteout("a")),
    "opaque": (header(b"d/.wh..wh..opq"), opaque("d")),
    "opaque root": (header(b".wh..wh..opq"), opaque("")),
    "name that holds .wh.": (header(b"a.wh.b"), file("a.wh.b", b"")),
    "whiteout of a name with dots": (header(b".wh.a..wh.b"), whiteout("a..wh.b")),
    "leading /": (header(b"/a"), file("a", b"")),
    "leading slashes and dots": (header(b".//./a"), file("a", b"")),
    "absolute prefix": (header(b"a", prefix=b"/p"), file("p/a", b"")),
    "absolute pax path": (pax(path=b"/a") + header(b"x"), file("a", b"")),
    "absolute long name": (member(b"l", b"/a\0", b"L") + header(b"x"), file("a", b"")),
    "doubled slashes": (header(b"a//b///c"), file("a/b/c", b"")),
    "dots inside": (header(b"a/././b"), file("a/b", b"")),
    "directory with dots": (header(b"/a//./b/", b"5"), directory("a/b", 0o644)),
    "absolute whiteout": (header(b"/d/.wh.a"), whiteout("d/a")),
    "absolute opaque": (header(b"/.wh..wh..opq"), opaque("")),
    "contiguous file": (member(b"a", b"xyz", b"7"), file("a", b"xyz")),
    "character device": (header(b"dev/n", b"3"), whiteout("dev/n")),
    "block device": (header(b"/n", b"4", mode=b"0000660\0"), whiteout("n")),
    "backslashes and control characters": (header(b"a\\b\n\x7f"), file("a\\b\n\x7f", b"")),
}


@pytest.mark.parametrize(("tar", "entry"), FOREIGN.values(), ids=FOREIGN.keys())
def test_what_other_tools_write_is_read(tar: bytes, entry: Entry) -> None:
    assert read(tar + END) == [entry._replace(source=None)]


@pytest.mark.parametrize("name", [b"./", b".", b"././", b".//", b"/", b"//", b"/.", b"/./"])
def test_an_entry_for_the_root_is_passed_over(name: bytes) -> None:
    assert read(header(name, b"5") + header(b"./a") + END) == [file("a", b"")._replace(source=None)]


def test_padding_after_the_end_is_passed_over() -> None:
    assert len(read(header() + bytes(10240))) == 1


def test_directories_may_come_again_and_after_what_stands_in_them() -> None:
    tar = header(b"d/e/f") + header(b"d/", b"5") + header(b"d/e", b"5") + header(b"d/", b"5", mode=b"0000700\0") + END

    assert [(entry.path, entry.mode) for entry in read(tar)] == [
        ("d/e/f", 0o644),
        ("d", 0o644),
        ("d/e", 0o644),
        ("d", 0o700),
    ]


def test_a_hard_link_has_mode_and_time_of_its_first_file() -> None:
    tar = member(b"a", b"abc", mode=b"0000600\0", mtime=b"00000000007\0") + header(b"b", b"1", link=b"./a")
    tar += header(b"c", b"1", link=b"b") + END

    assert read(tar)[1:] == [
        Entry("b", Kind.HARDLINK, 0o600, target="a", mtime=7),
        Entry("c", Kind.HARDLINK, 0o600, target="a", mtime=7),
    ]


def test_a_hard_link_to_a_symlink_is_another_one() -> None:
    tar = header(b"a", b"2", link=b"t") + header(b"b", b"1", link=b"a") + END

    assert read(tar) == [symlink("a", "t"), symlink("b", "t")]


HOSTILE = {
    "root as a file with a slash": (LayerFormatError, header(b"/")),
    "root as a device": (LayerFormatError, header(b"/", b"3")),
    "parent of the root": (PathEscapeError, header(b"/../a")),
    "parent after slashes": (PathEscapeError, header(b"a//../../b")),
    "absolute hard link to nothing": (LayerFormatError, header(b"a", b"1", link=b"/etc/passwd")),
    "file twice by slashes": (LayerFormatError, header(b"a") + header(b"//a")),
    "file and device": (LayerFormatError, header(b"a") + header(b"a", b"3")),
    "file below a device": (LayerFormatError, header(b"a", b"4") + header(b"a/b")),
    "device named as a whiteout": (LayerFormatError, header(b".wh.a", b"3")),
    "device with content": (LayerFormatError, member(b"a", b"x", b"3")),
    "parent": (PathEscapeError, header(b"../a")),
    "parent alone": (PathEscapeError, header(b"..", b"5")),
    "parent inside": (PathEscapeError, header(b"a/../../b")),
    "parent after ./": (PathEscapeError, header(b"./../a")),
    "parent in the prefix": (PathEscapeError, header(b"a", prefix=b"..")),
    "parent in a pax path": (PathEscapeError, pax(path=b"../a") + header()),
    "parent in a long name": (PathEscapeError, member(b"l", b"../a\0", b"L") + header()),
    "whiteout of the parent": (PathEscapeError, header(b".wh...")),
    "whiteout of a directory's parent": (PathEscapeError, header(b"d/.wh...")),
    "whiteout in the parent": (PathEscapeError, header(b"../.wh.a")),
    "opaque parent": (PathEscapeError, header(b"../.wh..wh..opq")),
    "hard link out of the root": (PathEscapeError, header(b"a", b"1", link=b"../../etc/passwd")),
    "hard link to nothing": (LayerFormatError, header(b"a", b"1", link=b"b")),
    "hard link without target": (LayerFormatError, header(b"a", b"1")),
    "hard link to itself": (LayerFormatError, header(b"a", b"1", link=b"a")),
    "hard link to what comes later": (LayerFormatError, header(b"a", b"1", link=b"b") + header(b"b")),
    "hard link to a directory": (LayerFormatError, header(b"d", b"5") + header(b"a", b"1", link=b"d")),
    "hard link to a whiteout": (LayerFormatError, header(b".wh.x") + header(b"a", b"1", link=b".wh.x")),
    "hard link with content": (LayerFormatError, header(b"b") + member(b"a", b"x", b"1", link=b"b")),
    "empty name": (LayerFormatError, header(b"")),
    "empty name of a directory": (LayerFormatError, header(b"", b"5")),
    "path longer than any": (LayerFormatError, pax(path=b"a/" * 2048 + b"a") + header()),
    "root as a file": (LayerFormatError, header(b".")),
    "root as a symlink": (LayerFormatError, header(b"./", b"2", link=b"/etc")),
    "file named as a directory": (LayerFormatError, header(b"a/")),
    "not utf-8": (LayerFormatError, header(b"a\xff")),
    "target not utf-8": (LayerFormatError, header(b"a", b"2", link=b"\xff")),
    "pax path not utf-8": (LayerFormatError, pax(path=b"\xff") + header()),
    "nul in a name": (LayerFormatError, header(b"a\0b")),
    "nul in a target": (LayerFormatError, header(b"a", b"2", link=b"a\0b")),
    "nul in a pax path": (LayerFormatError, pax(path=b"a\0b") + header()),
    "nul in a pax target": (LayerFormatError, pax(linkpath=b"a\0b") + header(b"a", b"2")),
    "nul in a long name": (LayerFormatError, member(b"l", b"a\0b\0", b"L") + header()),
    "symlink without target": (LayerFormatError, header(b"a", b"2")),
    "file twice": (LayerFormatError, header(b"a") + header(b"a")),
    "file twice by two spellings": (LayerFormatError, header(b"a") + header(b"./a")),
    "file and directory": (LayerFormatError, header(b"a") + header(b"a/", b"5")),
    "directory and file": (LayerFormatError, header(b"a/", b"5") + header(b"a")),
    "whiteout twice": (LayerFormatError, header(b".wh.a") + header(b".wh.a")),
    "file below a symlink": (LayerFormatError, header(b"a", b"2", link=b"/etc") + header(b"a/passwd")),
    "file far below a symlink": (LayerFormatError, header(b"a", b"2", link=b"/etc") + header(b"a/b/c")),
    "symlink over a directory in use": (LayerFormatError, header(b"a/b") + header(b"a", b"2", link=b"/etc")),
    "whiteout below a file": (LayerFormatError, header(b"a") + header(b"a/.wh.b")),
    "below a whiteout": (LayerFormatError, header(b".wh.a/b")),
    "aufs leftovers": (LayerFormatError, header(b".wh..wh.plnk", b"5")),
    "whiteout without name": (LayerFormatError, header(b".wh.")),
    "whiteout of the directory itself": (LayerFormatError, header(b".wh..")),
    "whiteout as a directory": (LayerFormatError, header(b".wh.a/", b"5")),
    "whiteout as a symlink": (LayerFormatError, header(b".wh.a", b"2", link=b"b")),
    "whiteout with content": (LayerFormatError, member(b".wh.a", b"x")),
    "gnu sparse file": (LayerFormatError, header(b"a", b"S", magic=GNU)),
    "pax sparse file": (LayerFormatError, pax(GNU__sparse__major=b"1", GNU__sparse__minor=b"0") + header()),
    "unknown type": (LayerFormatError, header(b"a", b"Z")),
    "gnu volume label": (LayerFormatError, header(b"a", b"V", magic=GNU)),
    "directory with content": (LayerFormatError, member(b"d/", b"x", b"5")),
    "symlink with content": (LayerFormatError, member(b"s", b"x", b"2", link=b"t")),
    "fifo with content": (LayerFormatError, member(b"p", b"x", b"6")),
    "negative size": (LayerFormatError, header(size=b"\xff" * 12)),
    "signed size": (LayerFormatError, header(size=b"-0000000001\0")),
    "size that is no number": (LayerFormatError, header(size=b"0000000000z\0")),
    "size that is not octal": (LayerFormatError, header(size=b"00000000009\0")),
    "size with an underscore": (LayerFormatError, header(size=b"0000000_001\0")),
    "size in python's octal": (LayerFormatError, header(size=b"0o000000001\0")),
    "absurd size": (LayerFormatError, header(size=b"\x80" + b"\xff" * 11)),
    "size of half the address space": (LayerFormatError, header(size=b"\x80" + (2**62).to_bytes(11, "big"))),
    "size beyond the end": (LayerFormatError, header(size=b"77777777777\0")),
    "negative pax size": (LayerFormatError, pax(size=b"-1") + header()),
    "absurd pax size": (LayerFormatError, pax(size=b"9" * 30) + header()),
    "absurd pax time": (LayerFormatError, pax(mtime=b"9" * 18) + header()),
    "pax time that is no number": (LayerFormatError, pax(mtime=b"nan") + header()),
    "absurd time": (LayerFormatError, header(mtime=b"\x80" + b"\xff" * 11)),
    "mode that is not octal": (LayerFormatError, header(mode=b"rwxr-xr-")),
    "wrong checksum": (LayerFormatError, header(checksum=b"000001\0 ")),
    "no checksum": (LayerFormatError, header(checksum=bytes(8))),
    "pax record longer than its header": (LayerFormatError, member(b"pax", b"99 path=a\n", b"x") + header()),
    "pax record that is none": (LayerFormatError, member(b"pax", b"rubbish", b"x") + header()),
    "global path": (LayerFormatError, pax(b"g", path=b"a") + header()),
    "global size": (LayerFormatError, pax(b"g", size=b"512") + header()),
    "two pax headers": (LayerFormatError, pax(path=b"a") + pax(path=b"b") + header()),
    "two long names": (LayerFormatError, member(b"l", b"a\0", b"L") * 2 + header()),
    "pax header of nothing": (LayerFormatError, pax(path=b"a")),
    "enormous pax header": (LayerTooLargeError, header(b"pax", b"x", b"77777777777\0") + header()),
    "enormous long name": (LayerTooLargeError, header(b"l", b"L", b"77777777777\0") + header()),
    "lone zero block": (LayerFormatError, bytes(512) + header()),
}


@pytest.mark.parametrize(("error", "tar"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_tars_are_refused(error: type[KubeimageError], tar: bytes) -> None:
    with pytest.raises(error):
        read(tar + END)


GOOD = member(b"d/a", b"x" * 700) + header(b"d/b") + END


@pytest.mark.parametrize("size", [513, 1000, 1535, 1537, 2047])
def test_a_truncated_tar_is_refused_wherever_it_ends(size: int) -> None:
    with pytest.raises(LayerFormatError, match="truncated"):
        read(GOOD[:size])


@pytest.mark.parametrize("size", [1, 511])
def test_what_is_shorter_than_one_header_is_no_tar(size: int) -> None:
    with pytest.raises(LayerFormatError, match="no tar"):
        read(GOOD[:size])


@pytest.mark.parametrize(("size", "names"), [(0, []), (1536, ["d/a"]), (2048, ["d/a", "d/b"]), (2560, ["d/a", "d/b"])])
def test_the_blocks_at_the_end_may_be_missing(size: int, names: list[str]) -> None:
    assert [entry.path for entry in read(GOOD[:size])] == names


def test_a_hard_link_may_be_written_otherwise_than_its_first_file() -> None:
    tar = member(b"/d//a", b"abc") + header(b"./b", b"1", link=b"/d/./a") + END

    assert read(tar)[1] == Entry("b", Kind.HARDLINK, 0o644, target="d/a")


def test_a_hard_link_to_a_device_hides_as_the_device_does() -> None:
    assert read(header(b"a", b"3") + header(b"b", b"1", link=b"a") + END) == [whiteout("a"), whiteout("b")]


def test_content_after_the_end_is_refused() -> None:
    with pytest.raises(LayerFormatError, match="goes on"):
        read(GOOD + header(b"hidden") + END)


def test_a_compressed_tar_is_no_tar() -> None:
    with pytest.raises(LayerFormatError, match="at byte 0"):
        read(b"\x1f\x8b" + os.urandom(2000))


def test_an_error_says_where_it_is() -> None:
    with pytest.raises(LayerFormatError, match=re.escape("(at byte 1536 of the tar)")):
        read(member(b"a", b"x" * 600) + header(checksum=bytes(8)) + END)


def test_more_entries_than_allowed_are_refused() -> None:
    tar = b"".join(header(b"%d" % number) for number in range(4)) + END

    assert len(read(tar, max_entries=4)) == 4
    with pytest.raises(LayerTooLargeError, match="more than the 3 entries"):
        read(tar, max_entries=3)


def test_more_content_than_allowed_is_refused_before_it_is_read() -> None:
    tar = member(b"a", b"x" * 600) + header(b"b", size=b"77777777777\0")

    with pytest.raises(LayerTooLargeError, match="more than the 1000 bytes"):
        read(tar, max_bytes=1000)


def test_a_short_tar_that_implies_very_many_directories_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespace, "_MOST_IMPLIED", 3_000)
    tar = b"".join(header(b"%d/" % number + b"a/" * 40 + b"b") for number in range(10)) + END

    with pytest.raises(LayerTooLargeError, match="implies"):
        read(tar)


def test_contents_can_be_read_in_part_or_not_at_all() -> None:
    tar = member(b"a", b"abcdef") + member(b"b", b"x" * 600) + header(b"s", b"2", link=b"t") + member(b"c", b"z") + END

    found = {entry.path: content and content.read(3) for entry, content in iter_contents(io.BytesIO(tar))}

    assert found == {"a": b"abc", "b": b"xxx", "s": None, "c": b"z"}


def test_contents_end_where_the_file_does() -> None:
    _, content = next(iter_contents(io.BytesIO(member(b"a", b"abc") + END)))

    assert content is not None
    assert (content.read(), content.read(), content.read(1)) == (b"abc", b"", b"")


def test_contents_can_be_digested_as_files() -> None:
    tar = member(b"a", b"x" * 3000) + header(b"b", b"1", link=b"a") + END

    contents = iter_contents(io.BytesIO(tar))
    digests = [hashlib.file_digest(cast("io.BytesIO", content), "sha256").digest() for _, content in contents]

    assert digests == [hashlib.sha256(b"x" * 3000).digest()] * 2


def test_content_that_is_cut_off_is_no_content() -> None:
    tar = io.BytesIO(member(b"a", b"x" * 3000)[:2000])
    _, content = next(iter_contents(tar))

    assert content is not None
    with pytest.raises(LayerFormatError, match="truncated"):
        content.read()


def test_places_are_where_contents_begin() -> None:
    tar = member(b"a", b"first") + header(b"d/", b"5") + member(b"d/b", b"second" * 500) + END

    found = {entry.path: tar[place : place + entry.size] for entry, place in iter_places(io.BytesIO(tar))}

    assert found == {"a": b"first", "d": b"", "d/b": b"second" * 500}


def test_a_buffer_is_gone_around_and_stands_where_it_stood(tmp_path: Path) -> None:
    tar = member(b"a", b"first") + member(b"b", b"second") + END
    (tmp_path / "tar").write_bytes(b"before" + tar)

    with open(tmp_path / "tar", "rb") as stream:
        assert stream.read(6) == b"before"
        paths = [entry.path for entry in iter_entries(stream)]
        rest = stream.read()

    assert paths == ["a", "b"]
    assert rest == tar


def test_reading_starts_where_the_stream_stands() -> None:
    stream = io.BytesIO(b"x" * 100 + GOOD)
    stream.seek(100)

    assert [entry.path for entry in iter_entries(stream)] == ["d/a", "d/b"]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_pythons_tars_are_read(form: int) -> None:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=form) as archive:
        for name in ("./d", "./d/" + "n" * 90, "./d/" + "m" * 90):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o750, 7
            archive.addfile(info)

    assert read(tar.getvalue()) == [
        Entry(path, Kind.DIRECTORY, 0o750, mtime=7) for path in ("d", "d/" + "n" * 90, "d/" + "m" * 90)
    ]


@given(st.data())
def test_damaged_bytes_give_entries_or_an_error_of_ours(data: st.DataObject) -> None:
    tar = bytearray(
        pax(path=b"p/q", SCHILY__xattr__user__a=b"v") + header() + member(b"l", LONG + b"\0", b"L") + header() + GOOD
    )
    for _ in range(data.draw(st.integers(1, 4))):
        tar[data.draw(st.integers(0, len(tar) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(tar)) | st.just(len(tar)))

    try:
        found = read(bytes(tar[:cut]))
    except KubeimageError:
        return
    assert all(not entry.path.startswith("/") and ".." not in entry.path.split("/") for entry in found)


@given(st.binary(max_size=1500).filter(any))
def test_rubbish_is_refused(data: bytes) -> None:
    with pytest.raises(LayerFormatError):
        read(data)
