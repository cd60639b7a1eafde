import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.asking.options import Settings
from harness.cases.building import KubeBuild
from harness.cases.workshop import Workshop
from harness.checks.failed import CheckFailedError
from harness.checks.oci import _layout_problems, check_oci_valid, config_problems, schema_problems
from harness.fakes.stores import MemoryLayerStore
from harness.images.image import BuiltImage
from kubeimage.api.backends import Backends
from kubeimage.image import canonical
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import History, Layer
from kubeimage.image.platform import Platform
from tests.harness.checks.conftest import Cases

jsonschema = pytest.importorskip("jsonschema")

TEXT = "FROM scratch\nCOPY a .\nCMD x\n"


def test_a_built_image_is_valid(make_case: Cases) -> None:
    check_oci_valid(make_case(TEXT, {"a": "1"}))


class DamagedLayers(MemoryLayerStore):
    """Gives each layer with one more byte."""

    def open(self, diff_id: Digest) -> io.BytesIO:
        return io.BytesIO(super().open(diff_id).read() + b"\0")


def test_a_layer_that_is_not_what_its_digest_says_is_caught(make_case: Cases) -> None:
    def change(backends: Backends) -> Backends:
        damaged = DamagedLayers()
        vars(damaged).update(vars(backends.layers))
        return replace(backends, layers=damaged)

    with pytest.raises(CheckFailedError, match="other tools could not read the image") as raised:
        check_oci_valid(make_case(TEXT, {"a": "1"}, change=change))

    assert [line.partition(": ")[2][:8] for line in raised.value.details] == ["its byte", "it has 2"]


GOOD: dict[str, dict[str, Any]] = {
    "config": {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}},
    "index": {"schemaVersion": 2, "manifests": []},
    "layout": {"imageLayoutVersion": "1.0.0"},
    "manifest": {
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "0" * 64, "size": 2},
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:" + "0" * 64, "size": 0}
        ],
    },
}


@pytest.mark.parametrize("name", GOOD)
def test_the_least_that_the_spec_asks_for_is_valid(name: str) -> None:
    assert list(schema_problems(jsonschema, name, canonical.encode(GOOD[name]))) == []


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("config", {"os": 3}, "config: os: 3 is not of type 'string'"),
        ("config", {"created": "yesterday"}, "config: created: 'yesterday' does not match"),
        ("config", {"rootfs": {"type": "layers", "diff_ids": ["abc"]}}, "config: rootfs.diff_ids.0: 'abc'"),
        ("config", {"config": {"Labels": {"a": 1}}}, "config: config.Labels.a: 1 is not of type 'string'"),
        ("config", {"history": [{"empty_layer": "yes"}]}, "config: history.0.empty_layer: 'yes' is not"),
        ("index", {"schemaVersion": 1}, "index: schemaVersion: 2 was expected"),
        ("index", {"manifests": [{"digest": "x"}]}, "index: manifests.0: "),
        ("layout", {"imageLayoutVersion": "2"}, "layout: imageLayoutVersion: '1.0.0' was expected"),
        ("manifest", {"mediaType": "text/plain"}, "manifest: mediaType: "),
        (
            "manifest",
            {"layers": [{**GOOD["manifest"]["layers"][0], "size": -1}]},
            "manifest: layers.0.size: -1 is less",
        ),
        ("manifest", {"config": GOOD["manifest"]["layers"][0]}, "manifest: config.mediaType: "),
        ("manifest", {"annotations": {"a": None}}, "manifest: annotations.a: None is not"),
    ],
)
def test_what_the_spec_forbids_is_told_with_its_place(name: str, change: dict[str, object], problem: str) -> None:
    found = list(schema_problems(jsonschema, name, canonical.encode({**GOOD[name], **change})))

    assert found
    assert found[0].startswith(problem)


@pytest.mark.parametrize(("data", "problem"), [(b"{", "config: "), (b"[]", "config: it is no JSON object, but a list")])
def test_what_is_no_json_object_is_told(data: bytes, problem: str) -> None:
    assert next(schema_problems(jsonschema, "config", data)).startswith(problem)


@pytest.fixture
def layout(tmp_path: Path) -> tuple[str, BuiltImage]:
    """Return a store on disk, and the image in it."""
    image = KubeBuild(Workshop(Settings(backend="copy"), str(tmp_path)))(TEXT, {"a": "1"})
    assert image.place.root is not None
    return image.place.root, image


def blobs(image: BuiltImage) -> dict[str, str]:
    digests = {"manifest": image.result.manifest, "config": image.id, "layer": image.layers[0].diff_id}
    return {name: f"blobs/sha256/{digest.hex}" for name, digest in digests.items()}


def test_a_layout_on_disk_is_read_as_other_tools_do(layout: tuple[str, BuiltImage]) -> None:
    root, image = layout

    assert list(_layout_problems(jsonschema, root, image.result.manifest)) == []


@pytest.mark.parametrize("name", ["manifest", "config", "layer"])
def test_a_blob_that_is_gone_or_damaged_is_told(layout: tuple[str, BuiltImage], name: str) -> None:
    root, image = layout
    path = Path(root, blobs(image)[name])
    size = path.stat().st_size
    path.chmod(0o600)

    path.write_bytes(b"x" * size)
    damaged = list(_layout_problems(jsonschema, root, image.result.manifest))
    path.write_bytes(b"x")
    shorter = list(_layout_problems(jsonschema, root, image.result.manifest))
    path.unlink()
    gone = list(_layout_problems(jsonschema, root, image.result.manifest))

    start = f"{blobs(image)[name]}: "
    assert [problem.partition("sha256:")[0] for problem in damaged] == [start + "its bytes have the digest "]
    assert shorter[1:] == [f"{start}it has 1 bytes, its descriptor says {size}"]
    assert gone == [start + "No such file or directory"]


def test_an_image_that_the_index_does_not_list_is_told(layout: tuple[str, BuiltImage]) -> None:
    root, image = layout

    problems = list(_layout_problems(jsonschema, root, image.id))

    assert problems == [f"index.json: it does not list the manifest {image.id}"]


@pytest.mark.parametrize(("entries", "problems"), [(0, 0), (1, 1), (2, 0), (3, 1)])
def test_a_history_speaks_of_each_layer_or_is_none(entries: int, problems: int) -> None:
    layers = tuple(Layer(Digest.of(bytes([number])), 1, "COPY", "a .") for number in range(2))
    image = Image(Platform("linux", "amd64"), layers, tuple(History("COPY a .") for _ in range(entries)))

    assert len(list(config_problems(image))) == problems
