import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.image import canonical
from kubeimage.image.config import CLUSTERFILE_ANNOTATION, DEFAULT_CLUSTERFILE, Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import Arguments, Commands, History, Layer, merge_commands
from kubeimage.image.oci import Descriptor, Index, Manifest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference

LAYER = Layer(Digest.of(b"tar"), 1536, "COPY", ". .")
IMAGE = Image(
    platform=Platform("linux", "arm64", "v8"),
    layers=(LAYER,),
    history=(History("COPY . ."), History("CMD echo app", empty_layer=True, comment="kubeimage.sealer.v3")),
    cmd=Commands(("echo base",), ("echo app",)),
    args=Arguments({"ROLE": "master"}, {"V": "1,2"}),
    labels={"team": "a"},
    annotations={CLUSTERFILE_ANNOTATION: DEFAULT_CLUSTERFILE},
    created="2026-01-01T00:00:00Z",
)

texts = st.text(max_size=8)
commands = st.lists(texts, max_size=5).map(tuple)
arguments = st.dictionaries(texts, texts, max_size=3)
layers = st.builds(Layer, st.binary(max_size=4).map(Digest.of), st.integers(0, 2**40), texts, texts)
images = st.builds(
    Image,
    platform=st.sampled_from([Platform("linux", "amd64"), Platform("linux", "arm64", "v8")]),
    layers=st.lists(layers, max_size=3).map(tuple),
    history=st.lists(st.builds(History, texts, st.booleans(), texts), max_size=3).map(tuple),
    cmd=st.builds(Commands, commands, commands),
    args=st.builds(Arguments, arguments, arguments),
    labels=arguments,
    annotations=arguments,
    image_type=st.sampled_from(["", "application"]),
    created=st.none() | st.just("2026-01-01T00:00:00Z"),
)


def test_the_config_is_an_oci_config_and_an_image_document_in_one() -> None:
    config = json.loads(IMAGE.config)

    assert config == {
        "architecture": "arm64",
        "os": "linux",
        "variant": "v8",
        "created": "2026-01-01T00:00:00Z",
        "config": {"Labels": {"team": "a"}},
        "rootfs": {"type": "layers", "diff_ids": [str(LAYER.diff_id)]},
        "history": [
            {"created_by": "COPY . ."},
            {"created_by": "CMD echo app", "comment": "kubeimage.sealer.v3", "empty_layer": True},
        ],
        "kind": "Image",
        "metadata": {"annotations": {CLUSTERFILE_ANNOTATION: DEFAULT_CLUSTERFILE}},
        "spec": {
            "layers": [{"id": str(LAYER.diff_id), "type": "COPY", "value": ". ."}],
            "platform": {"architecture": "arm64", "os": "linux", "variant": "v8"},
            "image_config": {
                "cmd": {"parent": ["echo base"], "current": ["echo app"]},
                "args": {"parent": {"ROLE": "master"}, "current": {"V": "1,2"}},
                "labels": {"team": "a"},
                "image_type": "",
            },
        },
        "status": {},
    }


@given(images)
def test_an_image_reads_back_from_its_config_and_manifest(image: Image) -> None:
    manifest = Manifest.from_bytes(image.manifest.to_bytes())

    layers = [Layer(layer.digest, layer.size) for layer in manifest.layers]
    assert Image.from_config(image.config, layers) == image


def test_an_image_that_was_read_keeps_the_bytes_it_was_read_from() -> None:
    foreign = json.dumps({**json.loads(IMAGE.config), "author": "somebody"}, indent=2).encode()

    image = Image.from_config(foreign, IMAGE.layers)

    assert image.config == foreign
    assert image.id == Digest.of(foreign)


def test_a_config_that_names_other_layers_than_the_manifest_is_refused() -> None:
    with pytest.raises(ValueError, match="are not the manifest's layers"):
        Image.from_config(IMAGE.config, [])


def test_neither_name_nor_id_is_part_of_what_the_id_digests() -> None:
    shown = IMAGE.present(Reference.parse("app:v1"))

    assert shown["spec"]["id"] == IMAGE.id.hex
    assert shown["metadata"]["name"] == str(Reference.parse("app:v1"))
    assert f"  image: {Reference.parse('app:v1')}\n" in shown["metadata"]["annotations"][CLUSTERFILE_ANNOTATION]
    assert b"app:v1" not in IMAGE.config
    assert IMAGE.id == replace(IMAGE).id


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("metadata", None),
        ("spec", None),
        ("metadata", {"annotations": []}),
        ("metadata", {"annotations": {CLUSTERFILE_ANNOTATION: {"kind": "Cluster"}}}),
    ],
    ids=["no metadata", "no spec", "no annotations", "no text"],
)
def test_an_image_is_shown_whatever_somebody_put_into_its_document(part: str, value: object) -> None:
    config = canonical.encode({**json.loads(IMAGE.config), part: value})

    shown = Image.from_config(config, IMAGE.layers).present(Reference.parse("app:v1"))

    assert shown["spec"]["id"] == Digest.of(config).hex
    assert shown["metadata"]["name"] == str(Reference.parse("app:v1"))


def test_equal_layers_count_once_in_the_size() -> None:
    assert replace(IMAGE, layers=(LAYER, LAYER)).size == LAYER.size


@given(commands, commands)
def test_inherited_commands_come_first_and_none_is_repeated_by_inheritance(
    first: tuple[str, ...], then: tuple[str, ...]
) -> None:
    merged = merge_commands(first, then)

    assert merged[: len(first)] == first
    assert list(merged[len(first) :]) == [command for command in then if command not in first]


@given(commands, commands, commands)
def test_merging_commands_is_associative_and_idempotent(
    a: tuple[str, ...], b: tuple[str, ...], c: tuple[str, ...]
) -> None:
    assert merge_commands(merge_commands(a, b), c) == merge_commands(a, merge_commands(b, c))
    assert merge_commands(a, a) == a


def test_commands_that_inheritance_swallows_are_named() -> None:
    commands = Commands(parent=("a", "b"), current=("b", "c", "c"))

    assert commands.swallowed == ("b",)
    assert commands.merged == ("a", "b", "c", "c")


def test_absent_and_empty_maps_read_alike() -> None:
    bare = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "history": None}

    image = Image.from_config(canonical.encode(bare), [])

    assert (image.args.merged, image.cmd.merged, dict(image.labels)) == ({}, (), {})


def test_an_index_reads_back_with_names_and_platforms() -> None:
    index = Index((Descriptor("m/t", Digest.of(b"m"), 1, {"a": "b"}, Platform("linux", "amd64")),))

    assert Index.from_bytes(index.to_bytes()) == index


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b'{"manifests": 3}', b'{"manifests": [{"size": -1}]}'])
def test_rubbish_is_no_index(data: bytes) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Index.from_bytes(data)
