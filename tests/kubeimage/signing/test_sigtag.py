import json

import pytest

from kubeimage.errors import SignatureError
from kubeimage.image.oci import Manifest
from kubeimage.signing.keys import PrivateKey
from kubeimage.signing.payload import Claim, make_payload
from kubeimage.signing.sigtag import SIGNATURE, add_signature, read_sig_manifest
from tests.kubeimage.signing.made import MANIFEST, SUBJECT, Blobs, bundle_manifest, signed


def test_a_signature_is_read_as_it_was_written(key: PrivateKey, blobs: Blobs) -> None:
    (found,) = read_sig_manifest(signed(key, blobs), blobs.read)

    assert found.problem == ""
    assert found.claim == Claim(SUBJECT, "registry.example.com/team/app:1.0")
    assert found.signed is not None
    assert key.public.verifies(found.signed, found.signature)


def test_another_signature_changes_nothing_of_those_that_are_there(key: PrivateKey, blobs: Blobs) -> None:
    value = json.loads(signed(key, blobs))
    value["annotations"] = {"kept": "as it was"}
    value["layers"][0]["annotations"]["dev.sigstore.cosign/bundle"] = "{}"
    payload = make_payload(Claim(SUBJECT, "other"))

    second = blobs.add(add_signature(json.dumps(value).encode(), payload, b"sig", blobs.read))

    after = json.loads(second)
    assert after["layers"][0] == value["layers"][0]
    assert after["annotations"] == {"kept": "as it was"}
    assert [one.signed for one in read_sig_manifest(second, blobs.read)][1] == payload


def test_the_config_lists_every_payload(key: PrivateKey, blobs: Blobs) -> None:
    payload = make_payload(Claim(SUBJECT, "other"))
    manifest = Manifest.from_bytes(blobs.add(add_signature(signed(key, blobs), payload, b"sig", blobs.read)))

    config = json.loads(blobs.read(manifest.config))

    assert config["rootfs"]["diff_ids"] == [str(layer.digest) for layer in manifest.layers]


@pytest.mark.parametrize(
    "before",
    [b"garbage", b"{}", MANIFEST, bundle_manifest(b"{}")],
    ids=["garbage", "nothing", "no config", "a bundle"],
)
def test_what_is_no_manifest_of_signatures_is_not_overwritten(before: bytes, blobs: Blobs) -> None:
    with pytest.raises(SignatureError, match="something else under the tag of its signatures"):
        add_signature(before, b"payload", b"sig", blobs.read)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mediaType": "application/json"}, "its payload is of the type 'application/json'"),
        ({"annotations": {}}, f"it has no annotation {SIGNATURE}"),
        ({"annotations": {SIGNATURE: "?"}}, "it is no base64"),
        ({"size": 1 << 40}, "its payload has 1099511627776 bytes"),
        ({"digest": f"sha256:{'0' * 64}"}, "there is no blob"),
    ],
    ids=["type", "no signature", "no base64", "size", "digest"],
)
def test_a_layer_that_is_no_signature_says_why(
    key: PrivateKey, blobs: Blobs, change: dict[str, object], said: str
) -> None:
    value = json.loads(signed(key, blobs))
    value["layers"] = [value["layers"][0] | change, value["layers"][0]]

    broken, whole = read_sig_manifest(json.dumps(value).encode(), blobs.read)

    assert said in broken.problem
    assert whole.problem == ""
