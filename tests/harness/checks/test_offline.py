from pathlib import Path

import pytest

from harness.checks.failed import CheckFailedError
from harness.checks.offline import check_nothing_skipped, check_offline_complete, check_offline_rehearsal, check_signed
from harness.fakes.registry.fake import FakeRegistry
from harness.trees import write_tree
from kubeimage.image.referrers import cosign_tag
from tests.containers import small_image
from tests.harness.checks.conftest import Cases
from tests.harness.conftest import Run, WriteProject
from tests.kubeimage.signing.made import Blobs, make_key, signed, write_pair

RECORD = '{"version": 1, "images": [{"name": "r.io/app:v1", "digest": "sha256:%s"}], "ignored": [], "charts": []}'


def test_an_image_that_names_no_container_image_is_complete(make_case: Cases) -> None:
    check_offline_complete(make_case("FROM scratch\nCOPY a .\n", {"a": "1"}))


@pytest.mark.parametrize(
    "context",
    [{"manifests/imageList": "r.io/app:v1"}, {"registry/images.json": RECORD % ("a" * 64), "manifests/x": ""}],
    ids=["named", "recorded"],
)
def test_what_is_not_whole_is_listed(make_case: Cases, context: dict[str, str]) -> None:
    with pytest.raises(CheckFailedError, match="not complete without a network") as caught:
        check_offline_complete(make_case("FROM scratch\nCOPY . .\n", context))

    assert any("r.io/app:v1" in line and "the tag is missing" in line for line in caught.value.details)


def test_what_cannot_be_read_is_listed(make_case: Cases) -> None:
    with pytest.raises(CheckFailedError, match="not complete without a network") as caught:
        check_offline_complete(make_case("FROM scratch\nCOPY . .\n", {"manifests/imageList": "Nginx:1"}))

    assert any("manifests/imageList:1" in line and "did you mean nginx:1?" in line for line in caught.value.details)


def test_the_rehearsal_is_skipped_where_nothing_is_named_or_packed(make_case: Cases) -> None:
    with pytest.raises(pytest.skip.Exception, match="names no container image"):
        check_offline_rehearsal(make_case("FROM scratch\nCOPY a .\n", {"a": "1"}))


@pytest.mark.parametrize(
    ("names", "told"),
    [("r.io/app:v1", "r.io/app:v1: the tag v1 is not packed (manifests/imageList: line 1)"), ("Nginx:1", "'Nginx:1'")],
    ids=["missing", "unreadable"],
)
def test_what_a_node_would_not_get_is_listed(make_case: Cases, names: str, told: str) -> None:
    with pytest.raises(CheckFailedError, match="would not get every container image") as caught:
        check_offline_rehearsal(make_case("FROM scratch\nCOPY . .\n", {"manifests/imageList": names}))

    assert any(told in line for line in caught.value.details)


def test_nothing_packed_is_signed_by_nobody(make_case: Cases, tmp_path: Path) -> None:
    key = str(write_pair(tmp_path).with_suffix(".pub"))

    with pytest.raises(pytest.skip.Exception, match="packs no container image"):
        check_signed(make_case("FROM scratch\nCOPY a .\n", {"a": "1"}, signed_by=(key,)))


@pytest.mark.parametrize(("signer", "outcome"), [("key", {"passed": 1}), ("other", {"failed": 1}), ("", {"failed": 1})])
def test_what_is_packed_is_signed_by_a_key_that_is_asked_for(
    project: WriteProject, run: Run, fake_registry: FakeRegistry, tmp_path: Path, signer: str, outcome: dict[str, int]
) -> None:
    image = small_image("one")
    for data in image.blobs.values():
        fake_registry.put_blob("app", data)
    top = fake_registry.put_manifest("app", "v1", image.manifest)
    keys = {name: make_key(tmp_path, name=name) for name in ("key", "other")}
    if signer:
        blobs = Blobs()
        data = signed(keys[signer], blobs, digest=top, name=f"{fake_registry.host}/app:v1")
        for blob in blobs.known.values():
            fake_registry.put_blob("app", blob)
        fake_registry.put_manifest("app", cosign_tag(top, "sig"), data)
    project(
        {
            "own/config.toml": f'referrers = "signature"\n[registry."{fake_registry.host}"]\nplain-http = true\n',
            "app/Kubefile": "FROM scratch\nCOPY imageList manifests\nCOPY Metadata .\n",
            "app/imageList": f"{fake_registry.host}/app:v1",
            "app/Metadata": '{"version": "v1.22.15"}',
        }
    )

    options = ["--kubefile-pull-images=missing", "--kubefile-platform=linux/amd64", "--kubefile-config=own/config.toml"]
    asked = f"--kubefile-signed-by={tmp_path}/key.pub"
    result = run("--kubefile=app", *options, asked, "-v", "-k", "signed", backend="copy")

    result.assert_outcomes(**outcome)


