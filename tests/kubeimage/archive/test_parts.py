"""Archives in parts: cut anywhere, put together in any order, and whatever happens to a part is told by its name."""

import io
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.archive.bundle import BUNDLE, PART, SUMS, Bundle, LeftOut, PartOf
from kubeimage.archive.members import read_members
from kubeimage.archive.outgoing import Outgoing, PartWriter, in_parts, write_whole
from kubeimage.archive.parts import _pieces_of, is_part, join_parts, read_part
from kubeimage.archive.tarwriting import TarFile
from kubeimage.errors import ArchiveError, BlobCorruptError, UsageError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.reference import Reference
from tests.properties.examples import examples

SMALLEST = 20_000
APP = Bundle(images=(("app:v1", Digest.of(b"app")),))


class Blobs:
    """Blobs as a store gives them."""

    def __init__(self, contents: Sequence[bytes]) -> None:
        self.contents = {Digest.of(data): data for data in contents}
        self.opened: list[io.BytesIO] = []

    def open(self, blob: Descriptor) -> BinaryIO:
        self.opened.append(io.BytesIO(self.contents[blob.digest]))
        return self.opened[-1]


def members_of(contents: Sequence[bytes]) -> list[Outgoing]:
    blobs = [Outgoing(f"blobs/{Digest.of(data).hex}", Descriptor("", Digest.of(data), len(data))) for data in contents]
    return [Outgoing("index.json", b"{}"), Outgoing("blobs", None), Outgoing("empty", b""), *blobs]


def split(contents: Sequence[bytes], limit: int, bundle: Bundle = APP) -> list[bytes]:
    """Return the parts as files."""
    blobs = Blobs(contents)
    whole, parts = in_parts(bundle, members_of(contents), limit)
    writer = PartWriter(whole, parts, blobs.open)
    files = []
    for number in range(1, len(parts) + 1):
        pieces: list[bytes] = []
        writer.write(number, TarFile(lambda data, to=pieces: to.append(bytes(data))))  # type: ignore[misc]
        files.append(b"".join(pieces))
    writer.close()
    assert all(one.closed for one in blobs.opened)
    return files


