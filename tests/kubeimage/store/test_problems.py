"""What is odd about names in the list of a store."""

from typing import Any

from kubeimage.image.media_types import MANIFESTS
from kubeimage.store.problems import odd_names

NAME = "org.opencontainers.image.ref.name"
AMD: dict[str, Any] = {"architecture": "amd64", "os": "linux"}


def entry(name: str, platform: dict[str, Any] | None = None, **more: str) -> dict[str, Any]:
    digest = f"sha256:{'1' * 64}"
    annotations = {"annotations": {NAME: name, **more}} if name else {}
    return {
        "mediaType": min(MANIFESTS),
        "digest": digest,
        "size": 2,
        **annotations,
        **({"platform": platform} if platform else {}),
    }


def test_a_name_of_two_images_is_odd_unless_they_are_for_two_platforms() -> None:
    same = {"os": "linux", "architecture": "amd64"}

    assert list(odd_names([entry("app:1", AMD), entry("app:1", {**AMD, "architecture": "arm64"})])) == []
    for one, other in ((None, None), (AMD, AMD), (AMD, same)):
        (what,) = [what for what, _ in odd_names([entry("app:1", one), entry("app:1", other)])]
        assert what.startswith("two images are called ")
        assert "app:1" in what


def test_an_image_without_a_name_is_odd() -> None:
    assert [what for what, _ in odd_names([entry("")])] == [f"the image sha256:{'1' * 64} has no name"]
