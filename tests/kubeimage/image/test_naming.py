"""Which name two annotations give together, as each tool writes them."""

import pytest

from kubeimage.image.naming import name_annotations, named_in
from kubeimage.image.oci import ANNOTATION_FULL_NAME, ANNOTATION_REF_NAME
from kubeimage.image.reference import DEFAULT_DOMAIN, Reference

DIGEST = f"sha256:{'0' * 64}"
OURS = f"{DEFAULT_DOMAIN}/sealer-io/app:v1"

NAMES = {
    "containerd, nerdctl, BuildKit, Docker 25": ("v1", "docker.io/library/alpine:v1", "docker.io/library/alpine:v1"),
    "ctr images export of an odd name": ("v3", "docker.io/library/odd:v3", "docker.io/library/odd:v3"),
    "kubeimage": ("app:v1", OURS, OURS),
    "the whole name twice": (OURS, OURS, OURS),
    "the whole name alone": ("", "quay.io/a/b:v3", "quay.io/a/b:v3"),
    "podman, skopeo": ("quay.io/a/b:v3", "", "quay.io/a/b:v3"),
    "renamed by a tool that knows the short one": ("quay.io/a/b:v4", "quay.io/a/b:v3", "quay.io/a/b:v4"),
    "a whole name that is none": ("quay.io/a/b:v4", "Not A Name", "quay.io/a/b:v4"),
    "a short name that is none": ("Not A Name", "", None),
    "neither": ("", "", None),
    "by digest alone": ("sha256", f"quay.io/a/b@{DIGEST}", None),
    "by digest, with it": (DIGEST, f"quay.io/a/b@{DIGEST}", None),
}


@pytest.mark.parametrize(("short", "full", "expected"), NAMES.values(), ids=NAMES)
def test_a_name_is_what_the_tool_meant(short: str, full: str, expected: str | None) -> None:
    found = named_in({ANNOTATION_REF_NAME: short, ANNOTATION_FULL_NAME: full})

    assert (str(found) if found else None) == expected


@pytest.mark.parametrize("text", ["app:v1", "quay.io/a/b:v3", f"app@{DIGEST}", f"quay.io/a/b:v1@{DIGEST}"])
def test_what_we_write_is_read_back(text: str) -> None:
    reference = Reference.parse(text)

    assert named_in(name_annotations(reference)) == reference
