"""`kubeimage ls`, `cat` and `serve`."""

import base64
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubeimage import Digest, open_backends, open_image, read_settings, serve_image

from .conftest import MakeContext, Run

KUBEFILE = "FROM scratch\nCOPY a etc .\nCOPY b etc/\nCMD ls\n"


@pytest.fixture
def built(run: Run, make_context: MakeContext, tmp_path: Path) -> Path:
    """Build app:v1, and save it as an OCI archive with compressed layers."""
    context = make_context({"Kubefile": KUBEFILE, "a": "1\n", "etc/x/y": "yy", "b": "bb"})
    run("build", "-q", "-t", "app:v1", context)
    run("save", "app:v1", "-o", tmp_path / "app.tar", "--compression", "gzip")
    return tmp_path / "app.tar"


def test_ls_lists_a_directory(built: Path, run: Run) -> None:
    assert run("ls", "app:v1").stdout.split() == ["a", "etc"]
    assert run("ls", f"oci-archive:{built}", "/etc").stdout.split() == ["etc/b", "etc/x"]
    assert run("ls", "app:v1", "etc/b").stdout.split() == ["etc/b"]
    assert run("ls", "-R", "app:v1").stdout.split() == ["a", "etc", "etc/b", "etc/x", "etc/x/y"]


def test_ls_shows_more_when_it_is_asked_to(built: Path, run: Run) -> None:
    lines = run("ls", f"oci-archive:{built}", "etc", "--long", "--layers").stdout.splitlines()

    assert lines[0].split() == ["MODE", "OWNER", "SIZE", "TIME", "PATH", "LAYER", "CREATED", "BY"]
    assert lines[1].split() == [
        "-rw-r--r--", "0:0", "2", "1970-01-01T00:00:00Z", "etc/b", "2", "COPY", "b", "etc/",
    ]  # fmt: skip


def test_ls_gives_the_same_as_json(built: Path, run: Run) -> None:
    found = json.loads(run("ls", f"oci-archive:{built}", "-R", "--format", "json").stdout)

    assert found["fetched"] == 0
    files = found["files"]
    assert [(one["path"], one["type"], one["size"], one["layer"]) for one in files] == [
        ("a", "file", 2, 1), ("etc", "directory", 0, files[1]["layer"]), ("etc/b", "file", 2, 2),
        ("etc/x", "directory", 0, 1),
        ("etc/x/y", "file", 2, 1),
    ]  # fmt: skip
    assert files[0]["created_by"] == "COPY a etc ."


def test_cat_prints_a_file(built: Path, run: Run) -> None:
    assert run("cat", f"oci-archive:{built}", "/etc/b").stdout == "bb"

    found = json.loads(run("cat", "app:v1", "a", "--format", "json").stdout)
    assert base64.b64decode(found.pop("content")) == b"1\n"
    assert found == {
        "path": "a", "mode": "0644", "size": 2, "layer": 1, "diff_id": found["diff_id"], "fetched": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cat", "app:v1", "/none"], "error[E0507]: there is no '/none' in app:v1\nhint: kubeimage ls app:v1"),
        (["cat", "app:v1", "etc"], "error[E0507]: 'etc' in app:v1 is a directory, and has no content"),
        (["ls", "app:v1", "y"], "error[E0507]: there is no 'y' in app:v1\nhint: did you mean etc/x/y?"),
        (["cat", "app:v2", "a"], "error[E0501]: no image app:v2 in the store\nhint: did you mean app:v1?"),
    ],
)
def test_what_is_not_there_is_told_with_the_way_out(arguments: list[str], message: str, built: Path, run: Run) -> None:
    assert message in run(*arguments, status=1).stderr


@contextmanager
def served(root: Path, name: str, **options: object) -> Iterator[tuple[str, tuple[str, ...]]]:
    with open_backends(str(root), read_settings(), access="read") as backends:
        with serve_image(name, backends, **options) as found:  # type: ignore[arg-type]
            yield f"http://{found.address}", found.images
        assert found.failures == []


def get(url: str, **headers: str) -> tuple[int, bytes, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read(), answer.headers.get("Content-Type", "")
    except urllib.error.HTTPError as error:
        return error.code, error.read(), ""


@pytest.mark.parametrize("where", ["app:v1", "oci-archive:{}"])
def test_a_served_image_is_the_image(where: str, built: Path, root: Path) -> None:
    with served(root, where.format(built)) as (url, (name,)):
        repository, _, tag = name.removeprefix(url.removeprefix("http://") + "/").rpartition(":")
        status, data, media_type = get(f"{url}/v2/{repository}/manifests/{tag}")
        manifest = json.loads(data)
        for blob in (manifest["config"], *manifest["layers"]):
            found = get(f"{url}/v2/{repository}/blobs/{blob['digest']}")[1]
            assert (str(Digest.of(found)), len(found)) == (blob["digest"], blob["size"])
            assert get(f"{url}/v2/{repository}/blobs/{blob['digest']}", Range="bytes=3-9")[:2] == (206, found[3:10])

        assert (status, media_type) == (200, "application/vnd.oci.image.manifest.v1+json")
        assert get(f"{url}/v2/{repository}/manifests/{Digest.of(data)}")[1] == data
        assert json.loads(get(f"{url}/v2/{repository}/tags/list")[1]) == {"name": repository, "tags": [tag]}
        assert get(f"{url}/v2/{repository}/manifests/none")[0] == 404
        assert get(f"{url}/v2/other/manifests/{tag}")[0] == 404
        assert get(f"{url}/v2/{repository}/blobs/sha256:{'0' * 64}")[0] == 404


def test_a_served_image_is_read_by_ranges(built: Path, root: Path) -> None:
    settings = read_settings()
    with served(root, "app:v1") as (url, (name,)):
        insecure = settings.with_insecure([url])
        with open_backends(str(root), insecure, access="read") as backends:
            image = open_image(f"docker://{name}", backends)
            here = open_image("app:v1", backends)

            assert dict(image.rootfs) == dict(here.rootfs)
            assert image.read("etc/b") == b"bb"
            assert backends.fetched > 0


def test_what_is_not_packed_cannot_be_served(built: Path, run: Run) -> None:
    assert "no container image is packed in app:v1" in run("serve", "app:v1", "--registry", status=1).stderr


def test_a_port_that_is_taken_is_told(built: Path, run: Run, root: Path) -> None:
    with served(root, "app:v1") as (url, _):
        assert "nothing can be served on" in run("serve", "app:v1", "--port", url.rpartition(":")[2], status=2).stderr


def test_serve_says_what_can_be_pulled_and_ends_when_it_is_stopped(built: Path, root: Path) -> None:
    command = [sys.executable, "-m", "kubeimage", "--root", str(root), "serve", "app:v1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.terminate()
        _, said = process.communicate()

    assert first.startswith("127.0.0.1:")
    assert first.endswith("/app:v1\n")
    assert "Traceback" not in said
    assert process.returncode in (130, 143)
