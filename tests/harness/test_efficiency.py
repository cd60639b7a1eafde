import pytest

from harness.efficiency import Efficiency, measure
from kubeimage.layer.entry import Entry, directory, file, opaque, whiteout

BIG = file("dir/big", bytes(90))
SMALL = file("dir/small", bytes(10))


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([], Efficiency(1.0, 0)),
        ([[directory("dir"), BIG], [directory("dir"), SMALL]], Efficiency(1.0, 0)),
        ([[BIG], [BIG]], Efficiency(0.5, 180)),
        ([[BIG], [file("dir/big", bytes(10))]], Efficiency(0.1, 100)),
        ([[BIG, SMALL], [whiteout("dir/big")]], Efficiency(0.1, 90)),
        ([[directory("dir"), BIG, SMALL], [whiteout("dir")]], Efficiency(1.0, 0)),
        ([[directory("dir"), BIG, SMALL], [opaque("dir")]], Efficiency(0.0, 100)),
    ],
    ids=["nothing", "no repeats", "the same twice", "a smaller one", "a deleted file", "a deleted folder", "opaque"],
)
def test_efficiency_is_what_dive_measures(layers: list[list[Entry]], expected: Efficiency) -> None:
    assert measure(layers) == expected
