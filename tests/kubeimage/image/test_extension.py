import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.image.extension import (
    EXTENSION_ANNOTATION,
    IMAGES_ANNOTATION,
    Application,
    Extension,
    PackedImage,
    extension_annotations,
    read_images,
)
from kubeimage.image.platform import Platform

AMD64 = Platform("linux", "amd64")
# What sealer at f4f89c58 wrote, but for its client's versions.
FROM_SEALER = (
    '{"buildClient":{"sealerVersion":"unknown","buildahVersion":"1.27.1"},"schemaVersion":"v1alpha1",'
    '"type":"app-installer","applications":[{"name":"dash","type":"helm","files":["dash"],"version":"v1",'
    '"env":{"A":"1","B":"2"}},{"name":"y","type":"kube","files":["y.yaml"],"version":"v1"},{"name":"sh",'
    '"type":"shell","files":["install.sh"],"version":"v1","cmds":["./install.sh -x","ls"]}],'
    '"launch":{"app_names":["dash","sh"]}}'
)

names = st.text("abc", min_size=1, max_size=3)
texts = st.lists(st.text(max_size=4), max_size=2).map(tuple)
mappings = st.dictionaries(names, st.text(max_size=4), max_size=2)
applications = st.builds(
    Application, names, st.sampled_from(["", "kube", "helm", "shell"]), texts, st.just("v1"), mappings, texts
)
extensions = st.builds(
    Extension,
    st.sampled_from(["kube-installer", "app-installer"]),
    st.lists(applications, max_size=3, unique_by=lambda one: one.name).map(
        lambda found: tuple(sorted(found, key=lambda one: one.name))
    ),
    mappings,
    texts,
    texts,
)


@given(extensions)
def test_an_extension_reads_back(extension: Extension) -> None:
    assert Extension.from_annotations(extension_annotations(extension, [])) == extension


def test_what_sealer_wrote_is_written_again_with_its_applications_by_name() -> None:
    theirs = json.loads(FROM_SEALER)

    ours = json.loads(Extension.from_annotations({EXTENSION_ANNOTATION: FROM_SEALER}).to_text())

    assert list(ours) == list(theirs)
    assert [list(one) for one in ours["applications"][:1]] == [list(theirs["applications"][0])]
    theirs["applications"].sort(key=lambda one: one["name"])
    assert {**ours, "buildClient": None} == {**theirs, "buildClient": None}


def test_an_image_without_anything_has_the_least_that_sealer_can_read() -> None:
    value = json.loads(Extension().to_text())

    assert (value["schemaVersion"], value["type"], value["launch"]) == ("v1alpha1", "kube-installer", {})
    assert value.keys() == {"buildClient", "schemaVersion", "type", "launch"}


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "null", '{"applications": 1, "launch": []}', '{"applications": [1, {}]}']
)
def test_a_broken_annotation_says_nothing(text: str) -> None:
    annotations = {EXTENSION_ANNOTATION: text, IMAGES_ANNOTATION: text}

    assert Extension.from_annotations(annotations) == Extension()
    assert read_images(annotations) == []


def test_packed_images_are_listed_once_and_in_order() -> None:
    packed = [PackedImage("docker.io/library/nginx:1.25", AMD64, "web"), PackedImage("a/b:1", AMD64)]

    annotations = extension_annotations(Extension(), [*packed, *packed])

    assert json.loads(annotations[IMAGES_ANNOTATION]) == [
        {"image": "a/b:1", "platform": {"architecture": "amd64", "os": "linux"}},
        {
            "image": "docker.io/library/nginx:1.25",
            "appName": "web",
            "platform": {"architecture": "amd64", "os": "linux"},
        },
    ]
    assert read_images(annotations) == sorted(packed)
