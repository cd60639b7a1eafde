"""Names that several keys make together."""

import pytest

from kubeimage.discovery.splits import join_split

HEX = "0123456789abcdef" * 4

# The mapping, and the name that its keys make; "" where they make none.
SPLITS: list[tuple[dict[str, str], str]] = [
    ({"registry": "quay.io", "repository": "a/b", "tag": "1"}, "quay.io/a/b:1"),
    ({"registry": "q.io/", "repository": "/a/"}, "q.io/a"),
    ({"registry": "q.io", "repository": "r.io/b"}, "r.io/b"),
    ({"registry": "q.io", "repository": "localhost/b"}, "localhost/b"),
    ({"registry": "q.io", "repository": "r:1/b"}, "r:1/b"),
    ({"registry": "q.io", "repository": "r.io"}, "q.io/r.io"),
    ({"registry": "q.io"}, ""),
    ({"repository": "a/b", "digest": HEX}, f"a/b@sha256:{HEX}"),
    ({"repository": "a/b", "digest": HEX[1:]}, f"a/b@{HEX[1:]}"),
    ({"repository": "a/b", "digest": f"{HEX}0"}, f"a/b@{HEX}0"),
    ({"repository": "a/b", "digest": f"g{HEX[1:]}"}, f"a/b@g{HEX[1:]}"),
    ({"repository": "a/b", "digest": f"sha256:{HEX}"}, f"a/b@sha256:{HEX}"),
    ({"repository": "a/b", "digest": HEX, "tag": "1"}, f"a/b:1@sha256:{HEX}"),
    ({"repository": "a/b@sha256:1", "tag": "2"}, "a/b@sha256:1"),
    ({"repository": "a/b:1", "tag": "2"}, "a/b:1"),
    ({"repository": "h:1/b", "tag": "2"}, "h:1/b:2"),
    ({"image": "a"}, ""),
    ({"image": "a", "tag": "1"}, "a:1"),
    ({"image_name": "a", "image-tag": "1"}, "a:1"),
    ({"repository": "https.io/charts", "image": "q.io/a", "tag": "1"}, "q.io/a:1"),
    ({"repository": "charts", "image": "a:1", "tag": "2"}, "a:1"),
    ({"repository": "a", "image": "b", "tag": "1"}, "a/b:1"),
    ({"repository": "a", "name": "b"}, "a"),
    ({"repository": "", "image": "x", "tag": "1"}, "x:1"),
    ({"tag": "1"}, ""),
]


@pytest.mark.parametrize(("mapping", "name"), SPLITS, ids=range(len(SPLITS)))
@pytest.mark.parametrize("about_images", [True, False])
def test_keys_make_a_name(mapping: dict[str, str], name: str, about_images: bool) -> None:
    found = join_split(mapping, about_images=about_images)

    assert (found.text if found is not None else "") == name
    assert found is None or set(found.keys) <= mapping.keys()


def test_a_name_is_one_of_an_image_where_the_mapping_is_about_images() -> None:
    mapping = {"name": "b", "tag": "1"}

    assert join_split(mapping, about_images=False) is None
    assert (found := join_split(mapping, about_images=True)) is not None
    assert found.text == "b:1"


@pytest.mark.parametrize(("text", "is_whole"), [("a:1", True), ("a@b", True), ("h:1/a", False), ("a/b", False)])
def test_a_name_is_whole_with_a_tag_or_a_digest(text: str, is_whole: bool) -> None:
    found = join_split({"repository": text}, about_images=False)

    assert found is not None
    assert found.is_whole == is_whole
