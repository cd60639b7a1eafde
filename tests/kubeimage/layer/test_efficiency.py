import pytest

from kubeimage.layer.efficiency import Occurrence, measure
from kubeimage.layer.entry import Entry, directory, file, opaque, whiteout

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
        ([[directory("dir"), BIG, SMALL], [opaque("dir")]], (0.0, 100)),
    ],
    ids=["nothing", "no repeats", "the same twice", "a smaller one", "a deleted file", "a deleted folder", "opaque"],
)
def test_efficiency_is_what_dive_measures(layers: list[list[Entry]], expected: tuple[float, int]) -> None:
    found = measure(layers)

    assert (found.score, found.wasted) == expected


def test_what_is_repeated_is_named_with_its_layers() -> None:
    found = measure([[BIG, SMALL], [file("dir/big", b"1")], [whiteout("dir/big")]])

    assert found.repeated == {"dir/big": [Occurrence(0, 90), Occurrence(1, 1), Occurrence(2, 0)]}
