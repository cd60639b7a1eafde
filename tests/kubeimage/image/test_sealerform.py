import json

import pytest
from hypothesis import given

from kubeimage.image.config import CLUSTERFILE_ANNOTATION, DEFAULT_CLUSTERFILE, Image
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.sealerform import from_sealer, to_sealer

from .test_config import images

NAME = Reference.parse("example.com/team/app:v1")


@given(images)
def test_what_went_to_sealer_comes_back(image: Image) -> None:
    assert from_sealer(to_sealer(image, NAME)) == (image.config, dict(image.manifest_annotations))


@pytest.mark.parametrize("clusterfile", [DEFAULT_CLUSTERFILE, "spec:\n  image: example.com/team/app:v1\n", "kind: x"])
def test_a_clusterfile_comes_back_as_it_was(clusterfile: str) -> None:
    image = Image(
        Platform("linux", "amd64"),
        annotations={CLUSTERFILE_ANNOTATION: clusterfile},
        manifest_annotations={"sealer.image.extension": "{}"},
    )

    assert from_sealer(to_sealer(image, NAME)) == (image.config, {"sealer.image.extension": "{}"})


@pytest.mark.parametrize("change", ["id", "name", "history"])
def test_what_is_not_what_left_stays_as_it_came(change: str) -> None:
    value = json.loads(to_sealer(Image(Platform("linux", "amd64")), NAME))
    if change == "id":
        value["spec"]["id"] = "0" * 64
    elif change == "name":
        del value["metadata"]["name"]
    else:
        value["history"] = [{"created_by": "RUN evil"}]

    assert from_sealer(json.dumps(value).encode()) is None


@pytest.mark.parametrize(
    "config", [b"", b"[]", b"{}", b'{"metadata":1,"spec":2}', b'{"metadata":{"name":1},"spec":{}}']
)
def test_any_other_config_is_no_form_of_ours(config: bytes) -> None:
    assert from_sealer(config) is None
