"""What is packed, from where, and what it costs to do so again."""

import json
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from random import Random

import pytest

from harness.fakes.registry import Drop, FakeRegistry, Status, WrongBytes
from kubeimage.api.airgap import verify_image
from kubeimage.api.backends import open_backends
from kubeimage.api.building import read_kubefile
from kubeimage.api.platforms import build_platforms
from kubeimage.api.upkeep import prune_store
from kubeimage.builder.events import ImagesLeftOut, PackingFinished
from kubeimage.builder.executor import BuildResult
from kubeimage.builder.plan import BuildOptions
from kubeimage.discovery.search import Search
from kubeimage.errors import (
    KubeVersionError,
    LayerLimitError,
    PackingError,
    RegistryContentError,
    RegistryNotFoundError,
)
from kubeimage.image.digest import Digest
from kubeimage.image.document import PACKED_KIND
from kubeimage.image.platform import Platform
from kubeimage.layer.stack import StackedLayer
from kubeimage.packing.files import LayerFiles
from kubeimage.registry.events import BlobFinished, ImageFetched
from tests.containers import small_image
from tests.kubeimage.packing.conftest import Workshop, choosing, listing, publish

STORAGE = "registry/docker/registry/v2"


def files_of(workshop: Workshop, result: BuildResult, below: Collection[Digest] = ()) -> dict[str, bytes]:
    """Return the files of the layers that hold what was packed."""
    packed = [StackedLayer(one.diff_id) for one in result.image.layers if one.kind == PACKED_KIND]
    mine = [layer for layer in packed if layer.diff_id not in below]
    with open_backends(str(workshop.root), access="look") as backends:
        files = LayerFiles(backends.layers, mine)
        return dict(files.read(files.paths()))


def flaws(workshop: Workshop, result: BuildResult) -> list[str]:
    with open_backends(str(workshop.root), access="read") as backends:
        return [str(flaw) for flaw in verify_image(result.image, backends).flaws]


def test_an_image_is_laid_out_as_a_registry_stores_it(registry: FakeRegistry, workshop: Workshop) -> None:
    image = small_image("one")
    digest = publish(registry, "team/app:v1", image)

    files = files_of(workshop, workshop.build(listing(f"{registry.host}/team/app:v1")))

    blobs = {data for path, data in files.items() if path.startswith(f"{STORAGE}/blobs/")}
    repository = f"{STORAGE}/repositories/team/app"
    assert blobs == {image.manifest, *image.blobs.values()}
    assert files[f"{repository}/_manifests/tags/v1/current/link"] == str(digest).encode()
    assert files[f"{repository}/_manifests/revisions/sha256/{digest.hex}/link"] == str(digest).encode()
    assert sum(f"{repository}/_layers/" in path for path in files) == len(image.blobs)
    assert json.loads(files["registry/images.json"])["images"] == [
        {"name": f"{registry.host}/team/app:v1", "digest": str(digest)}
    ]


def test_of_an_index_only_the_platform_is_fetched_and_the_index_stays_as_it_is(
    registry: FakeRegistry, workshop: Workshop
) -> None:
    ours, theirs = small_image("ours"), small_image("theirs", architecture="arm64")
    digest = publish(registry, "app:v1", {"amd64": ours, "arm64": theirs})

    result = workshop.build(listing(f"{registry.host}/app:v1"))

    files = files_of(workshop, result)
    assert files[f"{STORAGE}/blobs/sha256/{digest.hex[:2]}/{digest.hex}/data"] == registry.manifest("app", "v1").data
    assert ours.manifest in files.values()
    assert theirs.manifest not in files.values()
    assert flaws(workshop, result) == []


