"""What is told while images come: bytes of all of them, and each image when its last blob is there."""

from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.reference import Reference
from kubeimage.packing.countdown import Countdown
from kubeimage.packing.layout import Contents
from kubeimage.registry.events import ImageFetched, PackingProgress, TransferEvent

ONE, TWO, SHARED = (Descriptor("layer", Digest.of(name), 100) for name in (b"one", b"two", b"shared"))


def contents(name: str, *layers: Descriptor) -> Contents:
    config = Descriptor("config", Digest.of(name.encode()), 10)
    return Contents(Reference("host", name, "v1"), config.digest, (config,), config, layers)


def test_a_blob_counts_once_however_often_it_is_told_and_whoever_shares_it() -> None:
    told: list[TransferEvent] = []
    images = [contents("a", ONE, SHARED), contents("b", TWO, SHARED)]
    count = Countdown(images, {one.digest: one.size for one in (ONE, TWO, SHARED)}, told.append)
    a, b = (one.image for one in images)

    count.progressed(a, SHARED.digest, 40)
    count.progressed(a, SHARED.digest, 100)
    count.arrived(SHARED.digest, 100)
    count.progressed(b, TWO.digest, 60)
    # It was cut, and some of it has to come again.
    count.progressed(b, TWO.digest, 30)
    count.arrived(TWO.digest, 100)
    count.arrived(ONE.digest, 100)

    assert told == [
        PackingProgress("host/a:v1", 0, 2, 40, 300),
        PackingProgress("host/a:v1", 0, 2, 100, 300),
        PackingProgress("host/b:v1", 0, 2, 160, 300),
        PackingProgress("host/b:v1", 0, 2, 130, 300),
        ImageFetched("host/b:v1", 1, 2, 200),
        ImageFetched("host/a:v1", 2, 2, 200),
    ]
