"""What the OCI distribution-spec v1.1 asks of a registry, of each digest algorithm and each kind of manifest.

The contract (harness.contracts.registry) has what every registry in use does; here stands what only those of the
newest version do.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from harness.contracts.exchange import OCI_INDEX, OCI_MANIFEST, OCTETS, Answer, Client, with_query
from harness.fakes.registry import FakeRegistry
from harness.fakes.registry.digests import Sha512Digest
from kubeimage.image.digest import Digest

ALGORITHMS = pytest.mark.parametrize("algorithm", [Digest, Sha512Digest], ids=["sha256", "sha512"])
EMPTY_JSON = "application/vnd.oci.empty.v1+json"
EXAMPLE = "application/vnd.example.v1"
DATA = b"some bytes of a blob, more than three chunks of eight"


@pytest.fixture
def client() -> Iterator[Client]:
    with FakeRegistry() as registry:
        yield Client(registry.url)


def post_only(client: Client, data: bytes, digest: str) -> Answer:
    return client.call("POST", f"blobs/uploads/?digest={digest}", data, OCTETS)


def post_and_put(client: Client, data: bytes, digest: str) -> Answer:
    return client.call("PUT", with_query(client.start(), digest=digest), data, OCTETS)


def streamed(client: Client, data: bytes, digest: str) -> Answer:
    patched = client.call("PATCH", client.start(), data, OCTETS)
    return client.call("PUT", with_query(client.place(patched), digest=digest), b"", OCTETS)


def send_chunks(client: Client, data: bytes, count: int) -> str:
    """Send the first ``count`` chunks of eight bytes, and return where the next one goes."""
    place = client.start()
    for start in range(0, count * 8, 8):
        chunk = data[start : start + 8]
        span = {**OCTETS, "Content-Range": f"{start}-{start + len(chunk) - 1}"}
        answer = client.call("PATCH", place, chunk, span)
        assert (answer.status, answer.headers["range"]) == (202, f"0-{start + len(chunk) - 1}")
        place = client.place(answer)
    return place


def chunked(client: Client, data: bytes, digest: str) -> Answer:
    place = send_chunks(client, data, -(-len(data) // 8))
    return client.call("PUT", with_query(place, digest=digest), b"", OCTETS)


def chunked_with_the_last_in_the_put(client: Client, data: bytes, digest: str) -> Answer:
    place = send_chunks(client, data, 2)
    span = {**OCTETS, "Content-Range": f"16-{len(data) - 1}"}
    return client.call("PUT", with_query(place, digest=digest), data[16:], span)


Upload = Callable[[Client, bytes, str], Answer]
UPLOADS = pytest.mark.parametrize(
    "upload",
    [post_only, post_and_put, streamed, chunked, chunked_with_the_last_in_the_put],
    ids=lambda upload: upload.__name__.replace("_", " "),
)


@ALGORITHMS
@UPLOADS
def test_a_blob_is_pushed_in_each_way(client: Client, upload: Upload, algorithm: type[Digest]) -> None:
    digest = str(algorithm.of(DATA))

    pushed = upload(client, DATA, digest)

    assert (pushed.status, pushed.headers["docker-content-digest"]) == (201, digest)
    assert client.call("GET", client.place(pushed)).body == DATA
    for method, body in (("GET", DATA), ("HEAD", b"")):
        answer = client.call(method, f"blobs/{digest}")
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, body, str(len(DATA)))
        assert answer.headers["docker-content-digest"] == digest


@ALGORITHMS
@UPLOADS
def test_a_blob_with_another_digest_is_refused_in_each_way(
    client: Client, upload: Upload, algorithm: type[Digest]
) -> None:
    digest = str(algorithm.of(b"other bytes"))

    pushed = upload(client, DATA, digest)

    assert (pushed.status, pushed.codes) == (400, ["DIGEST_INVALID"])
    assert client.call("HEAD", f"blobs/{digest}").status == 404


@pytest.mark.parametrize("span", ["8-15", "0-7", "24-31"], ids=["again", "from the start", "one left out"])
def test_a_chunk_out_of_order_is_refused_and_changes_nothing(client: Client, span: str) -> None:
    place = send_chunks(client, DATA, 2)

    refused = client.call("PATCH", place, DATA[:8], {**OCTETS, "Content-Range": span})

    assert (refused.status, client.call("GET", place).headers["range"]) == (416, "0-15")


@ALGORITHMS
@pytest.mark.parametrize("data", [b"", b"{}"], ids=["no bytes", "empty JSON"])
def test_small_blobs_are_blobs(client: Client, data: bytes, algorithm: type[Digest]) -> None:
    digest = str(algorithm.of(data))

    assert post_and_put(client, data, digest).status == 201
    assert client.call("GET", f"blobs/{digest}").body == data


@ALGORITHMS
def test_a_blob_is_mounted_and_deleted_by_either_digest(client: Client, algorithm: type[Digest]) -> None:
    digest = str(algorithm.of(DATA))
    post_and_put(client, DATA, digest)
    other = Client(client.url)

    mounted = other.call("POST", f"blobs/uploads/?mount={digest}&from={client.repository}")

    assert (mounted.status, other.call("GET", f"blobs/{digest}").body) == (201, DATA)
    assert client.call("DELETE", f"blobs/{digest}").status == 202
    assert [one.call("HEAD", f"blobs/{digest}").status for one in (client, other)] == [404, 200]


@pytest.mark.parametrize(
    ("asked", "status"),
    [("bytes=20-9", 416), ("bytes=900-1000", 416), ("bytes=-5", 206)],
    ids=["crossed", "far", "end"],
)
def test_a_range_is_given_or_refused(client: Client, asked: str, status: int) -> None:
    digest = client.put_blob(DATA)

    assert client.call("GET", f"blobs/{digest}", headers={"Range": asked}).status == status


def descriptor(media_type: str, data: bytes, algorithm: type[Digest] = Digest, **more: object) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(algorithm.of(data)), "size": len(data), **more}


def manifest(client: Client, algorithm: type[Digest] = Digest, **fields: object) -> bytes:
    """Push the blobs of an artifact, and return a manifest of it with ``fields``."""
    for data in (b"{}", DATA):
        assert post_and_put(client, data, str(algorithm.of(data))).status == 201
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(EMPTY_JSON, b"{}", algorithm),
        "layers": [descriptor("application/octet-stream", DATA, algorithm)],
        **fields,
    }
    return json.dumps(document).encode()


def index(*manifests: dict[str, Any], **fields: object) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests, **fields}).encode()


LIES_ELSEWHERE = [
    {**descriptor(f"application/vnd.oci.image.layer.nondistributable.v1.tar{suffix}", b"x"), "urls": ["https://x.test"]}
    for suffix in ("", "+gzip")
]
KINDS: Mapping[str, Callable[[Client], bytes]] = {
    "artifact": lambda client: manifest(client, artifactType=EXAMPLE),
    "artifact without content": lambda client: manifest(
        client, artifactType=EXAMPLE, layers=[descriptor(EMPTY_JSON, b"{}")]
    ),
    "no layers": lambda client: manifest(client, layers=[]),
    "layers that lie elsewhere": lambda client: manifest(client, layers=LIES_ELSEWHERE),
    "content in a descriptor": lambda client: manifest(
        client, config={**descriptor(EMPTY_JSON, b"{}"), "data": "e30="}, artifactType=EXAMPLE
    ),
    "unknown fields": lambda client: manifest(client, org_example={"a": [1]}),
    "four megabytes of annotations": lambda client: manifest(
        client, annotations={f"large-{number}": "A" * 10_000 for number in range(390)}
    ),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())
def test_each_kind_of_manifest_comes_back(client: Client, make: Callable[[Client], bytes]) -> None:
    data = make(client)

    pushed = client.put_manifest("v1", data, OCI_MANIFEST)

    assert pushed.status == 201
    for reference in ("v1", str(Digest.of(data))):
        assert client.call("GET", f"manifests/{reference}", headers={"Accept": OCI_MANIFEST}).body == data


INDEXES: Mapping[str, Callable[[bytes], bytes]] = {
    "of nothing": lambda _child: index(),
    "of platforms": lambda child: index(descriptor(OCI_MANIFEST, child, platform={"os": "linux", "architecture": "a"})),
    "artifacts": lambda child: index(descriptor(OCI_MANIFEST, child), artifactType=EXAMPLE),
    "a platform that is not there": lambda child: index(
        descriptor(OCI_MANIFEST, child), descriptor(OCI_MANIFEST, b"away")
    ),
}


@pytest.mark.parametrize("make", INDEXES.values(), ids=INDEXES.keys())
def test_each_kind_of_index_comes_back(client: Client, make: Callable[[bytes], bytes]) -> None:
    child = manifest(client)
    client.put_manifest(str(Digest.of(child)), child, OCI_MANIFEST)
    data = make(child)

    assert client.put_manifest("v1", data, OCI_INDEX).status == 201
    assert client.call("GET", "manifests/v1", headers={"Accept": OCI_INDEX}).body == data


def test_an_index_may_name_an_index(client: Client) -> None:
    inner = index(artifactType=EXAMPLE)
    client.put_manifest(str(Digest.of(inner)), inner, OCI_INDEX)
    outer = index(descriptor(OCI_INDEX, inner))

    assert client.put_manifest("outer", outer, OCI_INDEX).status == 201
    assert client.call("GET", f"manifests/{Digest.of(inner)}", headers={"Accept": OCI_INDEX}).body == inner


@ALGORITHMS
def test_a_manifest_is_kept_under_the_digest_that_it_was_pushed_as(client: Client, algorithm: type[Digest]) -> None:
    data = manifest(client, algorithm)
    digest = str(algorithm.of(data))

    pushed = client.put_manifest(digest, data, OCI_MANIFEST)

    assert (pushed.status, pushed.headers["docker-content-digest"]) == (201, digest)
    for method in ("GET", "HEAD"):
        answer = client.call(method, f"manifests/{digest}", headers={"Accept": OCI_MANIFEST})
        assert (answer.status, answer.headers["docker-content-digest"]) == (200, digest)
    assert client.call("DELETE", f"manifests/{digest}").status == 202
    assert client.call("HEAD", f"manifests/{digest}").status == 404


@ALGORITHMS
def test_a_manifest_with_another_digest_is_refused(client: Client, algorithm: type[Digest]) -> None:
    data = manifest(client, algorithm)

    pushed = client.put_manifest(str(algorithm.of(data)), data + b"  ", OCI_MANIFEST)

    assert (pushed.status, pushed.codes) == (400, ["DIGEST_INVALID"])


@pytest.mark.parametrize("digest", ["sha256:baddigeststring", "sha512:" + "0" * 64, "sha512:"])
def test_what_is_no_digest_is_refused(client: Client, digest: str) -> None:
    assert client.put_manifest(digest, manifest(client), OCI_MANIFEST).status == 400
    assert client.call("GET", f"manifests/{digest}").status in (400, 404)


def referrers(client: Client, subject: bytes, query: str = "") -> Answer:
    return client.call("GET", f"referrers/{Digest.of(subject)}{query}")


def listed(answer: Answer) -> list[dict[str, Any]]:
    document = json.loads(answer.body)
    assert (answer.status, answer.headers["content-type"]) == (200, OCI_INDEX)
    assert (document["schemaVersion"], document["mediaType"]) == (2, OCI_INDEX)
    found: list[dict[str, Any]] = document["manifests"]
    return found


def test_what_nothing_refers_to_has_an_empty_list(client: Client) -> None:
    assert listed(referrers(client, b"never pushed")) == []


def test_referrers_are_listed_with_their_type_and_annotations(client: Client) -> None:
    image = manifest(client)
    subject = descriptor(OCI_MANIFEST, image)
    signature = manifest(client, artifactType=EXAMPLE, subject=subject, annotations={"a": "b"})
    plain = manifest(client, subject=subject)
    bundle = index(artifactType=EXAMPLE, subject=subject)

    for data, media_type in ((signature, OCI_MANIFEST), (plain, OCI_MANIFEST), (bundle, OCI_INDEX)):
        pushed = client.put_manifest(str(Digest.of(data)), data, media_type)
        assert (pushed.status, pushed.headers["oci-subject"]) == (201, str(Digest.of(image)))

    assert listed(referrers(client, image)) == [
        descriptor(OCI_MANIFEST, signature, artifactType=EXAMPLE, annotations={"a": "b"}),
        descriptor(OCI_MANIFEST, plain, artifactType=EMPTY_JSON),
        descriptor(OCI_INDEX, bundle, artifactType=EXAMPLE),
    ]


def test_referrers_are_filtered_by_their_type(client: Client) -> None:
    subject = descriptor(OCI_MANIFEST, b"an image")
    found = [manifest(client, artifactType=kind, subject=subject) for kind in (EXAMPLE, "application/vnd.other")]
    for data in found:
        client.put_manifest(str(Digest.of(data)), data, OCI_MANIFEST)

    answer = referrers(client, b"an image", f"?artifactType={EXAMPLE}")

    assert [one["digest"] for one in listed(answer)] == [str(Digest.of(found[0]))]
    assert answer.headers["oci-filters-applied"] == "artifactType"


def test_a_referrer_that_is_deleted_is_not_listed(client: Client) -> None:
    data = manifest(client, subject=descriptor(OCI_MANIFEST, b"an image"))
    client.put_manifest("sig", data, OCI_MANIFEST)

    client.call("DELETE", f"manifests/{Digest.of(data)}")

    assert listed(referrers(client, b"an image")) == []


def test_a_manifest_without_a_subject_says_none(client: Client) -> None:
    assert "oci-subject" not in client.put_manifest("v1", manifest(client), OCI_MANIFEST).headers


def test_a_registry_of_version_1_0_lists_no_referrers() -> None:
    with FakeRegistry(referrers=False) as registry:
        client = Client(registry.url)
        pushed = client.put_manifest("v1", manifest(client, subject=descriptor(OCI_MANIFEST, b"x")), OCI_MANIFEST)

        assert "oci-subject" not in pushed.headers
        assert referrers(client, b"x").status == 404
