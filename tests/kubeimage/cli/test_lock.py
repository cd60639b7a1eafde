import json
from pathlib import Path

import pytest
import yaml

from harness.fakes.registry import FakeRegistry
from kubeimage.api.locking import read_lock
from tests.containers import small_image
from tests.kubeimage.cli.conftest import MakeContext, Run
from tests.kubeimage.packing.conftest import publish


@pytest.fixture
def app(fake_registry: FakeRegistry, make_context: MakeContext) -> Path:
    publish(fake_registry, "team/app:v1", small_image("app"))
    files = {
        "Kubefile": "FROM scratch\nCOPY . .\n",
        "Other": "FROM scratch\nCOPY . .\n",
        "manifests/imageList": f"{fake_registry.host}/team/app:v1\n",
    }
    return make_context(files)


def insecure(registry: FakeRegistry) -> tuple[str, str]:
    return "--insecure", f"http://{registry.host}"


@pytest.mark.parametrize(("options", "name"), [((), "Kubefile.lock"), (("-f", "Other"), "Other.lock")])
def test_a_lock_lies_beside_its_kubefile_and_a_build_goes_by_it(
    options: tuple[str, ...], name: str, run: Run, fake_registry: FakeRegistry, app: Path
) -> None:
    chosen = ("-f", app / options[1]) if options else ()
    unlocked = run("build", "-q", "-t", "app:v1", *chosen, app).stdout

    made = run("lock", "-q", *insecure(fake_registry), *chosen, app)
    fake_registry.forget()
    held = run("lock", "-q", "--check", "--pull-images", "never", *chosen, app)
    locked = run("build", "-q", "-t", "app:v1", "--locked", *chosen, app).stdout

    assert made.stdout == f"{app / name}\n"
    assert made.stderr == "locked 1 image\n"
    assert [str(one.name) for one in read_lock(str(app / name)).images] == [f"{fake_registry.host}/team/app:v1"]
    assert (held.stdout, held.stderr) == ("", "the lock holds\n")
    assert locked == unlocked
    assert fake_registry.calls() == []


def test_check_says_what_differs_and_ends_with_1(run: Run, fake_registry: FakeRegistry, app: Path) -> None:
    run("lock", "-q", *insecure(fake_registry), app)
    (app / "manifests/imageList").write_text(f"{fake_registry.host}/team/other:v1\n")

    found = run("lock", "-q", "--check", "--pull-images", "never", app, status=1)
    failed = run("build", "-q", "-t", "app:v1", "--locked", app, status=1)

    host = fake_registry.host
    assert sorted(found.stdout.splitlines()) == [
        f"the image {host}/team/app:v1 is in the lock, and nothing names it",
        f"the image {host}/team/other:v1 is not in the lock",
    ]
    assert failed.stderr.count("error[E0872]: the image") == 2


def test_imgpkg_s_form_goes_to_standard_output_or_where_it_is_wanted(
    run: Run, fake_registry: FakeRegistry, app: Path, tmp_path: Path
) -> None:
    shown = run("lock", "-q", "--format", "imgpkg", *insecure(fake_registry), app)
    run("lock", "-q", "--format", "imgpkg", "-o", tmp_path / "images.yml", *insecure(fake_registry), app)

    assert yaml.safe_load(shown.stdout)["kind"] == "ImagesLock"
    assert (tmp_path / "images.yml").read_text() == shown.stdout
    assert not (app / "Kubefile.lock").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build", "-t", "app:v1", "--locked"), "error[E0871]: there is no lock at"),
        (("plan", "--locked"), "error[E0871]: there is no lock at"),
        (("lock", "--check"), "error[E0871]: there is no lock at"),
        (("lock", "--update", "a"), "error[E0871]: there is no lock at"),
        (("lock", "--check", "--update", "a"), "error[E0101]: --check writes nothing"),
    ],
)
def test_what_cannot_be_done_is_wrong_usage(arguments: tuple[str, ...], message: str, run: Run, app: Path) -> None:
    assert message in run(*arguments, app, status=2).stderr


def test_a_lock_is_no_kubefile(run: Run, fake_registry: FakeRegistry, app: Path) -> None:
    before = run("lint", app)
    run("lock", "-q", *insecure(fake_registry), app)

    assert run("lint", app).stderr == before.stderr


def test_plan_and_images_of_foresee_what_would_be_fetched(run: Run, fake_registry: FakeRegistry, app: Path) -> None:
    (listed,) = json.loads(run("images-of", "--forecast", "--format", "json", app).stdout)
    asked = run("plan", "--pull-images", "missing", "--ask", *insecure(fake_registry), "--format", "json", app)
    foreseen = json.loads(asked.stdout)[-1]
    fake_registry.forget()
    quiet = run("plan", "--format", "json", app)

    assert (listed["comes"], listed["unknown"]) == (None, "never fetched here, and no registry is asked")
    assert foreseen["comes"] == foreseen["size"] == sum(blob["size"] for blob in foreseen["blobs"])
    assert asked.stderr == f"1 image: {foreseen['size']} B to come from {fake_registry.host}\n"
    assert all("step" in one for one in json.loads(quiet.stdout))
    assert fake_registry.calls() == []
