"""A blob that is read by ranges: its own bytes at every place, or an error, whatever a registry makes of ranges."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.fakes.registry import FakeRegistry
from harness.fakes.registry.faults import Answer
from harness.fakes.registry.messages import Request, Response
from kubeimage.errors import RegistryError
from kubeimage.image.oci import Descriptor
from kubeimage.registry.ranges import RangeFile
from tests.properties.examples import examples

from .conftest import REPOSITORY, Clients

FIRST = 1_000
DATA = bytes((number * 7 + number // 251) % 256 for number in range(40_000))
BLOB = Descriptor.of("x", DATA)


def _with_range(response: Response, text: str | None) -> Response:
    headers = {name: value for name, value in response.headers.items() if name != "content-range"}
    return replace(response, headers=headers if text is None else {**headers, "content-range": text})


def _elsewhere(response: Response) -> Response:
    """Return as many bytes of another place, and nothing that says so."""
    start = int(response.headers["content-range"].removeprefix("bytes ").partition("-")[0])
    other = (start + 500) % (len(DATA) - len(response.body) + 1)
    return replace(_with_range(response, None), body=DATA[other : other + len(response.body)])


MANNERS: dict[str, Callable[[Response], Response]] = {
    "right": lambda right: right,
    "all of it": lambda _part: Response(200, {"content-type": "application/octet-stream"}, DATA),
    "no place": lambda right: _with_range(right, None),
    "an empty place": lambda right: _with_range(right, ""),
    "another place": lambda right: _with_range(right, f"bytes 7-{6 + len(right.body)}/{len(DATA)}"),
    "a place of no number": lambda right: _with_range(right, "bytes */40000"),
    "another unit": lambda right: _with_range(right, right.headers["content-range"].replace("bytes", "lines")),
    "bytes of another place": _elsewhere,
    "a byte less": lambda right: replace(right, body=right.body[:-1]),
    "a byte more": lambda right: replace(right, body=right.body + b"x"),
    # Who goes on from there has all of it in the end.
    "cut": lambda right: replace(right, cut=len(right.body) // 2),
}


@dataclass(frozen=True)
class Manner:
    """A registry's way with ranges."""

    name: str

    def apply(self, _request: Request, answer: Answer) -> Response:
        """Answer in that way."""
        right = answer()
        return MANNERS[self.name](right) if right.status == 206 else right


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    made = Clients(tmp_path_factory.mktemp("docker"))
    yield made
    made.close()


PLACES = st.one_of(st.integers(0, len(DATA)), st.sampled_from([0, 511, 512, 513, FIRST - 1, FIRST, FIRST + 1]))


@examples(0.4)
@given(
    st.lists(st.sampled_from([*MANNERS]), max_size=6),
    st.lists(st.tuples(PLACES, st.integers(1, 5_000)), min_size=1, max_size=8),
)
def test_what_is_read_is_what_stands_there(clients: Clients, manners: list[str], reads: list[tuple[int, int]]) -> None:
    with FakeRegistry() as registry:
        registry.put_blob(REPOSITORY, DATA)
        for manner in manners:
            registry.on("GET */blobs/*", Manner(manner))
        with RangeFile(clients.repository(registry.host), BLOB, lambda _more: None, first=FIRST) as file:
            for place, count in reads:
                file.seek(place)
                try:
                    found = file.read(count)
                except RegistryError:
                    assert {*manners} - {"right", "all of it", "cut"}
                    return
                assert found == DATA[place : place + count]


@pytest.mark.parametrize("manner", MANNERS)
def test_an_answer_is_taken_only_where_it_says_its_place(clients: Clients, manner: str) -> None:
    with FakeRegistry() as registry:
        registry.put_blob(REPOSITORY, DATA)
        registry.on("GET */blobs/*", Manner(manner), times=None)
        with RangeFile(clients.repository(registry.host), BLOB, lambda _more: None, first=FIRST) as file:
            file.seek(20_000)
            if manner in ("right", "all of it", "cut"):
                assert file.read(3_000) == DATA[20_000:23_000]
            else:
                with pytest.raises(RegistryError):
                    file.read(3_000)


@pytest.mark.parametrize("stopped", [1, FIRST // 2, FIRST - 1, FIRST])
@pytest.mark.parametrize("skipped", [0, 1, FIRST // 2, FIRST - 1, FIRST, FIRST + 1, 20_000, -1])
def test_who_goes_on_from_anywhere_finds_what_stands_there(clients: Clients, stopped: int, skipped: int) -> None:
    """Whether that is in the answer that is open, at its end, a little behind it, or before it."""
    with FakeRegistry() as registry:
        registry.put_blob(REPOSITORY, DATA)
        with RangeFile(clients.repository(registry.host), BLOB, lambda _more: None, first=FIRST) as file:
            assert file.read(stopped) == DATA[:stopped]
            place = file.seek(stopped + skipped)
            assert file.read(10) == DATA[place : place + 10]
