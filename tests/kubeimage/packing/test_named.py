"""What becomes of names: packed, listed, refused; and nothing of it in silence."""

import json
from collections.abc import Mapping

import pytest

from harness.fakes.registry.fake import FakeRegistry
from kubeimage.api.airgap import Verification, verify_image
from kubeimage.api.backends import open_backends
from kubeimage.builder.events import ImagesLeftOut, PackingFinished, Warned
from kubeimage.builder.executor import BuildResult
from kubeimage.discovery import documents
from kubeimage.discovery.references import Choice
from kubeimage.discovery.search import Search
from kubeimage.errors import DiscoveryError, ImageNameError
from tests.containers import small_image
from tests.kubeimage.packing.conftest import Workshop, publish
from tests.kubeimage.packing.test_packer import files_of

METADATA = {"Metadata": '{"version": "v1.22.15"}'}


def pod(image: str, *more: str) -> Mapping[str, str]:
    """Return an application with a pod and further lines in its manifest."""
    text = "\n".join(["kind: Pod", "spec:", "  containers:", f"  - image: {image}", *more])
    return {**METADATA, "manifests/pod.yaml": f"{text}\n"}


def verified(workshop: Workshop, result: BuildResult) -> Verification:
    with open_backends(str(workshop.root), access="read") as backends:
        return verify_image(result.image, backends)


@pytest.fixture
def certain(registry: FakeRegistry) -> str:
    publish(registry, "certain:v1", small_image("certain"))
    return f"{registry.host}/certain:v1"


@pytest.fixture
def guess(registry: FakeRegistry) -> str:
    publish(registry, "guess:v1", small_image("guess"))
    return f"{registry.host}/guess:v1"


def test_a_guess_is_packed_and_shown_as_one(workshop: Workshop, certain: str, guess: str) -> None:
    result = workshop.build(pod(certain, f"tool: {guess}"))

    assert workshop.told(PackingFinished)[0].images == tuple(sorted((certain, guess)))
    assert any(guess in one.message and "guess" in one.message for one in workshop.told(Warned))
    assert verified(workshop, result).is_whole


def test_a_guess_that_is_only_listed_is_not_packed_counted_and_not_missed(
    workshop: Workshop, certain: str, guess: str
) -> None:
    result = workshop.build(pod(certain, f"tool: {guess}"), search=Search(guesses="list"))

    (packed,) = workshop.told(PackingFinished)
    found = verified(workshop, result)
    assert (packed.images, packed.skipped) == ((certain,), 1)
    assert json.loads(files_of(workshop, result)["registry/images.json"])["listed"] == [guess]
    assert (found.is_whole, [one.text for one in found.skipped]) == (True, [guess])


def test_an_image_that_names_guesses_alone_is_whole_where_they_are_listed(workshop: Workshop, guess: str) -> None:
    files = {**METADATA, "manifests/a.yaml": f"tool: {guess}\n"}

    result = workshop.build(files, search=Search(guesses="list"))

    assert verified(workshop, result).is_whole


def test_a_guess_that_is_certain_elsewhere_is_packed_all_the_same(workshop: Workshop, certain: str) -> None:
    workshop.build(pod(certain, f"tool: {certain}"), search=Search(guesses="list"))

    assert workshop.told(PackingFinished)[0].images == (certain,)


def test_guesses_can_be_refused_with_their_places(workshop: Workshop, certain: str, guess: str) -> None:
    with pytest.raises(DiscoveryError, match=r"1 name is a guess.*guess:v1 \(manifests/pod\.yaml: tool\)"):
        workshop.build(pod(certain, f"tool: {guess}"), search=Search(guesses="error"))


@pytest.mark.parametrize(
    ("files", "file", "line", "near"),
    [
        (pod("Nginx:1.25"), "manifests/pod.yaml", 4, "nginx:1.25"),
        ({"manifests/imageList": "# all\n\nnginx 1.25\n"}, "manifests/imageList", 3, "nginx:1.25"),
        ({"imageList": "nginx/\n"}, "imageList", 1, "nginx"),
        ({"images/shim/any": "https://a.io/b:1\n"}, "images/shim/any", 1, "a.io/b:1"),
    ],
    ids=["pod", "list", "list at the root", "sealos"],
)
def test_a_certain_name_that_cannot_be_read_is_an_error_with_its_place_of_build_and_of_verify(
    workshop: Workshop, files: Mapping[str, str], file: str, line: int, near: str
) -> None:
    with pytest.raises(ImageNameError) as caught:
        workshop.build(files)
    left = workshop.build(files, "off")

    (told,) = caught.value.diagnostics
    (unreadable,) = verified(workshop, left).unreadable
    assert told.location is not None
    assert (told.location.file, told.location.line, unreadable.near) == (file, line, near)
    assert f"did you mean {near}?" in (told.hint or "")
    assert any(file in one.message for one in workshop.told(Warned))
    assert not verified(workshop, left).is_whole


