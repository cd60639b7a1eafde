"""What every registry does, as far as its clients can count on it: a test class to inherit from.

    class TestMyRegistry(RegistryContract):
        @pytest.fixture
        def registry_url(self) -> str: ...

Where the specification leaves a choice, any of the answers will do. It speaks HTTP by the standard library alone.

Source: OCI distribution-spec v1.1.
"""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from harness.contracts.exchange import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    OCTETS,
    Client,
    manifest_of,
    with_query,
)
from kubeimage.image.digest import Digest

NOWHERE = Digest.of(b"no blob has this digest")


class RegistryContract:
    """Takes the fixture ``registry_url``: ``http://host:port`` of a registry that lets everybody do everything."""

    @pytest.fixture
    def client(self, registry_url: str) -> Client:
        """Speak to a repository of one's own."""
        return Client(registry_url)

    def test_the_version_is_answered(self, client: Client) -> None:
        """That is how a client finds out whether it must log in."""
        answer = client.call("GET", "/v2/")

        assert answer.status == 200
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_a_blob_comes_back(self, client: Client, method: str) -> None:
        """With its size and digest; HEAD says the same without the bytes."""
        digest = client.put_blob(b"content")

        answer = client.call(method, f"blobs/{digest}")

        assert (answer.status, answer.body) == (200, b"content" if method == "GET" else b"")
        assert (answer.headers["content-length"], answer.headers["docker-content-digest"]) == ("7", str(digest))

    def test_an_empty_blob_is_a_blob(self, client: Client) -> None:
        """Of no bytes."""
        digest = client.put_blob(b"")

        assert client.call("GET", f"blobs/{digest}")[::2] == (200, b"")

    @pytest.mark.parametrize(
        ("asked", "span", "body"),
        [
            ("bytes=2-4", "2-4", b"nte"),
            ("bytes=2-", "2-6", b"ntent"),
            ("bytes=-3", "4-6", b"ent"),
            ("bytes=5-99", "5-6", b"nt"),
        ],
        ids=["from to", "from", "last", "beyond the end"],
    )
    def test_a_part_of_a_blob_can_be_asked_for(self, client: Client, asked: str, span: str, body: bytes) -> None:
        """So a pull can go on where it was cut off."""
        digest = client.put_blob(b"content")

        answer = client.call("GET", f"blobs/{digest}", headers={"Range": asked})

        assert (answer.status, answer.body) == (206, body)
        assert answer.headers["content-range"] == f"bytes {span}/7"

    def test_a_part_that_is_not_there_is_refused(self, client: Client) -> None:
        """The answer tells the true size."""
        digest = client.put_blob(b"content")

        answer = client.call("GET", f"blobs/{digest}", headers={"Range": "bytes=7-"})

        assert (answer.status, answer.headers["content-range"]) == (416, "bytes */7")

    def test_a_missing_blob_is_told(self, client: Client) -> None:
        """By its code."""
        answer = client.call("GET", f"blobs/{NOWHERE}")

        assert (answer.status, answer.codes) == (404, ["BLOB_UNKNOWN"])
        assert client.call("HEAD", f"blobs/{NOWHERE}").status == 404

    def test_a_digest_must_be_one(self, client: Client) -> None:
        """Not just any text."""
        answer = client.call("GET", "blobs/sha256:short")

        assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])

    def test_a_blob_is_in_one_repository(self, client: Client) -> None:
        """Another one does not show it."""
        digest = client.put_blob(b"content")

        assert Client(client.url).call("HEAD", f"blobs/{digest}").status == 404

    def test_an_upload_in_one_request_is_done_or_begun(self, client: Client) -> None:
        """A registry that does not take it begins an upload instead."""
        data = b"in one piece"
        digest = Digest.of(data)

        answer = client.call("POST", f"blobs/uploads/?digest={digest}", data, OCTETS)

        assert answer.status in (201, 202)
        if answer.status == 202:
            assert client.call("PUT", with_query(client.place(answer), digest=str(digest)), data, OCTETS).status == 201
        assert client.call("GET", f"blobs/{digest}").body == data

    def test_an_upload_in_chunks(self, client: Client) -> None:
        """Each says where it goes; each answer where the next one is to be sent."""
        place = client.start()
        for chunk, span, total in ((b"aaa", "0-2", "0-2"), (b"bb", "3-4", "0-4")):
            headers = {**OCTETS, "Content-Range": span}
            answer = client.call("PATCH", place, chunk, headers)
            assert (answer.status, answer.headers["range"]) == (202, total)
            place = client.place(answer)

        answer = client.call("PUT", with_query(place, digest=str(Digest.of(b"aaabb"))), b"")

        assert (answer.status, answer.headers["docker-content-digest"]) == (201, str(Digest.of(b"aaabb")))
        assert client.call("GET", client.place(answer)).body == b"aaabb"

    def test_the_last_chunk_may_come_with_the_end(self, client: Client) -> None:
        """PUT takes bytes as well."""
        answer = client.call("PATCH", client.start(), b"aaa", OCTETS)

        answer = client.call("PUT", with_query(client.place(answer), digest=str(Digest.of(b"aaab"))), b"b", OCTETS)

        assert answer.status == 201
        assert client.call("GET", f"blobs/{Digest.of(b'aaab')}").body == b"aaab"

    def test_a_chunk_without_a_length_is_taken(self, client: Client) -> None:
        """As clients stream them: Transfer-Encoding: chunked."""
        address = urlsplit(client.start())
        target = f"{address.path}?{address.query}"
        with closing(http.client.HTTPConnection(address.netloc, timeout=20)) as connection:
            connection.request("PATCH", target, iter([b"aa", b"b"]), OCTETS, encode_chunked=True)
            answer = connection.getresponse()

        assert (answer.status, answer.getheader("range")) == (202, "0-2")

    def test_the_status_of_an_upload(self, client: Client) -> None:
        """How far it came, and where it goes on."""
        answer = client.call("PATCH", client.start(), b"aaa", OCTETS)

        status = client.call("GET", client.place(answer))

        assert (status.status, status.headers["range"]) == (204, "0-2")
        assert client.call("PATCH", client.place(status), b"b", OCTETS).headers["range"] == "0-3"

    def test_an_upload_with_another_digest_is_refused(self, client: Client) -> None:
        """Nothing of it becomes a blob."""
        answer = client.call("PUT", with_query(client.start(), digest=str(NOWHERE)), b"content", OCTETS)

        assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
        assert [client.call("HEAD", f"blobs/{one}").status for one in (NOWHERE, Digest.of(b"content"))] == [404, 404]

    def test_an_upload_can_be_given_up(self, client: Client) -> None:
        """It is unknown afterwards."""
        place = client.start()

        assert client.call("DELETE", place).status == 204
        assert client.call("GET", place).codes == ["BLOB_UPLOAD_UNKNOWN"]

    def test_an_upload_ends_once(self, client: Client) -> None:
        """Whoever asks later learns that it is gone."""
        place = client.start()
        client.call("PUT", with_query(place, digest=str(Digest.of(b"a"))), b"a", OCTETS)

        answer = client.call("GET", place)

        assert (answer.status, answer.codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])

    def test_a_blob_mount_takes_a_blob_over(self, client: Client) -> None:
        """Without its bytes."""
        digest = client.put_blob(b"content")
        other = Client(client.url)

        answer = other.call("POST", f"blobs/uploads/?mount={digest}&from={client.repository}")

        assert (answer.status, answer.headers["docker-content-digest"]) == (201, str(digest))
        assert other.call("GET", f"blobs/{digest}").body == b"content"

    def test_a_blob_mount_of_nothing_begins_an_upload(self, client: Client) -> None:
        """So that the client can send the bytes."""
        answer = client.call("POST", f"blobs/uploads/?mount={NOWHERE}&from={client.repository}")

        assert answer.status == 202
        assert client.call("GET", client.place(answer)).status == 204

    def test_a_blob_can_be_deleted(self, client: Client) -> None:
        """Once."""
        digest = client.put_blob(b"content")

        assert client.call("DELETE", f"blobs/{digest}").status == 202
        assert client.call("GET", f"blobs/{digest}").codes == ["BLOB_UNKNOWN"]
        assert client.call("DELETE", f"blobs/{digest}").status == 404

    @pytest.mark.parametrize("media_type", [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST])
    def test_a_manifest_comes_back_byte_for_byte(self, client: Client, media_type: str) -> None:
        """By its tag and its digest, as the media type that it was pushed as."""
        data = client.make_manifest(media_type)
        digest = str(Digest.of(data))
        pushed = client.put_manifest("v1", data, media_type)

        answers = [client.call("GET", f"manifests/{one}", headers={"Accept": media_type}) for one in ("v1", digest)]

        assert (pushed.status, pushed.headers["docker-content-digest"]) == (201, digest)
        assert [one.body for one in answers] == [data, data]
        assert {(one.headers["content-type"], one.headers["docker-content-digest"]) for one in answers} == {
            (media_type, digest)
        }

    def test_media_types_may_be_asked_for_one_by_one(self, client: Client) -> None:
        """In several headers of one name, as Go's clients do."""
        data = client.make_manifest(OCI_MANIFEST)
        client.put_manifest("v1", data, OCI_MANIFEST)

        with closing(http.client.HTTPConnection(urlsplit(client.url).netloc, timeout=20)) as connection:
            connection.putrequest("GET", f"/v2/{client.repository}/manifests/v1")
            for media_type in (OCI_MANIFEST, OCI_INDEX, DOCKER_LIST):
                connection.putheader("Accept", media_type)
            connection.endheaders()
            assert connection.getresponse().read() == data

    def test_head_tells_of_a_manifest(self, client: Client) -> None:
        """All but its bytes."""
        data = client.make_manifest(OCI_MANIFEST)
        client.put_manifest("v1", data, OCI_MANIFEST)

        answer = client.call("HEAD", "manifests/v1", headers={"Accept": OCI_MANIFEST})

        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", str(len(data)))
        assert answer.headers["docker-content-digest"] == str(Digest.of(data))

    def test_a_missing_manifest_is_told(self, client: Client) -> None:
        """By its code, for a tag and for a digest."""
        client.put_blob(b"so that there is a repository")

        for reference in ("v1", str(NOWHERE)):
            answer = client.call("GET", f"manifests/{reference}", headers={"Accept": OCI_MANIFEST})
            assert (answer.status, answer.codes) == (404, ["MANIFEST_UNKNOWN"])

    def test_a_manifest_needs_its_blobs(self, client: Client) -> None:
        """They are pushed first."""
        data = manifest_of(OCI_MANIFEST, NOWHERE, 1, NOWHERE, 1)

        answer = client.put_manifest("v1", data, OCI_MANIFEST)

        assert answer.status in (400, 404)
        assert set(answer.codes) == {"MANIFEST_BLOB_UNKNOWN"}

    def test_a_manifest_must_have_the_digest_it_is_pushed_as(self, client: Client) -> None:
        """As a blob must."""
        answer = client.put_manifest(str(NOWHERE), client.make_manifest(OCI_MANIFEST), OCI_MANIFEST)

        assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])

    @pytest.mark.parametrize(
        ("data", "media_type"), [(b"{", OCI_MANIFEST), (None, "application/json")], ids=["no JSON", "no type"]
    )
    def test_a_manifest_must_be_one(self, client: Client, data: bytes | None, media_type: str) -> None:
        """Of a known sort."""
        answer = client.put_manifest("v1", data or client.make_manifest(OCI_MANIFEST), media_type)

        assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])

    def test_a_tag_moves(self, client: Client) -> None:
        """The manifest that it led to stays under its digest."""
        old, new = (client.make_manifest(OCI_MANIFEST, text) for text in ("old", "new"))
        for data in (old, new):
            client.put_manifest("v1", data, OCI_MANIFEST)

        asked = ("v1", str(Digest.of(old)))
        found = [client.call("GET", f"manifests/{one}", headers={"Accept": OCI_MANIFEST}).body for one in asked]
        assert found == [new, old]

    def test_a_manifest_can_be_deleted_with_its_tags(self, client: Client) -> None:
        """By its digest."""
        data = client.make_manifest(OCI_MANIFEST)
        client.put_manifest("v1", data, OCI_MANIFEST)
        client.put_manifest("v2", client.make_manifest(OCI_MANIFEST, "other"), OCI_MANIFEST)

        answer = client.call("DELETE", f"manifests/{Digest.of(data)}")

        assert answer.status == 202
        assert client.call("GET", "manifests/v1", headers={"Accept": OCI_MANIFEST}).status == 404
        assert self.tags(client) == ["v2"]

    def test_tags_are_listed(self, client: Client) -> None:
        """In whatever order: not every registry keeps the one that the specification asks for."""
        for tag in ("v2", "a", "v1"):
            client.put_manifest(tag, client.make_manifest(OCI_MANIFEST), OCI_MANIFEST)

        assert sorted(self.tags(client)) == ["a", "v1", "v2"]

    def test_tags_come_page_by_page(self, client: Client) -> None:
        """For a registry that has pages; one without gives all at once, and no link."""
        for tag in "abcde":
            client.put_manifest(tag, client.make_manifest(OCI_MANIFEST), OCI_MANIFEST)

        found, path = [], "tags/list?n=2"
        while path:
            answer = client.call("GET", path)
            found += json.loads(answer.body)["tags"]
            path = answer.headers.get("link", "").partition("<")[2].partition(">")[0]
        assert sorted(found) == list("abcde")

    def test_an_unknown_repository_is_told(self, client: Client) -> None:
        """By its code."""
        answer = client.call("GET", "tags/list")

        assert (answer.status, answer.codes) == (404, ["NAME_UNKNOWN"])

    @pytest.mark.parametrize("path", ["/v2/Upper/tags/list", "/v2/a/manifests/-v1", "/other"])
    def test_what_can_be_no_name_is_refused(self, client: Client, path: str) -> None:
        """One way or another."""
        assert client.call("GET", path).status in (400, 404)

    def tags(self, client: Client) -> list[str]:
        """Return the tags of the repository."""
        value: Any = json.loads(client.call("GET", "tags/list").body)
        assert value["name"] == client.repository
        return [str(tag) for tag in value["tags"]]


class BasicAuthContract:
    """Takes the fixture ``basic_registry_url``: a registry for the user ``anna`` with the password ``secret``."""

    def test_whoever_does_not_log_in_is_told_how_to(self, basic_registry_url: str) -> None:
        """Nothing is shown before."""
        answer = Client(basic_registry_url).call("GET", "/v2/")

        assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"])
        assert answer.headers["www-authenticate"].startswith('Basic realm="')

    def test_whoever_logs_in_can_push_and_pull(self, basic_registry_url: str) -> None:
        """With user and password in each request."""
        client = Client(basic_registry_url, headers={"Authorization": "Basic YW5uYTpzZWNyZXQ="})

        digest = client.put_blob(b"content")

        assert client.call("GET", f"blobs/{digest}").body == b"content"

    def test_a_wrong_password_is_refused(self, basic_registry_url: str) -> None:
        """As none is."""
        client = Client(basic_registry_url, headers={"Authorization": "Basic YW5uYTp3cm9uZw=="})

        assert client.call("GET", "/v2/").status == 401
