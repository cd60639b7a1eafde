"""Records as they travel: what was written is read, and nothing else is."""

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.remote.record import (
    BadRecordError,
    RecordedStep,
    RemoteLayer,
    StepRecord,
    check_record,
    make_artifact,
    read_artifact,
    read_key_text,
)

TYPES = st.sampled_from(["tar", "tar+gzip", "tar+zstd"]).map("application/vnd.oci.image.layer.v1.{}".format)
DIGESTS = st.binary(min_size=4, max_size=4).map(Digest.of)
SIZES = st.integers(0, 1 << 60)
LAYERS = st.builds(RemoteLayer, DIGESTS, SIZES, st.builds(Descriptor, TYPES, DIGESTS, SIZES))
STEPS = st.builds(RecordedStep, DIGESTS, st.none() | LAYERS)
RECORDS = st.builds(
    StepRecord,
    st.sampled_from(["linux/amd64", "linux/arm64/v8"]),
    st.sampled_from(["oci", "registry.example.com/team/cache"]),
    st.just("2026-05-04T12:00:00Z"),
    st.lists(STEPS, min_size=1, max_size=4).map(tuple),
)
KEY = CacheKey(Digest.of(b"before"), (("kind", "COPY"), ("source", "a\tb\\\n")), (("etc/a", "file 644 1 00"),))


@given(RECORDS)
def test_what_is_written_is_read(record: StepRecord) -> None:
    artifact = make_artifact(record, KEY)

    found = read_artifact(artifact.data)

    assert found.record == record
    assert not found.is_signed
    texts = [data for described, data in artifact.blobs if described == found.key_fields]
    assert [read_key_text(text, found.parent) for text in texts] == [KEY]


@given(RECORDS)
def test_a_manifest_names_every_layer_once(record: StepRecord) -> None:
    """So a registry's garbage collector keeps what the record needs."""
    manifest = json.loads(make_artifact(record, KEY).data)

    named = [one["digest"] for one in manifest["layers"][1:]]
    assert sorted(named) == sorted({str(layer.blob.digest) for layer in record.layers})


@given(RECORDS, st.data())
def test_no_bytes_raise_anything_else(record: StepRecord, data: st.DataObject) -> None:
    whole = make_artifact(record, KEY).data
    start = data.draw(st.integers(0, len(whole)))
    broken = whole[:start] + data.draw(st.binary(max_size=3)) + whole[data.draw(st.integers(start, len(whole))) :]

    with suppress(BadRecordError):
        read_artifact(broken)


@pytest.mark.parametrize(
    ("keys", "platform", "repository", "why"),
    [
        ("other", "linux/amd64", "oci", "of other steps"),
        ("more", "linux/amd64", "oci", "of other steps"),
        ("own", "linux/arm64", "oci", "it is for linux/amd64, not linux/arm64"),
        ("own", "linux/amd64", "example.com/a", "made for oci, not example.com/a"),
    ],
)
def test_a_record_answers_to_its_own_key_alone(keys: str, platform: str, repository: str, why: str) -> None:
    own = Digest.of(b"own")
    record = StepRecord("linux/amd64", "oci", "2026-05-04T12:00:00Z", (RecordedStep(own, None),))
    asked = {"own": [own], "other": [Digest.of(b"other")], "more": [own, Digest.of(b"more")]}

    check_record(record, [own], "linux/amd64", "oci")
    with pytest.raises(BadRecordError, match=why):
        check_record(record, asked[keys], platform, repository)


def test_a_later_version_is_no_record() -> None:
    record = StepRecord("linux/amd64", "oci", "2026-05-04T12:00:00Z", (RecordedStep(Digest.of(b""), None),))
    later = json.loads(record.to_bytes()) | {"version": 2}

    with pytest.raises(BadRecordError, match="another version"):
        read_artifact(_wrapped(canonical.encode(later)))


def _wrapped(data: bytes) -> bytes:
    record = StepRecord("linux/amd64", "oci", "2026-05-04T12:00:00Z", (RecordedStep(Digest.of(b""), None),))
    manifest = json.loads(make_artifact(record, KEY).data)
    described = Descriptor.of(manifest["config"]["mediaType"], data)
    manifest["config"] = {**described.to_json(), "data": base64.b64encode(data).decode()}
    return canonical.encode(manifest)
