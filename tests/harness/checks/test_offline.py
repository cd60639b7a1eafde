import pytest

from harness.checks.failed import CheckFailedError
from harness.checks.offline import check_offline_complete

RECORD = '{"version": 1, "images": [{"name": "r.io/app:v1", "digest": "sha256:%s"}], "ignored": [], "charts": []}'


def test_an_image_that_names_no_container_image_is_complete(make_case) -> None:
    check_offline_complete(make_case("FROM scratch\nCOPY a .\n", {"a": "1"}))


@pytest.mark.parametrize(
    "context",
    [{"manifests/imageList": "r.io/app:v1"}, {"registry/images.json": RECORD % ("a" * 64), "manifests/x": ""}],
    ids=["named", "recorded"],
)
def test_what_is_not_whole_is_listed(make_case, context: dict[str, str]) -> None:
    with pytest.raises(CheckFailedError, match="not complete without a network") as caught:
        check_offline_complete(make_case("FROM scratch\nCOPY . .\n", context))

    assert any("r.io/app:v1" in line and "the tag is missing" in line for line in caught.value.details)


def test_the_check_is_there_where_images_are_to_be_packed(project, run) -> None:
    project({"app/Kubefile": "FROM scratch\nCOPY a .\n", "app/a": ""})

    result = run("--kubefile=app", "--kubefile-pull-images=never", "-v", "-k", "offline", backend="copy")

    result.stdout.fnmatch_lines(["app/Kubefile::offline-complete PASSED*"])


def test_a_run_that_cannot_pack_says_what_was_never_fetched(project, run) -> None:
    project({"app/Kubefile": "FROM scratch\nCOPY imageList manifests\n", "app/imageList": "r.io/app:v1"})

    result = run("--kubefile=app", "--kubefile-pull-images=never", "-k", "build", backend="copy")

    result.stdout.fnmatch_lines(
        ["error[[]E0860[]]: --pull-images never, and 1 of 1 images were never fetched: r.io/app:v1"]
    )