def test_an_image_for_several_platforms_has_for_each_its_own(registry: FakeRegistry, workshop: Workshop) -> None:
    images = {one: small_image(one, architecture=one) for one in ("amd64", "arm64")}
    publish(registry, "app:v1", images)
    context = workshop.context({**listing(f"{registry.host}/app:v1"), "Kubefile": "FROM scratch\nCOPY manifests .\n"})
    platforms = [Platform("linux", one) for one in images]

    with workshop.open() as backends:
        kubefile = read_kubefile(str(context / "Kubefile"))
        options = BuildOptions(pull_images="missing")
        built = build_platforms(kubefile, str(context), backends, platforms=platforms, options=options).results

    packed = [files_of(workshop, one).values() for one in built]
    assert [images["amd64"].manifest in files for files in packed] == [True, False]
    assert [flaws(workshop, one) for one in built] == [[], []]


def test_fifty_images_that_share_layers_are_fetched_blob_by_blob_once(
    registry: FakeRegistry, workshop: Workshop
) -> None:
    names = [f"app{number}:v1" for number in range(50)]
    for number, name in enumerate(names):
        shared = ["base", "libraries"] if number < 40 else []
        publish(registry, name, small_image(name, shared=shared))

    result = workshop.build(listing(*(f"{registry.host}/{name}" for name in names)))

    fetched = Counter(
        re.sub(r".*/blobs/", "", call) for call in registry.calls() if call.startswith("GET ") and "/blobs/" in call
    )
    # Of each image its config and its own layer, and the two that forty share.
    assert len(fetched) == 50 + 50 + 2
    assert set(fetched.values()) == {1}
    assert flaws(workshop, result) == []


def test_what_two_names_share_is_fetched_once(registry: FakeRegistry, workshop: Workshop) -> None:
    names = [f"app:v{number}" for number in range(12)]
    for name in names:
        publish(registry, name, small_image("the same"))

    result = workshop.build(listing(*(f"{registry.host}/{name}" for name in names)))

    assert len([call for call in registry.calls() if "/blobs/" in call]) == 2
    assert flaws(workshop, result) == []


def test_each_image_is_told_once_when_its_last_blob_is_there(registry: FakeRegistry, workshop: Workshop) -> None:
    names = [f"app{number}:v1" for number in range(3)]
    for name in names:
        publish(registry, name, small_image("shared" if name != names[0] else "other"))

    workshop.build(listing(*(f"{registry.host}/{name}" for name in names)))

    told = workshop.told(ImageFetched)
    assert sorted(event.name for event in told) == [f"{registry.host}/{name}" for name in names]
    assert [(event.number, event.total) for event in told] == [(1, 3), (2, 3), (3, 3)]
    for event in told:
        before = workshop.events[: workshop.events.index(event)]
        assert sum(isinstance(one, BlobFinished) for one in before) > 0


def test_the_second_build_asks_nobody(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "app:v1", small_image("one"))
    first = workshop.build(listing(f"{registry.host}/app:v1"))
    registry.forget()

    again = workshop.build(listing(f"{registry.host}/app:v1"))
    never = workshop.build(listing(f"{registry.host}/app:v1"), "never")

    assert again.image == never.image == first.image
    assert registry.calls() == []
    assert [event.cached for event in workshop.told(PackingFinished)] == [False, True, True]


def prune(workshop: Workshop) -> None:
    with open_backends(str(workshop.root), access="look") as backends:
        prune_store(backends)


def test_another_version_of_one_image_makes_its_layer_and_the_record(
    registry: FakeRegistry, workshop: Workshop
) -> None:
    names = [f"{registry.host}/app{number}:v1" for number in range(5)]
    for name in names:
        publish(registry, name.partition("/")[2], small_image(name, shared=["base"]))
    old = workshop.build(listing(*names))
    publish(registry, "app2:v1", small_image("another", shared=["base"]))
    registry.forget()

    new = workshop.build(listing(*names), "always")

    changed = [layer.value for layer in new.image.layers if layer not in old.image.layers]
    assert changed == [f"rootfs cache {names[2]}", "rootfs cache record"]
    assert len([call for call in registry.calls() if "/blobs/" in call]) == 2
    assert flaws(workshop, new) == []


