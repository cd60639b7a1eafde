"""Which files are searched, by their places."""

import pytest

from kubeimage.discovery.finder import is_list


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("manifests/imageList", True),
        ("imageList", True),
        ("images/skopeo/tar.txt", True),
        ("images/shim/any", True),
        ("images/shim/deep/any.txt", True),
        ("images/skopeo/other.txt", False),
        ("images/shim", False),
        ("x/manifests/imageList", False),
        ("x/imageList", False),
        ("manifests/imageList.yaml", False),
        ("manifests/imagelist", False),
    ],
)
def test_a_list_is_known_by_its_place(path: str, expected: bool) -> None:
    assert is_list(path) == expected
