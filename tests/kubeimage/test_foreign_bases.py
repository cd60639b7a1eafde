"""Images from elsewhere as bases: what is built on them does not depend on how their layers were compressed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeimage.api.backends import Backends, open_backends
from kubeimage.api.building import BuildOptions, BuildResult, build_image
from kubeimage.errors import ArchiveError
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import Compression
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.kubefile import parse
from kubeimage.protocols.transfer import WireForm
from kubeimage.store import Store
from tests.kubeimage import sealerdata
from tests.kubeimage.store.foreign import make_foreign, tar_of
from tests.kubeimage.store.test_arrivals import bring
from tests.oneshot import export_image, load_images

AMD64 = Platform("linux", "amd64")
BASE = [tar_of({"etc/a": b"one\n", "bin/tool": b"#!/bin/sh\necho $1\n"}), tar_of({"etc/b": b"two\n"})]
COPY_ALONE = "FROM app:v1\nCOPY c etc\n"
COPY_AND_RUN = "FROM app:v1\nCOPY c etc\nRUN cat etc/a etc/c > etc/d && rm etc/b\nCMD ls\n"


def build_on(root: str, text: str, context: Path, *, mount: str = "copy") -> BuildResult:
    options = BuildOptions(references=(Reference.parse("derived:v1"),), platform=AMD64)
    with open_backends(root, mount=mount, isolation="none") as backends:
        return build_image(parse(text), str(context), backends, options=options)


def tree_of(root: str, name: str, target: Path) -> dict[str, bytes]:
    export_image(name, str(target), root=root)
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "c").write_bytes(b"three\n")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.mark.parametrize("text", [COPY_ALONE, COPY_AND_RUN], ids=["COPY", "COPY and RUN"])
def test_how_a_base_was_compressed_does_not_change_what_is_built_on_it(
    tmp_path: Path, context: Path, text: str
) -> None:
    kinds: list[Compression] = ["none", "gzip", "zstd"]
    built = {}
    for kind in kinds:
        with Store.open(str(tmp_path / kind)) as store:
            bring(store, make_foreign(*BASE, kind=kind))
        built[kind] = build_on(str(tmp_path / kind), text, context).image

    assert len({image.id for image in built.values()}) == 1
    assert len({image.layers for image in built.values()}) == 1


@pytest.mark.parametrize("mount", ["overlay", "copy"])
def test_a_run_sees_the_files_of_a_compressed_base(root: str, tmp_path: Path, context: Path, mount: str) -> None:
    with Store.open(root) as store:
        bring(store, make_foreign(*BASE))

    build_on(root, COPY_AND_RUN, context, mount=mount)

    tree = tree_of(root, "derived:v1", tmp_path / "tree")
    assert (tree["etc/d"], "etc/b" in tree) == (b"one\nthree\n", False)


def test_the_derived_manifest_names_the_bases_own_blobs(root: str, context: Path) -> None:
    foreign = make_foreign(*BASE, form="docker")
    with Store.open(root) as store:
        bring(store, foreign)

    image = build_on(root, COPY_AND_RUN, context).image

    named = [(one.media_type, one.digest) for one in image.manifest.layers]
    assert named[:2] == [("application/vnd.oci.image.layer.v1.tar+gzip", one.digest) for one in foreign.layers]
    assert [media_type for media_type, _ in named[2:]] == ["application/vnd.oci.image.layer.v1.tar"] * 2
    with Store.open(root) as store:
        assert store.check() == []


def test_a_derived_image_stands_when_its_base_is_gone(root: str, tmp_path: Path, context: Path) -> None:
    with Store.open(root) as store:
        bring(store, make_foreign(*BASE))
    build_on(root, COPY_ALONE, context)

    with Store.open(root) as store:
        store.images.remove(Reference.parse("app:v1"))
        store.collect_garbage(keep_cache=False)
        assert store.check() == []
    assert sorted(tree_of(root, "derived:v1", tmp_path / "tree")) == ["bin/tool", "etc/a", "etc/b", "etc/c"]


def test_a_second_build_on_a_compressed_base_takes_all_from_the_cache(root: str, context: Path) -> None:
    with Store.open(root) as store:
        bring(store, make_foreign(*BASE))

    first = build_on(root, COPY_AND_RUN, context)
    second = build_on(root, COPY_AND_RUN, context)

    assert (second.image.id, second.manifest, second.cache_hits) == (first.image.id, first.manifest, 2)


@pytest.fixture
def from_sealer(root: str) -> str:
    with Store.open(root) as store:
        for name in ("base", "app"):
            sealerdata.bring(store, name)
        assert store.check() == []
    return root


@pytest.fixture
def backends(from_sealer: str) -> Iterator[Backends]:
    with open_backends(from_sealer, access="look") as opened:
        yield opened


def test_sealers_image_is_read_by_its_bytes(backends: Backends) -> None:
    image = backends.images.get(Reference.parse("app:v1"), AMD64)

    assert image is not None
    assert image.id.hex.startswith("1e491ecb")
    assert [layer.diff_id.hex[:8] for layer in image.layers] == ["3c81c486", "b2b8879b", "7dfa649e"]
    assert [(layer.kind, layer.value) for layer in image.layers] == [
        ("COPY", ". ."),
        ("COPY", "dash.yaml manifests"),
        ("COPY", "tool bin"),
    ]
    assert (image.cmd.merged, image.args.merged) == (
        ("echo base", "kubectl apply -f manifests/dash.yaml"),
        {"ROLE": "master"},
    )


def test_sealers_list_is_taken_though_its_sizes_are_wrong(root: str) -> None:
    with Store.open(root) as store:
        arrival = sealerdata.bring(store, "base")

    assert [warning.partition(" has ")[2] for warning in arrival.warnings] == [
        "147 bytes; it has 523, and its digest is right"
    ]


def test_sealers_image_works_as_a_base(from_sealer: str, tmp_path: Path, context: Path) -> None:
    text = "FROM app:v1\nCOPY c etc\nRUN cat etc/a.yaml etc/c > etc/d\nCMD ls\n"

    image = build_on(from_sealer, text, context).image

    tree = tree_of(from_sealer, "derived:v1", tmp_path / "tree")
    assert tree["etc/d"] == tree["etc/a.yaml"] + b"three\n"
    assert tree["bin/tool"] == b"tool\n"
    assert image.cmd.merged == ("echo base", "kubectl apply -f manifests/dash.yaml", "ls")
    assert image.layers[0].diff_id.hex.startswith("3c81c486")


def test_sealers_image_leaves_as_it_came_and_becomes_ocis_on_wish(from_sealer: str) -> None:
    with Store.open(from_sealer) as store:
        same = store.exporter.depart(Reference.parse("base:v1"), WireForm("docker")).finish()
        ocis = store.exporter.depart(Reference.parse("base:v1"), WireForm("oci")).finish()
        with store.exporter.depart(Reference.parse("base:v1"), WireForm()).open_blob(ocis.blobs[0]) as config:
            completed = config.read()

    assert same.top.digest.hex.startswith("71614923")
    assert b'"diff_ids":["sha256:3c81c486' in completed


def test_an_image_of_another_tool_is_shown_as_an_image_document(root: str) -> None:
    with Store.open(root) as store:
        bring(store, make_foreign(*BASE))
        image = store.images.get(Reference.parse("app:v1"))

    assert image is not None
    shown = image.present(Reference.parse("app:v1"))
    assert (shown["kind"], shown["metadata"]["name"]) == ("Image", str(Reference.parse("app:v1")))
    assert [layer["id"] for layer in shown["spec"]["layers"]] == [str(Digest.of(tar)) for tar in BASE]
    assert shown["config"] == {"Env": ["A=1"]}


def test_what_sealer_saves_is_told_from_an_archive(root: str) -> None:
    with pytest.raises(ArchiveError, match=r"sealer v0\.8 saves") as caught:
        load_images(str(sealerdata.FOLDER / "base.sealer-save.tar"), root=root)

    assert "kubeimage pull" in (caught.value.hint or "")


def test_a_layer_whose_tar_is_damaged_is_taken_from_its_compressed_form(root: str, context: Path) -> None:
    with Store.open(root) as store:
        bring(store, make_foreign(*BASE))
        store.layers.materialise(Digest.of(BASE[0]))
    path = Path(root, "blobs/sha256", Digest.of(BASE[0]).hex)
    path.chmod(0o644)
    path.write_bytes(b"x" * len(BASE[0]))

    build_on(root, COPY_ALONE, context)

    assert path.read_bytes() == BASE[0]