def test_the_layers_alone_are_enough_to_build_again(registry: FakeRegistry, workshop: Workshop) -> None:
    names = [f"{registry.host}/app{number}:v1" for number in range(3)]
    for number, name in enumerate(names):
        publish(registry, f"app{number}:v1", {"amd64": small_image(name, shared=["base"])})
    first = workshop.build(listing(*names), name="app:v1")
    prune(workshop)
    registry.forget()

    same = workshop.build(listing(*names), "never", name="same:v1")
    fewer = workshop.build(listing(*names[1:]), "never", name="fewer:v1")

    assert registry.calls() == []
    assert same.image == first.image
    assert [layer.value for layer in fewer.image.layers if layer not in first.image.layers] == [
        ". .",
        "rootfs cache record",
    ]
    assert flaws(workshop, fewer) == []


def test_what_is_packed_lies_in_the_store_once_when_it_is_pruned(registry: FakeRegistry, workshop: Workshop) -> None:
    images = [small_image(Random(number).randbytes(100_000).hex()) for number in range(3)]
    for number, image in enumerate(images):
        publish(registry, f"app{number}:v1", image)
    for number in range(3):
        workshop.build(listing(*(f"{registry.host}/app{one}:v1" for one in range(number + 1))), name=f"app:v{number}")
    prune(workshop)

    size = sum(path.stat().st_size for path in workshop.root.rglob("blobs/*/*"))
    distinct = sum(len(data) for image in images for data in image.blobs.values())
    assert distinct < size < 1.05 * distinct + 200_000


def test_a_layer_that_is_damaged_lends_nothing(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "app:v1", small_image("one"))
    first = workshop.build(listing(f"{registry.host}/app:v1"), name="app:v1")
    prune(workshop)
    damaged = workshop.root / "blobs/sha256" / first.image.layers[1].diff_id.hex
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes().replace(b"one", b"two"))
    registry.forget()

    again = workshop.build(listing(f"{registry.host}/app:v1"), name="app:v1")

    assert again.image == first.image
    assert flaws(workshop, again) == []


def test_never_refuses_a_name_of_which_images_say_different_things(registry: FakeRegistry, workshop: Workshop) -> None:
    for version in ("v1", "v2"):
        publish(registry, "app:latest", small_image(version))
        workshop.build(listing(f"{registry.host}/app:latest"), "always", name=f"app:{version}")
    prune(workshop)

    with pytest.raises(PackingError, match=r"means different images in those of the store: .*app:v1; .*app:v2"):
        workshop.build(listing(f"{registry.host}/app:latest"), "never")


def test_no_room_is_told_before_anything_is_fetched(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "app:v1", small_image("one"))
    kubefile = "# syntax=sealos\nFROM scratch\nCOPY . .\n" + "".join(f"WORKDIR /d{one}\n" for one in range(127))
    registry.forget()

    with pytest.raises(LayerLimitError, match="1 of the packed images"):
        workshop.build(listing(f"{registry.host}/app:v1"), kubefile=kubefile)

    assert registry.calls() == []


@pytest.mark.parametrize("value", [None, [], [1, 2, 3], [[], [], []], [[["", "x", 1]], [["", "y", 1]], []]])
def test_what_an_image_consists_of_is_read_again_where_nobody_knows(
    value: object, registry: FakeRegistry, workshop: Workshop
) -> None:
    publish(registry, "app:v1", small_image("one"))
    first = workshop.build(listing(f"{registry.host}/app:v1"))
    (kept,) = (workshop.root / "cache/images/contents").iterdir()
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"value": value}))

    assert workshop.build(listing(f"{registry.host}/app:v1")).image == first.image


def test_always_finds_out_that_a_tag_has_moved_and_missing_does_not(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "app:v1", small_image("old"))
    old = workshop.build(listing(f"{registry.host}/app:v1"))
    publish(registry, "app:v1", small_image("new"))

    missing = workshop.build(listing(f"{registry.host}/app:v1"), "missing")
    always = workshop.build(listing(f"{registry.host}/app:v1"), "always")

    assert missing.image == old.image
    assert always.image != old.image
    assert flaws(workshop, always) == []


