"""What arrives is held: whoever takes away all else beside it, at whatever moment, leaves it whole."""

import fcntl
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.contracts import APP, OTHER
from harness.faults.iocalls import IoSeam
from harness.faults.schedules import SHARED
from kubeimage.cache import CacheRecords
from kubeimage.errors import BlobNotFoundError, ImageNotFoundError
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import INDEX
from kubeimage.image.oci import Descriptor
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import read_referrer
from kubeimage.image.referring import FoundReferrer, read_artifact
from kubeimage.protocols.transfer import WireForm
from kubeimage.store import Store, cache_folder
from tests.artefacts import Made, cosign_artifact, oras_artifact
from tests.kubeimage.store.foreign import make_foreign, make_index, tar_of
from tests.kubeimage.store.test_arrivals import nest
from tests.properties.examples import examples

IMAGES = {
    "amd64": make_foreign(tar_of({"a": b"1"})),
    "arm64": make_foreign(tar_of({"b": b"2"}), architecture="arm64"),
}
ONLY = {name: make_index([(name, image)]) for name, image in IMAGES.items()}
FLAT = make_index([*IMAGES.items()])
ONCE = nest((FLAT, None))
TREES = {
    "an index": (FLAT, []),
    "an index in one": (ONCE, [FLAT]),
    "two in one": (nest(*((data, None) for data in ONLY.values())), [*ONLY.values()]),
    "an index in one in one": (nest((ONCE, None)), [FLAT, ONCE]),
}
"""Images by their form: the top, and the indexes inside it."""


def _list_of(inner: Made, subject: bytes) -> Made:
    """Make an index of artefacts that refers to an image."""
    value = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "artifactType": "a/list",
        "manifests": [Descriptor.of("application/vnd.oci.image.manifest.v1+json", inner.data).to_json()],
        "subject": Descriptor.of(INDEX, subject).to_json(),
    }
    return Made(json.dumps(value).encode(), {**inner.blobs, inner.digest: inner.data}, Digest.of(subject))


class Part(NamedTuple):
    """What comes of a tree at once. Shape: ``inner`` says whether its inner indexes come, or are to be there."""

    platforms: tuple[str, ...]
    inner: bool = True
    artefacts: bool = False


def bring(store: Store, form: str, part: Part, name: Reference | None) -> None:
    """Bring a part of a tree into a store, and give it a name, or let it fail right before that."""
    top, inner = TREES[form]
    with store.importing() as importer:
        for data in inner if part.inner else ():
            # What is for another platform alone is not fetched.
            if data not in ONLY.values() or data in [ONLY[platform] for platform in part.platforms]:
                importer.put_manifest(data)
        for image in (IMAGES[platform] for platform in part.platforms):
            for blob in (*image.layers, image.config):
                if not importer.has_blob(blob):
                    importer.put_blob(blob, [image.blobs[blob.digest]])
            importer.put_manifest(image.manifest)
        if part.artefacts:
            sbom = oras_artifact(top)
            for made in (sbom, cosign_artifact(top), _list_of(oras_artifact(top, b"listed"), top)):
                found = _found(made)
                for blob in found.blobs:
                    if not importer.has_blob(blob):
                        importer.put_artifact_blob(blob, [made.blobs[blob.digest]])
                importer.put_referrer(found)
        if name is not None:
            importer.commit(top, [name])


def _found(made: Made) -> FoundReferrer:
    referrer, _ = read_referrer(made.data, made.subject, made.tag or "")
    return read_artifact(made.data, referrer, lambda one: made.blobs[one.digest])


class _BusyError(Exception):
    """What is disturbed has locked what the disturbance wants: in this moment it would have to wait."""