def read(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return all files of the one archive that parts make."""
    parts = [read_part(name, read_members(io.BytesIO(data))) for name, data in files.items()]
    (members,) = join_parts(parts)
    return {name: b"".join(members.chunks(name)) for name in members}


def named(files: Sequence[bytes]) -> dict[str, bytes]:
    return {f"part{number}": data for number, data in enumerate(files, 1)}


shapes = st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 255)), max_size=5, unique=True)


@examples(1)
@given(shapes, st.integers(SMALLEST, 100_000), st.data())
def test_parts_are_small_enough_and_make_the_whole_in_any_order(
    chosen: list[tuple[int, int]], limit: int, data: st.DataObject
) -> None:
    contents = list(dict.fromkeys(bytes([seed]) * size for size, seed in chosen))
    files = split(contents, limit)
    order = data.draw(st.permutations(range(len(files))))

    assert all(len(one) <= limit for one in files)
    assert read({str(number): files[number] for number in order}) == {
        "index.json": b"{}",
        "empty": b"",
        **{f"blobs/{Digest.of(one).hex}": one for one in contents},
    }
    assert split(contents, limit) == files


@pytest.mark.parametrize("beside", [-513, -1, 0, 1, 100, 511, 512, 513])
@pytest.mark.parametrize("others", range(4))
@pytest.mark.parametrize("limit", [39_999, 40_000, 40_001, 40_300, 40_448])
def test_parts_are_small_enough_around_every_block(limit: int, others: int, beside: int) -> None:
    small = [bytes([number]) for number in range(others)]
    (first, *_) = split([*small, b"x" * 100_000], limit)
    # As much as the first part has of it, and a little more or less: what is left is no whole number of blocks.
    taken = max(one.size for one in members_in(first))

    files = split([*small, b"x" * (taken + beside)], limit)

    assert [len(one) for one in files if len(one) > limit] == []


def members_in(part: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(part)) as tar:
        return tar.getmembers()


BIG = [bytes(range(256)) * 400, b"x" * 50_000]
FILES = split(BIG, SMALLEST)
WHOLE = {"index.json": b"{}", "empty": b"", **{f"blobs/{Digest.of(one).hex}": one for one in BIG}}


def test_there_are_enough_parts_to_try_things_with() -> None:
    assert len(FILES) > 7


@examples(1)
@given(st.integers(0, len(FILES) - 1), st.data())
def test_a_part_that_is_cut_anywhere_is_named(number: int, data: st.DataObject) -> None:
    files = named(FILES)
    name = f"part{number + 1}"
    files[name] = files[name][: data.draw(st.integers(0, len(files[name]) - 1025))]

    with pytest.raises(ArchiveError) as caught:
        read_named(files)

    assert name in caught.value.message


@examples(2)
@given(st.integers(0, len(FILES) - 1), st.data())
def test_a_part_of_which_any_byte_is_another_is_named_or_says_the_same(number: int, data: st.DataObject) -> None:
    files = named(FILES)
    name = f"part{number + 1}"
    changed = bytearray(files[name])
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    files[name] = bytes(changed)

    try:
        found: object = read_named(files)
    except ArchiveError as error:
        found = name in error.message

    # The padding between members, owners and times are nobody's content.
    assert found in (True, WHOLE)


def read_named(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Read parts; what is wrong before anything is known of a part is told with its name by who opens the file."""
    for name, data in files.items():
        try:
            members = read_members(io.BytesIO(data))
        except ArchiveError as error:
            raise ArchiveError(f"{name}: {error}") from error
        if not is_part(members):
            raise ArchiveError(f"{name} is no part")
    return read(files)


@examples(1)
@given(st.sets(st.integers(1, len(FILES)), min_size=1, max_size=len(FILES) - 1))
def test_parts_that_are_missing_are_named(missing: set[int]) -> None:
    files = {name: data for name, data in named(FILES).items() if int(name.removeprefix("part")) not in missing}

    with pytest.raises(ArchiveError) as caught:
        read(files)

    listed = f"part {min(missing)} is" if len(missing) == 1 else f"parts {', '.join(map(str, sorted(missing)))} are"
    assert caught.value.message == f"{listed} missing of the {len(FILES)} of app:v1"


def test_a_part_that_is_there_twice_does_no_harm() -> None:
    assert read({**named(FILES), "again": FILES[3]}) == read(named(FILES))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(split(BIG, SMALLEST, Bundle(images=(("other:v1", Digest.of(b"")),))), id="another image"),
        pytest.param(split(BIG, SMALLEST + 512), id="parts of another size"),
        pytest.param(split([*BIG, b"y"], SMALLEST), id="other members"),
    ],
)
def test_a_part_of_another_bundle_is_no_stand_in_and_is_named(other: list[bytes]) -> None:
    files = {**named(FILES), "part2": other[1]}

    with pytest.raises(ArchiveError) as caught:
        read(files)

    assert f"part 2 is missing of the {len(FILES)} of app:v1" in caught.value.message
    assert "there are: part2 (part 2)" in caught.value.message


def test_a_part_says_of_itself_what_sha256sum_can_verify() -> None:
    with tarfile.open(fileobj=io.BytesIO(FILES[1])) as tar:
        members = tar.getnames()
        sums = tar.extractfile(SUMS)
        assert sums is not None
        lines = sums.read().decode().splitlines()

    assert members[:2] == [PART, BUNDLE]
    assert members[-1] == SUMS
    assert [line.split("  ")[1] for line in lines] == members[:-1]
    assert lines[0].split("  ")[0] == Digest.of(read_members(io.BytesIO(FILES[1])).read(PART)).hex


def test_parts_without_room_are_refused_with_the_least_size() -> None:
    with pytest.raises(UsageError, match="parts of 5000 bytes have no room") as caught:
        in_parts(APP, members_of(BIG), 5000)

    least = int(str(caught.value.hint).split()[2])
    whole, parts = in_parts(APP, members_of(BIG), least)
    assert sum(piece.size for part in parts for piece in part) == sum(map(len, BIG)) + 2
    assert whole.part_size == least


def test_a_blob_that_is_damaged_where_it_is_saved_is_an_error() -> None:
    blobs = Blobs(BIG)
    blobs.contents[Digest.of(BIG[0])] = BIG[0][:-1] + b"?"
    whole, parts = in_parts(APP, members_of(BIG), SMALLEST)
    writer = PartWriter(whole, parts, blobs.open)

    with pytest.raises(BlobCorruptError, match="is damaged: its bytes are"):
        for number in range(1, len(parts) + 1):
            writer.write(number, TarFile(lambda _: None))
    writer.close()