def test_always_only_asks_for_what_has_not_moved(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "app:v1", small_image("one"))
    first = workshop.build(listing(f"{registry.host}/app:v1"))
    registry.forget()

    again = workshop.build(listing(f"{registry.host}/app:v1"), "always")

    assert again.image == first.image
    assert [call.partition(" ")[0] for call in registry.calls() if "/manifests/" in call] == ["HEAD"]


def test_never_names_what_was_never_fetched(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "there:v1", small_image("there"))
    workshop.build(listing(f"{registry.host}/there:v1"))

    with pytest.raises(PackingError, match=rf"1 of 2 images were never fetched: {registry.host}/gone:v1"):
        workshop.build(listing(f"{registry.host}/gone:v1", f"{registry.host}/there:v1"), "never")


def test_off_packs_nothing_and_counts_what_is_left_out(registry: FakeRegistry, workshop: Workshop) -> None:
    chart = {"charts/app/Chart.yaml": "name: app\nversion: 1.0.0\n"}

    result = workshop.build({**listing(f"{registry.host}/a:v1", f"{registry.host}/b:v1"), **chart}, "off")

    assert workshop.told(ImagesLeftOut) == [ImagesLeftOut(images=2, charts=1)]
    assert [layer.kind for layer in result.image.layers] == ["COPY"]
    assert registry.calls() == []


def test_what_is_left_out_is_told_each_time_and_searched_once(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = listing("a:v1", "b:v1")
    workshop.build(files, "off")
    monkeypatch.setattr("kubeimage.packing.search.find_in_layers", None)

    workshop.build(files, "off")

    assert workshop.told(ImagesLeftOut) == 2 * [ImagesLeftOut(images=2, charts=0)]


@pytest.mark.parametrize("value", [None, 3, [1], ["1", 2], {"images": 1}, [1, 2, 3]])
def test_a_count_that_cannot_be_read_is_taken_again(workshop: Workshop, value: object) -> None:
    workshop.build(listing("a:v1"), "off")
    (kept,) = (Path(workshop.root) / "cache/images/left-out").iterdir()
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"value": value}))

    workshop.build(listing("a:v1"), "off")

    assert workshop.told(ImagesLeftOut)[-1] == ImagesLeftOut(images=1, charts=0)


@pytest.mark.parametrize("chart", [{"charts/app.tgz": "no chart"}, {"charts/app/Chart.yaml": "- no mapping"}])
def test_a_build_that_packs_nothing_does_not_fail_at_a_broken_chart(chart: dict[str, str], workshop: Workshop) -> None:
    workshop.build({**listing(), **chart}, "off")

    assert workshop.told(ImagesLeftOut) == [ImagesLeftOut(images=0, charts=1)]


def test_an_application_that_names_nothing_has_no_layer_more(workshop: Workshop) -> None:
    off, on = workshop.build({"a": "1"}, "off"), workshop.build({"a": "1"}, "missing")

    assert on.image == off.image
    assert workshop.told(ImagesLeftOut) == []
    assert on.warnings == ()


def test_what_the_base_image_has_is_not_fetched_again(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "one:v1", small_image("one", shared=["base"]))
    publish(registry, "two:v1", small_image("two", shared=["base"]))
    base = workshop.build(listing(f"{registry.host}/one:v1"), name="base:v1")
    registry.forget()

    result = workshop.build(
        {"manifests/imageList": f"{registry.host}/two:v1"}, kubefile="FROM base:v1\nCOPY manifests .\n"
    )

    assert len([call for call in registry.calls() if "/blobs/" in call]) == 2
    files = files_of(workshop, result, {layer.diff_id for layer in base.image.layers})
    assert sum(path.startswith(f"{STORAGE}/blobs/") for path in files) == 3
    assert flaws(workshop, result) == []


