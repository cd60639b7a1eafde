"""Container images come from many registries at once, go on where they were cut, and say how far they are."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.fakes.registry import Drop, FakeRegistry, Request, Slow, Status, WrongBytes
from harness.fakes.registry.messages import Response
from kubeimage.api.distribution import pull_image
from kubeimage.errors import RegistryConnectionError, RegistryContentError, RegistryError
from kubeimage.image.digest import Digest
from kubeimage.registry.events import BlobProgress, ImageLookedUp, PackingProgress
from kubeimage.store.partial import LEAST
from tests.containers import small_image
from tests.kubeimage.packing.conftest import AMD64, Workshop, listing, publish
from tests.kubeimage.store.foreign import Foreign, make_foreign, tar_of

CUT = 3 * LEAST


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing between attempts."""
    monkeypatch.setattr("kubeimage.registry.registries.Registries._sleep", lambda _self, _seconds: None)


def large_image(text: str) -> Foreign:
    return make_foreign(tar_of({text: os.urandom(8 * LEAST)}), kind="none")


def layer_of(image: Foreign) -> Digest:
    return max(image.blobs, key=lambda digest: len(image.blobs[digest]))


@dataclass(frozen=True)
class Note:
    """Answers rightly, and notes what was asked for."""

    ranges: list[str] = field(default_factory=list)

    def apply(self, request: Request, answer: Callable[[], Response]) -> Response:
        self.ranges.append(request.headers.get("range", ""))
        return answer()


@dataclass(frozen=True)
class Whole:
    """Knows no ranges: whatever is asked for, the whole blob comes. Shape: ``sent`` counts."""

    data: bytes
    sent: list[int] = field(default_factory=list)

    def apply(self, _request: Request, _answer: Callable[[], Response]) -> Response:
        self.sent.append(len(self.data))
        return Response(200, {"content-type": "application/octet-stream"}, self.data)


@dataclass(frozen=True)
class Meet:
    """Waits for others: a request is answered when all registries that are to meet have been asked."""

    barrier: threading.Barrier

    def apply(self, _request: Request, answer: Callable[[], Response]) -> Response:
        self.barrier.wait()
        return answer()


def cut_off(registry: FakeRegistry, workshop: Workshop) -> tuple[Foreign, dict[str, str]]:
    """Let a build fail in the middle of a layer."""
    image = large_image("app")
    publish(registry, "app:v1", image)
    files = listing(f"{registry.host}/app:v1")
    # Each attempt goes on where the one before was cut: the fourth gets nothing any more, nor do those after it.
    pattern = f"GET */blobs/{layer_of(image)}"
    registry.on(pattern, Drop(after=CUT))
    registry.on(pattern, Drop(), times=None)
    with pytest.raises(RegistryConnectionError):
        workshop.build(files)
    registry.forget()
    return image, files


def test_a_fetch_that_was_cut_goes_on_where_it_was_in_the_next_build(
    registry: FakeRegistry, workshop: Workshop
) -> None:
    image, files = cut_off(registry, workshop)
    note = Note()
    registry.on(f"GET */blobs/{layer_of(image)}", note, times=None)

    result = workshop.build(files)

    assert note.ranges == [f"bytes={CUT}-"]
    workshop_fresh = workshop.build(files, use_cache=False)
    assert workshop_fresh.image == result.image


def test_a_registry_that_knows_no_ranges_sends_all_of_it_and_the_image_is_right(
    registry: FakeRegistry, workshop: Workshop
) -> None:
    image, files = cut_off(registry, workshop)
    whole = Whole(image.blobs[layer_of(image)])
    registry.on(f"GET */blobs/{layer_of(image)}", whole, times=None)

    workshop.build(files)

    assert len(whole.sent) == 1