class Disturbed(IoSeam):
    """A context in which ``disturb`` comes right before one of the calls that others can see, or one of the locks."""

    def __init__(self, at: int, disturb: Callable[[], object], *, only_locks: bool = False) -> None:
        super().__init__()
        self._left, self._disturb, self._only_locks = at, disturb, only_locks
        self._is_inside = False

    def strike(self, name: str, where: object, call: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:  # noqa: ARG002 - the seam's
        """Make a call."""
        if name in SHARED and not self._only_locks:
            self._count()
        return call()

    def lock(self, descriptor: Any, operation: int, flock: Callable[[Any, int], None]) -> None:
        """Take a lock; the disturbance waits for none."""
        if not operation & (fcntl.LOCK_NB | fcntl.LOCK_UN):
            self._count()
        if not self._is_inside or operation & (fcntl.LOCK_NB | fcntl.LOCK_UN):
            flock(descriptor, operation)
            return
        try:
            flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _BusyError from None

    @property
    def is_over(self) -> bool:
        """Whether there was such a call."""
        return self._left < 0

    def _count(self) -> None:
        if self._is_inside:
            return
        self._left -= 1
        if self._left == -1:
            self._is_inside = True
            with suppress(_BusyError):
                self._disturb()
            self._is_inside = False


def take_all_else_away(root: str) -> None:
    """Remove the image that came before, with its name, and prune."""
    with _opened(root) as store:
        with suppress(ImageNotFoundError):
            store.images.remove(APP)
        store.collect_garbage(keep_cache=False)


def _opened(root: str) -> Store:
    return Store.open(root, cache=CacheRecords(cache_folder(root)))


BOTH = ("amd64", "arm64")
PARTS = st.builds(
    Part, st.sampled_from([BOTH, *((one,) for one in BOTH)]), inner=st.just(True), artefacts=st.booleans()
)


@st.composite
def meetings(draw: st.DrawFn) -> tuple[str, Part, bool, Part]:
    """Draw a tree, what of it came before, whether that got its name, and what comes now."""
    before, now = draw(PARTS), draw(PARTS)
    # What was for another platform alone has not come before.
    comes_anew = not {*now.platforms} <= {*before.platforms}
    now = now._replace(inner=comes_anew or draw(st.booleans()))
    return draw(st.sampled_from([*TREES])), before, draw(st.booleans()), now


@examples(0.2)
@given(meetings(), st.integers(0, 250))
def test_what_arrives_is_whole_whoever_prunes_beside_it(
    tmp_path_factory: pytest.TempPathFactory, meeting: tuple[str, Part, bool, Part], at: int
) -> None:
    form, before, is_named, now = meeting
    root = str(tmp_path_factory.mktemp("held") / "store")
    check(root, form, (before, is_named), now, lambda disturb: Disturbed(at, disturb))


@pytest.mark.parametrize(
    ("form", "before", "now"),
    [
        ("an index in one", Part(("amd64",)), Part(("arm64",), inner=False)),
        ("two in one", Part(("amd64", "arm64")), Part(("arm64",))),
    ],
)
def test_nor_does_it_matter_before_which_lock_that_is(tmp_path: Path, form: str, before: Part, now: Part) -> None:
    for at in count():
        root = str(tmp_path / f"{at}")
        if not check(root, form, (before, True), now, partial(Disturbed, at, only_locks=True)):
            break
    assert at > 5


def check(
    root: str, form: str, earlier: tuple[Part, bool], now: Part, seam: Callable[[Callable[[], object]], Disturbed]
) -> bool:
    """Let a part come, and all else go in the midst of that; return whether it was still in the midst of it."""
    before, is_named = earlier
    with _opened(root) as store:
        bring(store, form, before, APP if is_named else None)

    has_come = True
    with seam(lambda: take_all_else_away(root)) as disturbed, _opened(root) as store:
        try:
            bring(store, form, now, OTHER)
        except BlobNotFoundError:
            # It was to find the inner indexes there, and they went before it looked.
            assert not now.inner
            has_come = False

    with _opened(root) as store:
        assert [one.what for one in store.check() if one.damage] == []
        found = {one.platform.architecture for one in store.images.records(OTHER)}
        assert found >= {*now.platforms} if has_come else found == set()
        store.collect_garbage(keep_cache=False)
        assert [one.what for one in store.check() if one.damage] == []
    return disturbed.is_over


@examples(0.15)
@given(st.sampled_from([*TREES]), PARTS, st.integers(0, 120))
def test_what_leaves_is_whole_or_is_not_there(
    tmp_path_factory: pytest.TempPathFactory, form: str, part: Part, at: int
) -> None:
    root = str(tmp_path_factory.mktemp("held") / "store")
    with _opened(root) as store:
        bring(store, form, part, APP)

    with Disturbed(at, lambda: take_all_else_away(root)), _opened(root) as store:
        try:
            departure = store.exporter.depart(APP, WireForm())
            leaving = departure.finish()
        except ImageNotFoundError:
            return
        contents = {}
        for blob in leaving.blobs:
            with departure.open_blob(blob) as file:
                contents[blob.digest] = file.read()

    top, inner = TREES[form]
    images = [IMAGES[platform] for platform in part.platforms]
    assert leaving.data == top
    ours = {data for data in inner if data not in ONLY.values() or data in [ONLY[one] for one in part.platforms]}
    assert {one.data for one in leaving.documents} >= ours | {*(image.manifest for image in images)}
    assert contents == {digest: data for image in images for digest, data in image.blobs.items()}
