"""Which layers packed images are cut into, and which stay when others come and go."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.discovery.references import parse_image
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.reference import Reference
from kubeimage.layer.entry import Entry, directory, file
from kubeimage.packing.cutting import ALL, MOST_LAYERS, RECORD, SHARED, Piece, cut, merge
from kubeimage.packing.layout import Contents, blob_entry, blob_path
from kubeimage.protocols.cachekey import Fields
from tests.kubeimage.packing.cuts import union
from tests.properties.examples import examples

POOL = [f"blob {number}".encode() for number in range(6)]
CONTENT: dict[Digest, bytes] = {Digest.of(data): data for data in POOL}
NAMES = [f"r.io/{name}:{tag}" for name in ("a", "b/c", "d", "e", "f/g/h", "i", "j", "k") for tag in ("1", "2")]


def described(data: bytes) -> Descriptor:
    CONTENT[Digest.of(data)] = data
    return Descriptor("", Digest.of(data), len(data))


def image(name: str, blobs: Sequence[int] = (), own: str = "") -> Contents:
    """Make an image with a manifest and a config that are its own, and these blobs of the pool."""
    manifest = described(f"manifest {name} {own} {blobs}".encode())
    layers = (*(described(POOL[number]) for number in blobs), described(f"layer {name} {own}".encode()))
    return Contents(parse_image(name), manifest.digest, (manifest,), described(f"config {name}".encode()), layers)


def recorded(images: Sequence[Contents]) -> list[Entry]:
    return [file("registry/images.json", "".join(sorted(str(one.image) for one in images)).encode())]


def cut_up(images: Sequence[Contents], room: int = 128) -> list[Piece]:
    return cut(images, recorded(images), tree={}, packed={}, room=room, mtime=0)


image_sets = st.dictionaries(
    st.sampled_from(NAMES), st.lists(st.integers(0, len(POOL) - 1), unique=True, max_size=3), min_size=1, max_size=12
)


def images_of(chosen: dict[str, list[int]]) -> list[Contents]:
    return [image(name, blobs) for name, blobs in sorted(chosen.items())]


@examples(1)
@given(image_sets, st.integers(1, 20), st.data())
def test_the_layers_together_are_the_same_folder_whatever_room_and_order_there_is(
    chosen: dict[str, list[int]], room: int, data: st.DataObject
) -> None:
    images = images_of(chosen)
    shuffled = data.draw(st.permutations(images))

    pieces = cut_up(images, room)

    assert len(pieces) <= min(room, MOST_LAYERS)
    assert union(pieces, CONTENT) == union(cut_up(images, 1), CONTENT)
    assert [piece.fields() for piece in cut_up(shuffled, room)] == [piece.fields() for piece in pieces]


@examples(1)
@given(image_sets, st.integers(1, 20))
def test_every_blob_lies_in_one_layer(chosen: dict[str, list[int]], room: int) -> None:
    blobs = [
        entry.path
        for piece in cut_up(images_of(chosen), room)
        for entry in piece.entries
        if entry.path.endswith("/data")
    ]

    assert len(blobs) == len(set(blobs))


@examples(2)
@given(image_sets, st.sampled_from(NAMES), st.lists(st.integers(0, len(POOL) - 1), unique=True), st.integers(3, 20))
def test_one_image_more_or_less_makes_few_new_layers(
    chosen: dict[str, list[int]], name: str, blobs: list[int], room: int
) -> None:
    without = {other: found for other, found in chosen.items() if other != name}
    few, many = images_of(without), images_of({**without, name: blobs})
    moved = _users_of_what_becomes_shared(few, blobs)

    for before, after in ((few, many), (many, few)):
        old = {piece.fields() for piece in cut_up(before, room)}
        new = [piece for piece in cut_up(after, room) if piece.fields() not in old]

        sets = [piece for piece in new if piece.name not in (SHARED, RECORD)]
        fits = len(many) <= min(room, MOST_LAYERS) - 2
        assert len(sets) <= (1 if fits else 2) + moved
        assert len([piece for piece in new if piece.name == RECORD]) <= 1
        assert len([piece for piece in new if piece.name == SHARED]) <= (1 if moved else 0)


def _users_of_what_becomes_shared(images: Sequence[Contents], blobs: Sequence[int]) -> int:
    """How many of ``images`` are the only ones with one of ``blobs``."""
    users = [
        [one.image for one in images if Digest.of(POOL[number]) in {layer.digest for layer in one.layers}]
        for number in blobs
    ]
    return len({found[0] for found in users if len(found) == 1})


@examples(1)
@given(st.sets(st.integers(0, 500), min_size=1, max_size=150), st.integers(0, 500), st.integers(1, 70))
def test_sets_are_merged_so_that_one_image_changes_at_most_two(numbers: set[int], another: int, most: int) -> None:
    few = [_named(number) for number in numbers - {another}]
    many = [*few, _named(another)]
    old, new = ({tuple(one) for one in merge(images, most)} for images in (few, many))

    assert len(new) == min(most, len(many))
    assert sorted(map(str, many)) == sorted(str(image) for one in new for image in one)
    assert len(new - old) <= (2 if len(many) > most else 1)
    assert len(old - new) <= 2


def _named(number: int) -> Reference:
    return parse_image(f"r.io/app{number // 3}:v{number}")


def test_an_image_that_is_changed_makes_its_layer_and_the_record_anew() -> None:
    images = [image(name, [0, 1]) for name in NAMES[:8]]
    changed = [image(NAMES[0], [0, 1], own="new"), *images[1:]]
    old = {piece.fields() for piece in cut_up(images)}

    # The record holds digests; here it holds names alone.
    assert [piece.name for piece in cut_up(changed) if piece.fields() not in old] == [NAMES[0]]


def test_layers_come_in_the_order_of_names_between_what_is_shared_and_the_record() -> None:
    pieces = cut_up([image(name, [1]) for name in sorted(["r.io/z:1", "r.io/a:1", "r.io/m:1"])])

    assert [piece.name for piece in pieces] == [SHARED, "r.io/a:1", "r.io/m:1", "r.io/z:1", RECORD]


@pytest.mark.parametrize(
    ("room", "names"),
    [
        (1, [ALL]),
        (2, ["r.io/a:0, r.io/a:1, r.io/a:2 and 2 more", RECORD]),
        (3, [SHARED, "r.io/a:0, r.io/a:1, r.io/a:2 and 2 more", RECORD]),
    ],
)
def test_where_there_is_little_room_all_images_are_one_set(room: int, names: list[str]) -> None:
    images = [image(f"r.io/a:{number}", [0]) for number in range(5)]

    assert [piece.name for piece in cut_up(images, room)] == names


def test_however_much_room_there_is_sixty_four_layers_are_made() -> None:
    images = [image(f"r.io/app{number:03}:1", [0]) for number in range(200)]

    assert len(cut_up(images)) == MOST_LAYERS


def test_images_of_one_repository_are_merged_first() -> None:
    images = [parse_image(f"r.io/{name}") for name in ("a:1", "b:1", "c:1", "same:1", "same:2")]

    assert [list(map(str, one)) for one in merge(images, 4)] == [
        ["r.io/a:1"],
        ["r.io/b:1"],
        ["r.io/c:1"],
        ["r.io/same:1", "r.io/same:2"],
    ]


def test_what_lies_below_is_left_out_and_its_folders_are_kept_as_they_are() -> None:
    one, two = image("r.io/a:1", [0]), image("r.io/b:1", [0, 1])
    below = {entry.path: entry for piece in cut_up([one]) for entry in piece.entries}
    below["registry"] = below["registry"]._replace(mode=0o700)

    pieces = cut([one, two], recorded([one, two]), tree=below, packed={one.image: one.digest}, room=9, mtime=5)

    assert [piece.name for piece in pieces] == ["r.io/b:1", RECORD]
    assert blob_path(Digest.of(POOL[0])) not in {entry.path for entry in pieces[0].entries}
    assert {entry.mode for piece in pieces for entry in piece.entries if entry.path == "registry"} == {0o700}
    assert {entry.mtime for piece in pieces for entry in piece.entries} == {5}


def test_links_of_an_image_that_means_another_one_now_are_written_again() -> None:
    old, new = image("r.io/a:1"), image("r.io/a:1", own="new")
    below = {entry.path: entry for piece in cut_up([old]) for entry in piece.entries}

    (piece, _) = cut([new], recorded([new]), tree=below, packed={old.image: old.digest}, room=9, mtime=0)

    assert sum(entry.path.endswith("/current/link") for entry in piece.entries) == 1


@pytest.mark.parametrize(
    "other",
    [
        blob_entry(Digest.of(b"y"), 1),
        blob_entry(Digest.of(b"x"), 2),
        blob_entry(Digest.of(b"x"), 1)._replace(mode=0o600),
        blob_entry(Digest.of(b"x"), 1)._replace(mtime=1),
        blob_entry(Digest.of(b"x"), 1)._replace(owner=(1, 0)),
        blob_entry(Digest.of(b"x"), 1)._replace(path="other"),
        file(blob_path(Digest.of(b"x")), b"z"),
        directory(blob_path(Digest.of(b"x"))),
    ],
)
def test_whatever_is_in_a_layer_is_in_its_key(other: Entry) -> None:
    assert fields(other) != fields(blob_entry(Digest.of(b"x"), 1))


def test_a_folder_s_attributes_are_in_the_key() -> None:
    assert fields(directory("d")) != fields(directory("d")._replace(xattrs=(("user.a", b"1"),)))


def fields(entry: Entry) -> Fields:
    return Piece("x", (), (entry,)).fields()