def test_all_that_cannot_be_read_is_told_at_once_and_can_be_left_out(workshop: Workshop) -> None:
    files = {"manifests/imageList": "A:1\nB:2\n"}

    with pytest.raises(ImageNameError) as caught:
        workshop.build(files)
    result = workshop.build(files, search=Search(choice=Choice(("A:1", "B:*"))))

    assert len(caught.value.diagnostics) == 2
    assert result.image is not None


def test_a_template_is_skipped_and_counted(workshop: Workshop, certain: str) -> None:
    files = {**pod("'{{ .Values.image }}'"), "manifests/imageList": f"{certain}\n$TOOL\n"}

    result = workshop.build(files)

    assert workshop.told(PackingFinished)[0].skipped == 2
    assert verified(workshop, result).is_whole


def test_a_manifest_that_is_no_yaml_is_a_warning_with_its_line(workshop: Workshop, guess: str) -> None:
    workshop.build({**METADATA, "manifests/a.yaml": f"a: 1\nb: [\nimage: {guess}\n"})

    assert workshop.told(PackingFinished)[0].images == (guess,)
    assert any("manifests/a.yaml: not YAML: line 4" in one.message for one in workshop.told(Warned))


@pytest.mark.parametrize("file", ["manifests/A.YAML", "manifests/b.Yml", "manifests/deep/c.JSON"])
def test_the_case_of_an_extension_does_not_matter(workshop: Workshop, certain: str, file: str) -> None:
    workshop.build({**METADATA, file: json.dumps({"spec": {"containers": [{"image": certain}]}})})

    assert workshop.told(PackingFinished)[0].images == (certain,)


def test_sealos_lists_are_packed(workshop: Workshop, certain: str, guess: str) -> None:
    workshop.build({**METADATA, "images/shim/list.txt": f"# x\n{certain}\n{guess}\n"})

    assert workshop.told(PackingFinished)[0].images == tuple(sorted((certain, guess)))


def test_a_file_that_is_no_manifest_is_listed(workshop: Workshop, certain: str, guess: str) -> None:
    workshop.build({**pod(certain), "manifests/run.sh": f"run {guess}\n", "manifests/blob": f"\0 {guess}x\n"})

    assert (workshop.told(PackingFinished)[0].images, workshop.told(PackingFinished)[0].skipped) == ((certain,), 1)


def test_a_users_file_says_where_a_kind_names_images(workshop: Workshop, certain: str) -> None:
    kinds = b'["example.com/Thing"]\nimages = ["spec.parts[].what"]\n'
    thing = f"apiVersion: example.com/v1\nkind: Thing\nspec:\n  parts:\n  - what: {certain}\n  - what: Bad one\n"

    with pytest.raises(ImageNameError, match="Bad one"):
        workshop.build({"manifests/thing.yaml": thing}, search=Search(kinds=(kinds,)))


def test_a_repeated_build_parses_nothing(workshop: Workshop, certain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {**pod(certain), "elsewhere/other.yaml": "spec: {containers: [{image: 'x:1'}]}\n"}
    first = workshop.build(files)
    workshop.build(files, "off")

    def refuse(_text: str) -> None:
        raise AssertionError("a manifest is parsed")

    monkeypatch.setattr(documents, "_compose", refuse)
    again, off = workshop.build(files), workshop.build(files, "off")
    monkeypatch.undo()

    assert again.image == first.image
    assert off.image is not None
    assert [one.message for one in workshop.told(Warned) if "left behind" in one.message][1:]


def test_a_build_without_packing_counts_what_is_left_out(workshop: Workshop, certain: str, guess: str) -> None:
    workshop.build(pod(certain, f"tool: {guess}"), "off")

    assert [one.images for one in workshop.told(ImagesLeftOut)] == [2]
