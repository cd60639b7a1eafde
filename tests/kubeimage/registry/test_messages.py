"""Headers that no sane server sends: the answer is read, or the error is ours."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.fakes.registry import FakeRegistry, Status, WrongHeader
from kubeimage.errors import RegistryError
from kubeimage.registry.client import Repository
from kubeimage.registry.messages import parse_count

from .conftest import REPOSITORY

ABSURD = [
    "9" * 5000,
    "9" * 400,
    "0" * 5000 + "7",
    "-1",
    "1e999",
    "\u00b3",
    "Mon, 01 Jan 2024 00:00:00 +99999999999999",
    "Mon, 01 Jan 99999999 00:00:00 GMT",
    "Mon, 99 Abc 2024 99:99:99 GMT",
    "bytes 99999999999999999999-1/2",
    "0-" + "9" * 5000,
    "http://[::1",
    "http://h:99999999/x",
    "//",
    'Bearer realm="http://[::1"',
    'Bearer realm="https://h:x/t"',
    "sha256:" + "9" * 5000,
    ",;=\"'",
]
HEADERS = [
    "Content-Length",
    "Range",
    "Content-Range",
    "Location",
    "Docker-Content-Digest",
    "Content-Type",
    "OCI-Chunk-Min-Length",
]


@pytest.mark.parametrize("name", HEADERS)
def test_an_absurd_header_ends_in_our_words(fake_registry: FakeRegistry, repository: Repository, name: str) -> None:
    fake_registry.put_manifest(REPOSITORY, "v1", b"{}")
    blob = fake_registry.put_blob(REPOSITORY, b"blob")
    # A length that is too long is waited for.
    for value in ABSURD if name != "Content-Length" else ABSURD[:1]:
        fake_registry.on("GET */*", WrongHeader(value, name), times=2)
        fake_registry.on("POST */*", WrongHeader(value, name))

        with suppress(RegistryError):
            repository.get_manifest("v1")
        with suppress(RegistryError), repository.open_blob(blob) as response:
            response.read(100)
        with suppress(RegistryError):
            repository.start_upload()


@pytest.mark.parametrize(("header", "status"), [("Retry-After", 429), ("WWW-Authenticate", 401)])
def test_a_refusal_with_an_absurd_header_is_a_refusal(
    fake_registry: FakeRegistry, repository: Repository, header: str, status: int
) -> None:
    for value in ABSURD:
        fake_registry.on("GET */*", Status(status, headers={header.lower(): value}), times=5)

        with pytest.raises(RegistryError):
            repository.get_manifest("v1")


@given(st.integers(0, 10**17), st.integers(0, 30))
def test_a_count_is_what_its_digits_say(number: int, zeros: int) -> None:
    assert parse_count("0" * zeros + str(number)) == number


@given(st.text(max_size=30) | st.text("0123456789", min_size=18, max_size=6000))
def test_any_text_is_a_count_or_none(text: str) -> None:
    found = parse_count(text)

    assert found is None or 0 <= found <= 10**18
    assert (found is None) == (not (text.isascii() and text.isdigit()))
