import json
from typing import Any

import pytest

from kubeimage.image.digest import Digest
from kubeimage.signing.payload import BAD, Claim, make_payload, read_base64, read_payload

CLAIM = Claim(Digest.of(b"image"), "registry.example.com/app:1.0")


def whole() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(make_payload(CLAIM))
    return value


def test_what_is_written_is_read() -> None:
    assert read_payload(make_payload(CLAIM)) == CLAIM


@pytest.mark.parametrize("optional", [None, {}, {"creator": "cosign", "timestamp": 1}])
def test_what_others_say_beside_it_does_not_matter(optional: object) -> None:
    assert read_payload(json.dumps({**whole(), "optional": optional}).encode()) == CLAIM


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("critical", "type"), "atomic container signature", "its type is"),
        (("critical", "type"), None, "its type is"),
        (("critical", "more"), 1, "'more' does not belong there"),
        (("critical", "image"), {}, "'docker-manifest-digest' is missing"),
        (("critical", "image", "docker-manifest-digest"), "sha256:12", "not a digest"),
        (("critical", "image", "docker-manifest-digest"), ["x"], "is a list where a text is expected"),
        (("critical", "identity", "docker-reference"), 5, "is a number where a text is expected"),
        (("critical", "identity"), "x", "is a text where an object is expected"),
        (("critical",), [], "is a list where an object is expected"),
        (("other",), 1, "'other' does not belong there"),
    ],
)
def test_another_payload_is_refused(path: tuple[str, ...], value: object, said: str) -> None:
    changed = whole()
    inner = changed
    for one in path[:-1]:
        inner = inner[one]
    inner[path[-1]] = value

    with pytest.raises(BAD, match=said):
        read_payload(json.dumps(changed).encode())


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"[]", b"\xff", b"{", b"[" * 50_000, make_payload(CLAIM).replace(b'"optional"', b'"critical"')],
    ids=["empty", "null", "list", "no text", "cut", "deep", "twice"],
)
def test_what_is_no_payload_is_refused(data: bytes) -> None:
    with pytest.raises(BAD):
        read_payload(data)


@pytest.mark.parametrize("text", ["QQ", "QR==", "QQ==\n", " QQ==", "Q-__", "\xe4", "QQ===", "QQ==QQ=="])
def test_base64_has_one_spelling(text: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        read_base64(text)


def test_base64_is_read() -> None:
    assert read_base64("QQ==") == b"A"