def test_a_bundle_is_read_back() -> None:
    name = Reference.parse("r.io/app:v1")
    bundle = Bundle((("app:v2", Digest.of(b"2")),), {name: Digest.of(b"1")}, (LeftOut(Digest.of(b"3"), 9, name),))

    assert Bundle.from_bytes(bundle.to_bytes()) == bundle
    assert Bundle.from_bytes(APP.to_bytes()) == APP


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "cannot be understood"),
        (b'{"version":2}', "it is a bundle of version 2; this kubeimage reads 1"),
        (b'{"version":1}', "cannot be understood"),
        (APP.to_bytes().replace(b'"part_size":null', b'"part_size":-1'), "cannot be understood"),
        (APP.to_bytes().replace(b'"members":[]', b'"members":[{"name":"a","size":true}]'), "cannot be understood"),
    ],
)
def test_a_bundle_that_cannot_be_read_is_told(data: bytes, message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        Bundle.from_bytes(data)


@pytest.mark.parametrize(
    ("part", "total", "message"), [(0, 3, "part 0 of 3"), (4, 3, "part 4 of 3"), ("1", 3, "cannot be understood")]
)
def test_a_part_that_is_none_of_its_own_is_told(part: object, total: int, message: str) -> None:
    data = PartOf(Digest.of(b""), 2, total).to_bytes()
    written = f'"part":{part}' if isinstance(part, int) else f'"part":"{part}"'

    with pytest.raises(ArchiveError, match=message):
        PartOf.from_bytes(data.replace(b'"part":2', written.encode()))


def test_all_in_one_file_has_the_same_members() -> None:
    blobs, pieces = Blobs(BIG), list[bytes]()

    write_whole(TarFile(lambda data: pieces.append(bytes(data))), members_of(BIG), blobs.open)

    members = read_members(io.BytesIO(b"".join(pieces)))
    assert {name: b"".join(members.chunks(name)) for name in members} == read(named(FILES))
    assert members.bundle is None


@pytest.mark.parametrize(
    ("places", "is_whole"),
    [
        ({0: 10, 10: 8}, True),
        ({0: 10, 12: 8}, False),
        ({0: 10, 8: 8}, False),
        ({2: 10, 12: 6}, False),
        ({0: 10}, False),
        ({0: 10, 10: 8, 18: 1}, False),
        ({}, False),
    ],
    ids=["whole", "a gap", "an overlap", "no beginning", "no end", "too much", "nothing"],
)
def test_pieces_make_a_file_only_where_each_begins_at_the_end_of_another(
    places: Mapping[int, int], is_whole: bool
) -> None:
    (some,) = [read_part("part", read_members(io.BytesIO(data))) for data in FILES[:1]]
    sizes = {f"blob.at.{place}": size for place, size in places.items()}
    members = SimpleNamespace(size=sizes.__getitem__)
    part: Any = SimpleNamespace(sums=dict.fromkeys(sizes, ""), members=members, bundle=some.bundle)

    with nullcontext() if is_whole else pytest.raises(ArchiveError, match="do not make all of 'blob'"):
        assert [one.name for one in _pieces_of({"blob": 18}, {1: part})["blob"]] == list(sizes)


def test_an_archive_ends_with_two_empty_blocks_as_tar_wants_them() -> None:
    for data in FILES:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            last = tar.getmembers()[-1]
        assert data[last.offset_data + last.size + -last.size % tarfile.BLOCKSIZE :] == bytes(2 * tarfile.BLOCKSIZE)


@pytest.mark.parametrize("bundle", [APP.to_bytes(), b"another"], ids=["its own", "another"])
def test_a_part_belongs_to_the_bundle_that_it_describes(bundle: bytes) -> None:
    files = {BUNDLE: APP.to_bytes(), PART: PartOf(Digest.of(bundle), 1, 1).to_bytes()}
    sums = "".join(f"{Digest.of(data).hex}  {name}\n" for name, data in files.items()).encode()
    forged = io.BytesIO()
    with tarfile.open(fileobj=forged, mode="w") as tar:
        for name, data in {**files, SUMS: sums}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    forged.seek(0)

    with nullcontext() if bundle == APP.to_bytes() else pytest.raises(ArchiveError, match="do not belong together"):
        read_part("part", read_members(forged))