SKIPPED = {"manifests/a.yaml": "description: as quay.io/org/app:1\nb: '{{ .x }}/y:2'\n# quay.io/org/comment:1\n"}


@pytest.mark.parametrize(
    ("allowed", "left"),
    [((), ["quay.io/org/app:1", "…/y:2"]), (("quay.io/*",), ["…/y:2"]), (("quay.io/*", "*/y:2"), [])],
    ids=["nothing allowed", "some", "all"],
)
def test_what_is_skipped_and_not_allowed_is_listed(make_case: Cases, allowed: tuple[str, ...], left: list[str]) -> None:
    case = make_case("FROM scratch\nCOPY . .\n", SKIPPED, allowed_skipped=allowed)

    if not left:
        check_nothing_skipped(case)
        return
    with pytest.raises(CheckFailedError, match="left out") as caught:
        check_nothing_skipped(case)
    assert [line.split(": ")[0].strip() for line in caught.value.details] == left


def test_the_check_nothing_skipped_is_there_where_it_is_asked_for(project: WriteProject, run: Run) -> None:
    project({"app/Kubefile": "FROM scratch\nCOPY a.yaml manifests\n", "app/a.yaml": "description: quay.io/a/b:1\n"})

    result = run("--kubefile=app", "--kubefile-nothing-skipped", "-v", "-k", "skipped", backend="copy")
    allowed = run("--kubefile=app", "--kubefile-nothing-skipped", "--kubefile-allow-skipped=*/b:1", backend="copy")

    result.stdout.fnmatch_lines(["app/Kubefile::nothing-skipped FAILED*"])
    allowed.assert_outcomes(passed=10)


def test_the_check_is_there_where_images_are_to_be_packed(project: WriteProject, run: Run) -> None:
    project({"app/Kubefile": "FROM scratch\nCOPY a .\n", "app/a": ""})

    result = run("--kubefile=app", "--kubefile-pull-images=missing", "-v", "-k", "offline", backend="copy")

    result.stdout.fnmatch_lines(["app/Kubefile::offline-complete PASSED*", "app/Kubefile::offline-rehearsal SKIPPED*"])


@pytest.mark.parametrize("way", ["the user's own", "--kubefile-config", "kubefile_config", "--kubefile-insecure"])
def test_a_run_packs_with_the_settings_of_the_user_or_its_own(
    project: WriteProject,
    run: Run,
    fake_registry: FakeRegistry,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    way: str,
) -> None:
    image = small_image("one")
    for data in image.blobs.values():
        fake_registry.put_blob("app", data)
    fake_registry.put_manifest("app", "v1", image.manifest)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    config = f'[registry."{fake_registry.host}"]\nplain-http = true\n'
    if way == "the user's own":
        write_tree(str(tmp_path), {"kubeimage/config.toml": config})
    elif way != "--kubefile-insecure":
        project({"own/config.toml": config})
    if way == "kubefile_config":
        project({"own/pytest.ini": "[pytest]\nkubefile_config = config.toml\n"})
    kubefile = "FROM scratch\nCOPY imageList manifests\nCOPY Metadata .\n"
    images = {"app/imageList": f"{fake_registry.host}/app:v1", "app/Metadata": '{"version": "v1.22.15"}'}
    project({"app/Kubefile": kubefile, **images})

    options = ["--kubefile-pull-images=missing", "--kubefile-platform=linux/amd64"]
    options += {
        "--kubefile-config": ["--kubefile-config=own/config.toml"],
        "kubefile_config": ["-c", "own/pytest.ini", "--rootdir=."],
        "--kubefile-insecure": [f"--kubefile-insecure=http://{fake_registry.host}"],
    }.get(way, [])
    result = run("--kubefile=app", *options, backend="copy")

    result.assert_outcomes(passed=11)
    result.stdout.fnmatch_lines(["app/Kubefile: *, 4 layers, *"])


def test_a_run_goes_by_the_locks_of_its_kubefiles(project: WriteProject, run: Run) -> None:
    lock = 'version = 1\nplatforms = ["linux/amd64", "linux/arm64"]\n'
    project({"app/Kubefile": "FROM scratch\nCOPY a .\n", "app/a": "", "app/Kubefile.lock": lock})
    held = run("--kubefile=app", "--kubefile-locked", "-k", "build", backend="copy")
    project({"app/Kubefile": "FROM scratch\nCOPY imageList manifests\n", "app/imageList": "quay.io/a/b:1\n"})
    stale = run("--kubefile=app", "--kubefile-locked", "-k", "build", backend="copy")

    held.assert_outcomes(passed=1)
    stale.assert_outcomes(failed=1)
    stale.stdout.fnmatch_lines(["*the image quay.io/a/b:1 is not in the lock*"])
