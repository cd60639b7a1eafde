"""Images on top of each other."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.errors import LayerLimitError, PlatformMismatchError
from kubeimage.image.config import APPLICATION, CLUSTERFILE_ANNOTATION, Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import Arguments, Commands, History, Layer
from kubeimage.image.media_types import LAYER
from kubeimage.image.merging import merge_images
from kubeimage.image.oci import Descriptor
from kubeimage.image.platform import Platform
from kubeimage.layer.entry import Entry, directory, file, opaque, symlink, whiteout
from kubeimage.layer.tree import Tree

AMD64 = Platform("linux", "amd64")
# Layers that delete, hide and replace what others bring.
CHANGESETS: list[list[Entry]] = [
    [directory("d", 0o700), file("d/a", b"1"), file("f", b"1")],
    [directory("d"), file("d/b", b"2"), whiteout("d/a")],
    [whiteout("d"), file("f", b"3")],
    [opaque("d"), file("d/c", b"4")],
    [file("d", b"5")],
    [symlink("f", "d/a"), directory("g"), file("g/h", b"6")],
    [whiteout("f"), whiteout("g")],
    [opaque(""), file("only", b"7")],
]
LAYERS = [Layer(Digest.of(bytes([number])), 512, "COPY", f"{number} .") for number in range(len(CHANGESETS))]
stacks = st.lists(st.sampled_from(LAYERS), max_size=5)


def image_of(*layers: Layer, **fields: object) -> Image:
    history = tuple(History(f"COPY {layer.value}") for layer in layers)
    return replace(Image(AMD64, layers, history), **fields)  # type: ignore[arg-type]


def tree_of(layers: list[Layer]) -> dict[str, Entry]:
    tree = Tree()
    for layer in layers:
        tree.apply(CHANGESETS[LAYERS.index(layer)])
    return dict(tree)


@given(stacks, stacks)
def test_the_files_are_those_of_one_applied_on_the_other(lower: list[Layer], upper: list[Layer]) -> None:
    merged = merge_images([image_of(*lower), image_of(*upper)], ["a", "b"])

    assert tree_of(list(merged.layers)) == tree_of([*lower, *upper])
    assert len(set(merged.layers)) == len(merged.layers)


@given(stacks, stacks, stacks)
def test_merging_is_associative(a: list[Layer], b: list[Layer], c: list[Layer]) -> None:
    images = [image_of(*one) for one in (a, b, c)]
    names = ["a", "b", "c"]

    at_once = merge_images(images, names)
    step_by_step = merge_images([merge_images(images[:2], names[:2]), images[2]], names[1:])

    assert at_once == step_by_step


@given(stacks, stacks)
def test_the_history_tells_of_the_layers_that_stay(lower: list[Layer], upper: list[Layer]) -> None:
    merged = merge_images([image_of(*lower), image_of(*upper)], ["a", "b"])

    assert [entry.created_by for entry in merged.history if not entry.empty_layer] == [
        f"COPY {layer.value}" for layer in merged.layers
    ]


def test_a_history_that_does_not_fit_its_layers_is_mended() -> None:
    silent = Image(AMD64, tuple(LAYERS[:2]))
    talkative = Image(AMD64, (LAYERS[2],), (History("COPY 2 ."), History("COPY 9 .")))

    merged = merge_images([silent, talkative], ["a", "b"])

    assert merged.history == (
        History("COPY 0 ."),
        History("COPY 1 ."),
        History("COPY 2 ."),
        History("COPY 9 .", empty_layer=True),
    )


def test_commands_and_arguments_are_joined_in_order() -> None:
    first = image_of(cmd=Commands(("base",), ("a", "a")), args=Arguments({"R": "1"}, {"S": "2"}), labels={"x": "1"})
    then = image_of(cmd=Commands(("base",), ("b",)), args=Arguments({}, {"R": "3"}), labels={"x": "2", "y": "3"})

    merged = merge_images([first, then], ["a", "b"])

    assert merged.cmd.merged == ("base", "a", "a", "b")
    assert merged.args.merged == {"R": "3", "S": "2"}
    assert dict(merged.labels) == {"x": "2", "y": "3"}


@pytest.mark.parametrize("order", [1, -1], ids=["with arguments first", "without arguments first"])
def test_images_without_arguments_merge_like_others(order: int) -> None:
    images = [image_of(args=Arguments({}, {"R": "3"})), image_of()][::order]

    assert merge_images(images, ["a", "b"]).args.merged == {"R": "3"}


@pytest.mark.parametrize(
    ("types", "expected"),
    [(("", ""), ""), (("", APPLICATION), ""), ((APPLICATION, ""), ""), ((APPLICATION, APPLICATION), APPLICATION)],
)
def test_the_result_is_a_cluster_image_where_any_is(types: tuple[str, str], expected: str) -> None:
    merged = merge_images([image_of(image_type=one) for one in types], ["a", "b"])

    assert merged.image_type == expected


def test_the_clusterfile_is_the_cluster_images() -> None:
    cluster = image_of(annotations={CLUSTERFILE_ANNOTATION: "cluster"})
    application = image_of(image_type=APPLICATION, annotations={CLUSTERFILE_ANNOTATION: "application", "x": "y"})

    merged = merge_images([cluster, application], ["a", "b"])

    assert dict(merged.annotations) == {CLUSTERFILE_ANNOTATION: "cluster", "x": "y"}


def numbered(count: int, start: int = 0) -> Image:
    return image_of(*(Layer(Digest.of(str(start + number).encode()), 512, "COPY", "x") for number in range(count)))


def test_exactly_128_layers_are_possible() -> None:
    assert len(merge_images([numbered(100), numbered(68, 60)], ["a", "b"]).layers) == 128


def test_too_many_layers_are_counted_by_image() -> None:
    with pytest.raises(LayerLimitError, match="have 129: 100 of a:v1, 69 of b:v1, less 40 that come more than once"):
        merge_images([numbered(100), numbered(69, 60)], ["a:v1", "b:v1"])


def test_images_for_different_machines_are_not_merged() -> None:
    arm = replace(image_of(), platform=Platform("linux", "arm64"))

    with pytest.raises(PlatformMismatchError, match="linux/amd64 and linux/arm64"):
        merge_images([image_of(), arm], ["a", "b"])


def test_layers_keep_the_blobs_that_they_came_as() -> None:
    blob = Descriptor(f"{LAYER}+gzip", Digest.of(b"packed"), 5)
    came = image_of(replace(LAYERS[0], blob=blob))

    merged = merge_images([came, image_of(LAYERS[1])], ["a", "b"])

    assert [one.digest for one in merged.manifest.layers] == [blob.digest, LAYERS[1].diff_id]
