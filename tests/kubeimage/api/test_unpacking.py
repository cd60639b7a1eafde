"""What ADD unpacks: any archive gives its tree, and none does harm."""

import bz2
import gzip
import io
import lzma
import random
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.api import unpacking
from kubeimage.api.unpacking import read_archive
from kubeimage.errors import AdditionError
from kubeimage.layer.entry import Kind, canonical_order

CODINGS = {
    "tar": lambda data: data,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
}
NAMES = st.text("ab.", min_size=1, max_size=2).filter(lambda name: name not in (".", ".."))
FILES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=3), max_size=6)


def pack(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@given(files=FILES, coding=st.sampled_from(sorted(CODINGS)))
def test_an_archive_gives_its_files_in_canonical_order(
    files: dict[str, bytes], coding: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = {path: data for path, data in files.items() if not any(other.startswith(f"{path}/") for other in files)}
    folder = tmp_path_factory.mktemp("out")
    packed = CODINGS[coding](pack(*((member(path), data) for path, data in files.items())))

    found = read_archive(packed, str(folder))

    if not files:
        assert found is None
        return
    assert found is not None
    assert found == canonical_order(found)
    assert {one.path: Path(str(one.source)).read_bytes() for one in found if one.kind is Kind.FILE} == files
    folders = {path.rpartition("/")[0] for path in files if "/" in path}
    assert folders <= {one.path for one in found if one.kind is Kind.DIRECTORY}


def test_the_first_of_a_file_s_names_is_the_file(tmp_path: Path) -> None:
    packed = pack(
        (member("z"), b"1"), (member("a", tarfile.LNKTYPE, "z"), b""), (member("m", tarfile.LNKTYPE, "z"), b"")
    )

    found = read_archive(packed, str(tmp_path))

    assert found is not None
    assert [(one.path, one.kind, one.target) for one in found] == [
        ("a", Kind.FILE, ""),
        ("m", Kind.HARDLINK, "a"),
        ("z", Kind.HARDLINK, "a"),
    ]


@pytest.mark.parametrize(
    "bad",
    [
        member("../out"),
        member("a/../../out"),
        member(".wh.a"),
        member("a/.wh..wh..opq"),
        member("null", tarfile.CHRTYPE),
        member("disk", tarfile.BLKTYPE),
        member("link", tarfile.LNKTYPE, "nowhere"),
        member("link", tarfile.LNKTYPE, "../../etc/passwd"),
    ],
    ids=lambda one: f"{one.name}-{one.linkname}",
)
def test_what_no_layer_can_hold_is_refused(bad: tarfile.TarInfo, tmp_path: Path) -> None:
    packed = pack((member("first"), b"1"), (bad, b""))

    with pytest.raises(AdditionError, match="ADD cannot unpack") as caught:
        read_archive(packed, str(tmp_path))
    assert caught.value.hint


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_a_damaged_archive_is_an_error(coding: str, tmp_path: Path) -> None:
    packed = CODINGS[coding](pack((member("a"), random.Random(1).randbytes(5 << 19))))

    with pytest.raises(AdditionError):
        read_archive(packed[: len(packed) // 2], str(tmp_path))


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_an_archive_that_would_fill_the_disk_is_refused(
    coding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "_MOST_BYTES", 1 << 20)
    monkeypatch.setattr(unpacking, "_MOST_TIMES", 0)
    packed = CODINGS[coding](pack((member("a"), bytes(8 << 20))))

    with pytest.raises(AdditionError, match="more than"):
        read_archive(packed, str(tmp_path))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2 << 20


def test_an_archive_of_too_many_entries_is_refused(tmp_path: Path) -> None:
    packed = pack(*((member(f"f{number}"), b"") for number in range(5)))

    with pytest.raises(AdditionError, match="4 entries"):
        read_archive(packed, str(tmp_path), most_entries=4)


@pytest.mark.parametrize(
    "data", [b"", b"x", b"text" * 500, gzip.compress(b"x", mtime=0), b"BZh91", b"\xfd7zXZ\0no", bytes(2048)]
)
def test_what_is_no_archive_is_left_as_it_is(data: bytes, tmp_path: Path) -> None:
    assert read_archive(data, str(tmp_path)) is None
