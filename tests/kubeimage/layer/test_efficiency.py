import pytest

from kubeimage.layer.efficiency import Occurrence, measure
from kubeimage.layer.entry import Entry, directory, file, opaque, symlink, whiteout

BIG = file("dir/big", bytes(90))
SMALL = file("dir/small", bytes(10))


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([], (1.0, 0)),
        ([[directory("dir"), BIG], [directory("dir"), SMALL]], (1.0, 0)),
        ([[BIG], [BIG]], (0.5, 180)),
        ([[BIG], [file("dir/big", bytes(10))]], (0.1, 100)),
        ([[BIG, SMALL], [whiteout("dir/big")]], (0.1, 90)),
        ([[directory("dir"), BIG, SMALL], [whiteout("dir")]], (1.0, 0)),
        ([[directory("dir"), BIG, SMALL], [whiteout("dir")], [whiteout("dir/none")]], (199 / 200, 0)),
        ([[directory("dir"), BIG, SMALL], [opaque("dir")]], (1.0, 0)),
        ([[BIG, SMALL], [directory("dir")], [opaque("dir")]], (1.0, 0)),
        ([[BIG, SMALL], [whiteout("dir")]], (1.0, 0)),
        ([[BIG], [directory("dir"), BIG], [whiteout("dir")]], (180 / 270, 180)),
        ([[directory("dir"), BIG], [BIG], [whiteout("dir")]], (0.5, 180)),
        ([[BIG], [whiteout("a"), BIG]], (89 / 90, 0)),
        ([[BIG], [BIG, whiteout("z")]], (89 / 90, 0)),
        ([[directory("dir"), BIG], [file("dir", b"1")], [whiteout("dir")]], (90 / 91, 1)),
        ([[BIG, symlink("l", "dir")], [symlink("l", "x")]], (1.0, 0)),
        ([[whiteout("dir/big"), BIG]], (0.0, 90)),
        ([[file("-", bytes(90))], [file("-", bytes(90)), whiteout("z")]], (89 / 180, 180)),
    ],
    ids=[
        "nothing",
        "no repeats",
        "the same twice",
        "a smaller one",
        "a deleted file",
        "a deleted folder",
        "a deletion of nothing",
        "an opaque folder",
        "a leaf folder that is emptied",
        "an implied folder is deleted",
        "a folder becomes one",
        "a folder is one no more",
        "nothing is deleted",
        "nothing is deleted ahead of others",
        "a folder becomes a file",
        "symlinks",
        "a deletion in the first layer",
        "nothing is deleted behind others",
    ],
)
def test_efficiency_is_what_dive_measures(layers: list[list[Entry]], expected: tuple[float, int]) -> None:
    found = measure(layers)

    assert (found.score, found.wasted) == expected


def test_what_is_repeated_is_named_with_its_layers() -> None:
    found = measure([[BIG, SMALL], [file("dir/big", b"1")], [whiteout("dir/big")]])

    assert found.repeated == {"dir/big": [Occurrence(0, 90), Occurrence(1, 1), Occurrence(2, 0)]}


@pytest.mark.parametrize(
    ("layers", "expected"),
    [([[BIG], [BIG, SMALL]], 1.8), ([[BIG]], "nan"), ([[BIG], [whiteout("dir/big")]], "inf")],
    ids=["some", "one layer", "nothing but a deletion"],
)
def test_the_user_s_bytes_are_those_behind_the_first_layer(layers: list[list[Entry]], expected: float | str) -> None:
    assert str(measure(layers).user_wasted) == str(expected)