def test_without_the_base_image_all_of_it_is_packed_anew(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "one:v1", small_image("one"))
    workshop.build(listing(f"{registry.host}/one:v1"), name="base:v1")

    result = workshop.build(
        {"manifests/imageList": f"# again\n{registry.host}/one:v1"},
        kubefile="FROM base:v1\nCOPY manifests .\n",
        keep_base=False,
    )

    assert [layer.value.rpartition(" ")[2] for layer in result.image.layers[1:]] == [
        f"{registry.host}/one:v1",
        "record",
    ]
    assert flaws(workshop, result) == []


def test_one_place_for_two_different_images_is_an_error_that_names_both(
    registries: list[FakeRegistry], workshop: Workshop
) -> None:
    names = [f"{one.host}/app:v1" for one in registries]
    for number, one in enumerate(registries):
        publish(one, "app:v1", small_image(str(number)))

    with pytest.raises(PackingError) as caught:
        workshop.build(listing(*names))

    assert all(name in str(caught.value) for name in names)


def test_the_same_image_from_two_hosts_is_fine(registries: list[FakeRegistry], workshop: Workshop) -> None:
    for one in registries:
        publish(one, "app:v1", small_image("same"))

    result = workshop.build(listing(*(f"{one.host}/app:v1" for one in registries)))

    assert flaws(workshop, result) == []


def test_an_image_pinned_by_digest_is_served_by_it(registry: FakeRegistry, workshop: Workshop) -> None:
    digest = publish(registry, "app:v1", small_image("one"))
    registry.put_manifest("app", "v1", small_image("moved").manifest)

    result = workshop.build(listing(f"{registry.host}/app@{digest}", f"{registry.host}/app:v2@{digest}"))

    files = files_of(workshop, result)
    assert [path for path in files if "/tags/" in path and path.endswith("current/link")] == [
        f"{STORAGE}/repositories/app/_manifests/tags/v2/current/link"
    ]
    assert flaws(workshop, result) == []


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (small_image("x", architecture="arm64"), "is for linux/arm64, not for linux/amd64"),
        ({"arm64": small_image("x", architecture="arm64")}, "is not there for linux/amd64, only for linux/arm64"),
        ({"amd64": small_image("x", architecture="arm64")}, "is for linux/arm64, not for linux/amd64"),
    ],
    ids=["manifest", "index", "index that lies"],
)
def test_an_image_for_another_platform_is_an_error(
    image: object, message: str, registry: FakeRegistry, workshop: Workshop
) -> None:
    publish(registry, "app:v1", image)  # type: ignore[arg-type]

    with pytest.raises(PackingError, match=message):
        workshop.build(listing(f"{registry.host}/app:v1"))


def test_an_image_that_is_not_there_is_an_error_with_its_name(registry: FakeRegistry, workshop: Workshop) -> None:
    with pytest.raises(RegistryNotFoundError, match=rf"{registry.host}/gone:v1") as caught:
        workshop.build(listing(f"{registry.host}/gone:v1"))

    assert "--ignore-image" in str(caught.value.hint)


def test_a_registry_that_stumbles_is_asked_again(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "app:v1", small_image("one"))
    registry.on("GET */blobs/*", Status(503, retry_after=0))
    registry.on("GET */blobs/*", Drop(after=20), skip=1)

    result = workshop.build(listing(f"{registry.host}/app:v1"))

    assert flaws(workshop, result) == []


def test_wrong_bytes_end_the_build_and_leave_no_image(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "app:v1", small_image("one"))
    registry.on("GET */blobs/*", WrongBytes(), times=None)

    with pytest.raises(RegistryContentError, match="what came is"):
        workshop.build(listing(f"{registry.host}/app:v1"), name="app:v1")

    with open_backends(str(workshop.root), access="look") as backends:
        assert backends.images.records() == []


