"""Images on their way to sealer v0.8, and back."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.contracts import APP, CHANGESET, make_image, one_file
from kubeimage.errors import UsageError
from kubeimage.image.config import CLUSTERFILE_ANNOTATION, DEFAULT_CLUSTERFILE, Image
from kubeimage.image.platform import Platform
from kubeimage.layer.compression import Coding
from kubeimage.protocols.transfer import WireForm, WireImage
from kubeimage.store import Store

FORM = WireForm("sealer", Coding("gzip"))
# The keys of the configs in fixtures/sealer-v08.
KEYS = {
    "": {"architecture", "history", "kind", "metadata", "os", "spec", "status"},
    "metadata": {"annotations", "creationTimestamp", "name"},
    "spec": {"id", "image_config", "layers", "platform", "sealer_version"},
}


@pytest.fixture
def other_store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "other")) as opened:
        yield opened


def put(store: Store, *platforms: Platform) -> list[Image]:
    layers = [store.layers.put(CHANGESET), store.layers.put(one_file(b"x"))]
    made = [
        replace(
            make_image(layers, platform=platform),
            annotations={CLUSTERFILE_ANNOTATION: DEFAULT_CLUSTERFILE},
            manifest_annotations={"sealer.image.extension": "{}"},
        )
        for platform in platforms
    ]
    if len(made) == 1:
        store.images.put(made[0], [APP])
    else:
        store.images.put_index(made, [APP])
    return made


def configs(store: Store, wired: WireImage) -> list[Any]:
    departure = store.exporter.depart(APP, FORM)
    found = []
    for one in wired.manifests:
        with departure.open_blob(one.blobs[0]) as blob:
            found.append(json.load(blob))
    return found


def carry(wired: WireImage, store: Store, to: Store) -> None:
    """Take an image in as a registry's client does."""
    departure = store.exporter.depart(APP, FORM)
    with to.importing() as importer:
        for one in wired.manifests:
            for blob in one.blobs:
                with departure.open_blob(blob) as stream:
                    importer.put_blob(blob, [stream.read()])
            importer.put_manifest(one.data)
        importer.commit(wired.data, [APP])


def test_sealer_gets_all_that_its_own_images_have(store: Store) -> None:
    (image,) = put(store, Platform("linux", "amd64"))

    (config,) = configs(store, store.exporter.depart(APP, FORM).finish())

    assert [keys - config.get(part, config).keys() for part, keys in KEYS.items()] == [set()] * 3
    assert config["metadata"]["name"] == str(APP)
    assert config["spec"]["id"] == image.id.hex
    assert f"\n  image: {APP}\n" in config["metadata"]["annotations"][CLUSTERFILE_ANNOTATION]


@pytest.mark.parametrize("architectures", [("amd64",), ("amd64", "arm64")], ids=" ".join)
def test_what_comes_back_from_sealer_s_form_is_the_image_that_left(
    store: Store, other_store: Store, architectures: tuple[str, ...]
) -> None:
    made = put(store, *(Platform("linux", one) for one in architectures))
    wired = store.exporter.depart(APP, FORM).finish()

    carry(wired, store, other_store)

    back = [other_store.images.get(APP, image.platform) for image in made]
    assert [one and one.id for one in back] == [image.id for image in made]
    assert [one and one.manifest_annotations for one in back] == [image.manifest_annotations for image in made]
    assert json.loads(wired.data)["mediaType"].endswith("manifest.list.v2+json")
    assert not any(found.damage for found in other_store.check())


def test_sealer_keeps_images_by_their_names_alone(store: Store) -> None:
    (image,) = put(store, Platform("linux", "amd64"))

    with pytest.raises(UsageError, match="sealer keeps an image under its name"):
        store.exporter.depart(image.manifest_digest, FORM)