def test_a_beginning_that_does_not_belong_to_the_rest_is_dropped_and_all_is_fetched_again(
    registry: FakeRegistry, workshop: Workshop
) -> None:
    image, files = cut_off(registry, workshop)
    (kept,) = Path(workshop.root, "ingest/partial").iterdir()
    kept.write_bytes(bytes(CUT))
    note = Note()
    registry.on(f"GET */blobs/{layer_of(image)}", note, times=None)

    workshop.build(files)

    assert note.ranges == [f"bytes={CUT}-", ""]
    assert list(kept.parent.iterdir()) == []


def test_bytes_that_are_wrong_twice_are_an_error_and_nothing_is_kept(
    registry: FakeRegistry, workshop: Workshop
) -> None:
    image, files = cut_off(registry, workshop)
    registry.on(f"GET */blobs/{layer_of(image)}", WrongBytes(), times=None)

    with pytest.raises(RegistryContentError, match=layer_of(image).short):
        workshop.build(files)

    assert list(Path(workshop.root, "ingest/partial").iterdir()) == []


def test_a_pull_goes_on_as_well(registry: FakeRegistry, workshop: Workshop) -> None:
    image = large_image("base")
    publish(registry, "base:v1", image)
    registry.on(f"GET */blobs/{layer_of(image)}", Drop(after=CUT))
    registry.on(f"GET */blobs/{layer_of(image)}", Drop(), times=None)
    with workshop.open() as backends, pytest.raises(RegistryError):
        pull_image(f"{registry.host}/base:v1", backends, platforms=[AMD64])
    registry.forget()
    note = Note()
    registry.on(f"GET */blobs/{layer_of(image)}", note)

    with workshop.open() as backends:
        pull_image(f"{registry.host}/base:v1", backends, platforms=[AMD64])

    assert note.ranges == [f"bytes={CUT}-"]


def test_two_builds_that_fetch_the_same_blob_at_once_both_have_it_whole(
    registry: FakeRegistry, workshop: Workshop
) -> None:
    image, files = cut_off(registry, workshop)
    registry.on(f"GET */blobs/{layer_of(image)}", Slow(0.3), times=2)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: workshop.build(files, use_cache=False), range(2))

    assert first.image == second.image
    assert list(Path(workshop.root, "ingest").glob("*/*")) == []


def test_a_registry_that_is_slow_keeps_no_other_waiting(registries: list[FakeRegistry], workshop: Workshop) -> None:
    slow, other = registries
    barrier = threading.Barrier(2, timeout=20)
    names = []
    # More than one registry is asked for at once: all that are asked wait until the other one is.
    for registry, repository in [(slow, f"a{number}") for number in range(12)] + [(other, "z")]:
        publish(registry, f"{repository}:v1", small_image(repository))
        names.append(f"{registry.host}/{repository}:v1")
    for registry in registries:
        registry.on("GET */manifests/v1", Meet(barrier))

    workshop.build(listing(*names))

    assert barrier.broken is False


def test_a_registry_that_is_busy_is_asked_again(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "app:v1", small_image("app"))
    for status in (503, 429, 500):
        registry.on("GET *", Status(status, retry_after=1 if status == 429 else None))

    workshop.build(listing(f"{registry.host}/app:v1"))


def test_a_build_says_at_any_moment_which_image_comes_and_how_much_is_there(
    registry: FakeRegistry, workshop: Workshop
) -> None:
    images = {f"app{number}:v1": large_image(f"app{number}") for number in range(3)}
    for name, image in images.items():
        publish(registry, name, image)
    names = [f"{registry.host}/{name}" for name in images]

    workshop.build(listing(*names))

    size = sum(len(image.blobs[layer_of(image)]) for image in images.values())
    told = workshop.told(PackingProgress)
    assert {event.name for event in told} == set(names)
    assert {(event.total, event.size) for event in told} == {(3, size)}
    assert [event.done for event in told] == sorted(event.done for event in told)
    assert told[-1].done == size
    assert len(told) == len([one for one in workshop.told(BlobProgress) if one.size > 1000])
    looked_up = workshop.told(ImageLookedUp)
    assert [event.number for event in looked_up] == [1, 2, 3] * (len(looked_up) // 3)
