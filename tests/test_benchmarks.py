"""What `python -m benchmarks` makes of its figures: plots and a page. Nothing is measured here."""

import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.__main__ import Report
from benchmarks.compare import Bench, Row
from benchmarks.figures import Figure, Memory
from benchmarks.measuring import Sample
from benchmarks.plots import HEIGHT, WIDTH, Axis, plot

SVG = "{http://www.w3.org/2000/svg}"
FIGURE = Figure("images", "Many images", "images", "seconds", {"tag": [(10, 0.1), (10_000, 0.25)], "rmi": [(10, 0.2)]})
amounts = st.floats(1e-4, 1e7)


@given(points=st.lists(st.tuples(amounts, amounts), min_size=1, max_size=6))
def test_every_point_has_a_place_within_the_picture(points: list[tuple[float, float]]) -> None:
    picture = ET.fromstring(plot("a < b & c", "files", "seconds", {"ours": points}))

    places = [(float(one.attrib["cx"]), float(one.attrib["cy"])) for one in picture.iter(f"{SVG}circle")]
    assert len(places) == len(points)
    assert all(0 <= across <= WIDTH and 0 <= up <= HEIGHT for across, up in places)


@given(least=amounts, largest=amounts)
def test_an_axis_goes_on_by_equal_factors(least: float, largest: float) -> None:
    axis = Axis.around([least, largest], 0, 100)

    places = [axis.place(tick) for tick in axis.ticks]
    steps = {round(after - before, 6) for before, after in pairwise(places)}
    assert (places[0], round(places[-1], 6), len(steps)) == (0, 100, 1)


def test_what_is_nothing_has_no_place() -> None:
    with pytest.raises(ValueError, match="nothing to plot"):
        plot("title", "files", "seconds", {"ours": [(10, 0.0)]})


def test_a_page_says_which_targets_are_met_and_shows_how_it_grows(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 5, 1.0, ["none"])
    report = Report(bench)
    fast, slow = [Sample(1.0, 1.0, 0)], [Sample(4.0, 4.0, 0)]
    bench.keep(Row("a build", fast, "BuildKit", slow, 0.5))
    bench.keep(Row("a push", slow, "skopeo", fast, 2))
    report.memory.append(Memory("a build", 151, 150))
    report.figures.append(FIGURE)
    (tmp_path / "docs").mkdir()

    report.write(tmp_path / "docs" / "page.md", "python -m benchmarks")

    page = (tmp_path / "docs" / "page.md").read_text().splitlines()
    assert "| a build | 1.000 | BuildKit | 4.000 | 0.25 | 0.5 | yes |" in page
    assert "| a push | 4.000 | skopeo | 1.000 | 4.00 | 2 | no |" in page
    assert "| a build | 151 | 150 | no |" in page
    assert page[-3:] == ["| --- | --- | --- |", "| tag | 0.100 | 0.250 |", "| rmi | 0.200 |  |"]
    assert (tmp_path / "docs" / "pictures" / "growth-images.svg").read_text() == FIGURE.svg


def test_each_part_of_the_benchmark_has_a_name(tmp_path: Path) -> None:
    parts = Report(Bench(tmp_path, 1, 1.0, ["none"])).parts

    assert {"start", "small", "big", "wide", "million", "store", "records", "layers", "kubefiles"} <= parts.keys()
