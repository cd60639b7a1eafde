"""The packed registry answers as distribution does with the same folder."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeimage.discovery.references import parse_image
from kubeimage.image.digest import Digest
from kubeimage.packing.layout import blob_path, layer_path, revision_path, tag_path
from kubeimage.rehearsal.registry import PackedRegistry
from tests.containers import small_image
from tests.kubeimage.rehearsal.conftest import Files, Pack, packed
from tests.kubeimage.store.foreign import make_index
from tests.registries import docker_registry

ONE, TWO = small_image("one", shared=["base"]), small_image("two", shared=["base"])
INDEX = make_index([("amd64", ONE)])
APP, TOOL = "r.io/team/app:v1", "r.io/team/tool:v2"
SHARED = ONE.layers[0].digest


class FilesOfDict:
    """Files in memory."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def size(self, path: str) -> int | None:
        return len(self._files[path]) if path in self._files else None

    def pieces(self, path: str) -> Iterator[bytes]:
        yield from (bytes([one]) for one in self._files[path])


def folder_of_a_registry() -> Files:
    """Return two images, one without its link to the layer that both share, and a tag that leads nowhere."""
    files = packed(Pack(APP, ONE, INDEX), Pack(TOOL, TWO))
    del files[layer_path(parse_image(TOOL), SHARED)]
    files[tag_path(parse_image("r.io/team/app:gone"))] = str(Digest.of(b"gone")).encode()
    return files


REQUESTS = [
    "/v2/",
    "/v2/team/app/manifests/v1",
    f"/v2/team/app/manifests/{Digest.of(INDEX)}?ns=r.io",
    f"/v2/team/app/manifests/{Digest.of(ONE.manifest)}",
    "/v2/team/app/manifests/v2",
    "/v2/team/app/manifests/gone",
    f"/v2/team/app/manifests/{Digest.of(TWO.manifest)}",
    f"/v2/team/app/blobs/{ONE.config.digest}",
    f"/v2/team/app/blobs/{SHARED}",
    f"/v2/team/app/blobs/{Digest.of(b'none')}",
    "/v2/team/tool/manifests/v2?ns=docker.io",
    f"/v2/team/tool/blobs/{SHARED}",
    "/v2/team/none/manifests/v1",
    f"/v2/team/none/blobs/{SHARED}",
]


def answered(path: str) -> tuple[int, str | None, bytes]:
    answer = PackedRegistry(FilesOfDict(folder_of_a_registry())).answer(path)
    body = b"".join(answer.body)
    assert len(body) == answer.size
    return answer.status, answer.headers.get("Docker-Content-Digest"), body


@pytest.mark.parametrize("path", REQUESTS)
def test_what_is_there_is_served_by_its_links(path: str) -> None:
    status, digest, body = answered(path)

    assert status in (200, 404)
    if status == 200 and path != "/v2/":
        assert digest == str(Digest.of(body))


def test_what_is_no_address_of_a_registry_is_not_found() -> None:
    for path in ("/", "/v3/", "/v2/team", "/v2/a/manifests/", "/v2/a/blobs/sha256:0", "/v2/../x/manifests/v1"):
        assert answered(path)[0] == 404


@pytest.mark.needs("docker-registry")
def test_distribution_answers_the_same(tmp_path: Path) -> None:
    files = folder_of_a_registry()
    for path, data in files.items():
        target = tmp_path / "data" / path.removeprefix("registry/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    with docker_registry(tmp_path) as url:
        found = {path: asked(url, path) for path in REQUESTS}

    for path, (status, kind, digest, body) in found.items():
        answer = PackedRegistry(FilesOfDict(files)).answer(path)
        assert (path, answer.status) == (path, status)
        if status == 200 and path != "/v2/":
            assert answer.headers == {"Content-Type": kind, "Docker-Content-Digest": digest}
            assert b"".join(answer.body) == body


def asked(url: str, path: str) -> tuple[int, str | None, str | None, bytes]:
    accepted = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    accepted += "application/vnd.docker.distribution.manifest.list.v2+json, "
    accepted += "application/vnd.docker.distribution.manifest.v2+json, */*"
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    connection.request("GET", path, headers={"Accept": accepted})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.getheader("Content-Type"), answer.getheader("Docker-Content-Digest"), body


def test_a_link_that_is_too_long_is_none() -> None:
    files = folder_of_a_registry()
    files[revision_path(parse_image(APP), Digest.of(INDEX))] += b" " * 1000

    assert PackedRegistry(FilesOfDict(files)).answer("/v2/team/app/manifests/v1").status == 404
    assert blob_path(Digest.of(INDEX)) in files
