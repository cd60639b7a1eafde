import pytest

from harness.checks.failed import CheckFailedError
from harness.checks.offline import check_offline_complete

NAMING = {"manifests/imageList": "nginx:1"}


def test_an_image_that_names_no_container_image_is_complete(make_case) -> None:
    check_offline_complete(make_case("FROM scratch\nCOPY a .\n", {"a": "1"}))


def test_where_none_are_packed_the_check_is_skipped_and_says_how_to_pack(make_case) -> None:
    with pytest.raises(pytest.skip.Exception, match="--kubefile-pull-images=missing"):
        check_offline_complete(make_case("FROM scratch\nCOPY manifests .\n", NAMING))


def test_what_is_not_whole_is_listed(make_case) -> None:
    record = '{"version": 1, "images": [{"name": "r.io/app:v1", "digest": "sha256:%s"}], "ignored": [], "charts": []}'
    context = {"registry/images.json": record % ("a" * 64), "manifests/imageList": "r.io/app:v1"}

    with pytest.raises(CheckFailedError, match="not complete without a network") as caught:
        check_offline_complete(make_case("FROM scratch\nCOPY registry .\nCOPY manifests .\n", context))

    assert any("r.io/app:v1" in line and "the tag is missing" in line for line in caught.value.details)
