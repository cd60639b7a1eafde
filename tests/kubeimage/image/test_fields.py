"""JSON from elsewhere, with anything in place of any of its parts: read, or refused in words that are ours."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.errors import KubeimageError
from kubeimage.image import canonical
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import Layer
from kubeimage.image.oci import MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST, parse_document
from kubeimage.image.referrers import Artifact

DIGEST = f"sha256:{'a' * 64}"
BLOB = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": DIGEST, "size": 5}
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": MEDIA_TYPE_MANIFEST,
    "config": {**BLOB, "annotations": {"a": "b"}},
    "layers": [BLOB],
    "annotations": {"c": "d"},
}
INDEX = {
    "schemaVersion": 2,
    "mediaType": MEDIA_TYPE_INDEX,
    "manifests": [{**BLOB, "platform": {"os": "linux", "architecture": "arm", "variant": "v6"}}],
}
CONFIG = {
    "os": "linux",
    "architecture": "amd64",
    "created": "1970-01-01T00:00:00Z",
    "config": {"Labels": {"a": "b"}},
    "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
    "history": [{"created_by": "COPY", "empty_layer": False}],
    "metadata": {"annotations": {"a": "b"}},
    "spec": {
        "layers": [{"id": DIGEST, "type": "COPY", "value": "a"}],
        "image_config": {
            "cmd": {"parent": ["a"], "current": ["b"]},
            "args": {"parent": {"a": "b"}, "current": {}},
            "labels": {"a": "b"},
        },
    },
}

PYTHONS_WORDS = re.compile(
    r"NoneType|'(str|int|dict|list|float|bool)'|indices must|not subscriptable|not iterable|has no attribute|KeyError"
    r"|Expecting|Extra data|codec|object is not|must be str|unhashable|invalid literal|unpack"
)
"""What Python itself says of values that it did not expect."""


def read_config(data: bytes) -> object:
    return Image.from_config(data, [Layer(Digest.parse(DIGEST), 5)])


READERS: list[tuple[str, Any, Callable[[bytes], object]]] = [
    ("manifest", MANIFEST, parse_document),
    ("index", INDEX, parse_document),
    ("config", CONFIG, read_config),
    ("artefact", {**MANIFEST, "artifactType": "a/b", "subject": BLOB}, Artifact.from_bytes),
    ("list of artefacts", {**INDEX, "artifactType": "a/b", "subject": BLOB}, Artifact.from_bytes),
]


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Find the ways to all parts of a document, its whole included."""
    yield way
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield from places(part, (*way, key))


def replaced(value: Any, way: tuple[Any, ...], part: Any) -> Any:
    if not way:
        return part
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[way[0]] = replaced(value[way[0]], way[1:], part)
    return copy


def read(reader: Callable[[bytes], object], data: bytes) -> str | None:
    """Return what is said against it; None where it is taken."""
    try:
        reader(data)
    except (ValueError, KubeimageError) as error:
        return str(error)
    return None


@pytest.mark.parametrize(("document", "reader"), [one[1:] for one in READERS], ids=[one[0] for one in READERS])
def test_the_documents_themselves_are_read(document: Any, reader: Callable[[bytes], object]) -> None:
    assert read(reader, canonical.encode(document)) is None


ODD: list[Any] = [None, True, 0, -1, 2.5, "", "text", DIGEST, [], [1], [None], [[]], {}, {"a": None}, {"a": [1]}]


@pytest.mark.parametrize(("document", "reader"), [one[1:] for one in READERS], ids=[one[0] for one in READERS])
def test_whatever_stands_in_place_of_whatever_is_refused_in_our_words(
    document: Any, reader: Callable[[bytes], object]
) -> None:
    for way in places(document):
        for odd in ODD:
            said = read(reader, json.dumps(replaced(document, way, odd)).encode())
            assert said is None or not PYTHONS_WORDS.search(said), (way, odd, said)


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,0tnu\\ ', max_size=30).map(str.encode))
def test_what_is_no_json_is_refused_in_our_words(data: bytes) -> None:
    said = read(canonical.decode, data)

    assert said is None or not PYTHONS_WORDS.search(said), said