def test_people_overrule_what_is_found(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "in:v1", small_image("in"))
    search = choosing(ignored=("*/out",), added=(f"{registry.host}/in:v1",))

    result = workshop.build(listing(f"{registry.host}/out:v1"), search=search)

    assert workshop.told(PackingFinished)[-1].images == (f"{registry.host}/in:v1",)
    assert flaws(workshop, result) == []


def test_a_guess_is_packed_with_a_warning(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "tool:v1", small_image("tool"))

    result = workshop.build({**listing(), "manifests/a.tmpl": f"{{{{ x }}}}\nimage: {registry.host}/tool:v1\n"})

    assert f"packed on a guess: {registry.host}/tool:v1" in result.warnings[0]


def test_images_named_outside_are_counted(registry: FakeRegistry, workshop: Workshop) -> None:
    result = workshop.build({**listing(), "app.yaml": "spec: {containers: [{image: 'left:1'}, {image: 'left:2'}]}"})

    assert [one for one in result.warnings if "2 images are named outside" in one and "app.yaml" in one]


def test_other_folders_are_searched_where_people_say_so(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "app:v1", small_image("one"))
    files = {**listing(), "addons/a.yaml": f"spec: {{containers: [{{image: '{registry.host}/app:v1'}}]}}"}

    result = workshop.build(files, search=Search(folders=("addons",)))

    assert workshop.told(PackingFinished)[-1].images == (f"{registry.host}/app:v1",)
    assert result.warnings == ()


def test_the_trailing_layer_counts(workshop: Workshop) -> None:
    kubefile = "FROM scratch\n" + "COPY a .\n" * 128

    with pytest.raises(LayerLimitError, match="1 of the packed images"):
        workshop.build({"a": "1"}, kubefile=kubefile)

    assert workshop.build({"a": "1"}, "off", kubefile=kubefile).image.layers


def test_nothing_depends_on_the_order_in_which_blobs_arrive(
    registry: FakeRegistry, workshop: Workshop, tmp_path: Path
) -> None:
    names = [f"app{number}:v1" for number in range(6)]
    for name in names:
        publish(registry, name, small_image(name, shared=["base"]))
    host = registry.host

    forward = workshop.build(listing(*(f"{host}/{name}" for name in names)))
    workshop.root = tmp_path / "other"
    backward = workshop.build(listing(*(f"{host}/{name}" for name in names)))

    assert forward.image.layers[1:] == backward.image.layers[1:]
    assert len(forward.image.layers) == 1 + 1 + len(names) + 1


CHART = {
    "charts/app/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\nkubeVersion: '>=1.25.0'\n",
    "charts/app/templates/x.yaml": "kind: ConfigMap\n",
}


def test_a_chart_for_another_cluster_is_an_error_that_names_both(workshop: Workshop) -> None:
    pytest.importorskip("helm_python")

    with pytest.raises(KubeVersionError, match=r"the chart charts/app asks for Kubernetes >=1.25.0.*v1\.22\.15"):
        workshop.build({**listing(), **CHART})


def test_what_charts_ask_for_is_recorded_beside_what_is_known(workshop: Workshop) -> None:
    pytest.importorskip("helm_python")

    result = workshop.build({"Metadata": '{"version": "v1.27.3", "arch": "amd64"}', **CHART})

    assert json.loads(files_of(workshop, result)["Metadata"]) == {
        "version": "v1.27.3",
        "arch": "amd64",
        "kubeVersion": ">=1.25.0",
    }


@pytest.mark.parametrize("metadata", [{}, {"Metadata": '{"version": ">=1.19.0-0"}'}], ids=["none", "a constraint"])
def test_images_for_no_known_kubernetes_are_a_warning(
    metadata: dict[str, str], registry: FakeRegistry, workshop: Workshop
) -> None:
    publish(registry, "app:v1", small_image("one"))

    result = workshop.build({"manifests/imageList": f"{registry.host}/app:v1", **metadata})

    assert [one for one in result.warnings if one.startswith("nothing says for which versions")]
