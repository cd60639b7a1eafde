"""Signed in the store and in registries, and checked wherever an image lies."""

import json
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.fakes.registry import FakeRegistry
from kubeimage import (
    Backends,
    BuildOptions,
    Digest,
    ImageNotFoundError,
    KubeimageError,
    Platform,
    Reference,
    SignatureCheck,
    SignatureError,
    UsageError,
    build_image,
    load_images,
    open_backends,
    parse,
    pull_image,
    push_image,
    save_image,
    sign_image,
    verify_signatures,
)
from kubeimage.image.oci import Descriptor
from kubeimage.image.referrers import ReferrerChoice, cosign_tag
from kubeimage.settings import HostSettings, Settings
from kubeimage.signing.bundle import MEDIA_TYPE as BUNDLE
from kubeimage.signing.keys import PrivateKey, read_private_key
from kubeimage.signing.payload import MEDIA_TYPE
from kubeimage.signing.sigtag import SIGNATURE
from tests.kubeimage.packing.conftest import publish
from tests.kubeimage.signing.made import Blobs, bundle_manifest, message_bundle, signed, write_pair
from tests.kubeimage.store.foreign import make_foreign, tar_of

IMAGE = make_foreign(tar_of({"etc/a": b"one"}))
OTHER = make_foreign(tar_of({"etc/a": b"two"}), architecture="arm64")
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as found:
        yield found


@pytest.fixture
def backends(tmp_path: Path, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backends]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    settings = Settings(hosts={registry.host: HostSettings(plain_http=True)})
    with open_backends(str(tmp_path / "store"), settings, mount="copy", isolation="none") as opened:
        yield opened


@pytest.fixture
def key(tmp_path: Path) -> str:
    return str(write_pair(tmp_path))


@pytest.fixture
def other(tmp_path: Path) -> str:
    return str(write_pair(tmp_path, "ed25519", name="other"))


def pub(key: str) -> str:
    return key.replace(".pem", ".pub")


def build(backends: Backends, name: Reference, folder: Path) -> None:
    context = folder / "context"
    context.mkdir(exist_ok=True)
    (context / "a").write_text("1")
    kubefile = parse("FROM scratch\nCOPY a .\n")
    build_image(kubefile, str(context), backends, options=BuildOptions(references=(name,), platform=AMD64))


def who(check: SignatureCheck) -> list[str]:
    """Return who has signed each image, or why nobody has."""
    return [
        " ".join(one.key.name.rpartition("/")[2] for one in image.signers if one.key is not None) or image.reason
        for image in check.images
    ]


def test_what_was_built_is_signed_as_it_is_here_and_as_it_is_pushed(
    backends: Backends, registry: FakeRegistry, key: str, tmp_path: Path
) -> None:
    name = Reference(registry.host, "team/app", "1.0")
    build(backends, name, tmp_path)
    signed = sign_image(name, key, backends)
    pushed = push_image(name, backends)

    assert len(signed.added) == 2
    assert pushed in signed.added
    assert who(verify_signatures(name, [pub(key)], backends)) == ["key.pub"]


def test_an_image_is_signed_in_its_registry(backends: Backends, registry: FakeRegistry, key: str, other: str) -> None:
    top = publish(registry, "team/app:1.0", IMAGE)
    name = f"docker://{registry.host}/team/app:1.0"

    assert sign_image(name, key, backends).added == (top,)
    assert sign_image(name, key, backends).added == ()
    assert sign_image(name, other, backends).added == (top,)
    assert who(verify_signatures(name, [pub(key), pub(other)], backends)) == ["key.pub other.pub"]
    assert who(verify_signatures(name, [pub(other)], backends)) == ["other.pub"]


def test_a_signature_of_an_index_is_one_of_each_manifest_that_is_chosen_from_it(
    backends: Backends, registry: FakeRegistry, key: str
) -> None:
    publish(registry, "team/app:1.0", {"amd64": IMAGE, "arm64": OTHER})
    name = f"docker://{registry.host}/team/app:1.0"
    sign_image(name, key, backends)

    assert who(verify_signatures(name, [pub(key)], backends, platform=ARM64)) == ["key.pub"]
    alone = f"docker://{registry.host}/team/app@{OTHER.descriptor.digest}"
    assert who(verify_signatures(alone, [pub(key)], backends)) == ["there is no signature"]
    sign_image(name, key, backends, recursive=True)
    assert who(verify_signatures(alone, [pub(key)], backends)) == ["key.pub"]


def test_a_signature_that_another_tag_has_is_for_another_name(
    backends: Backends, registry: FakeRegistry, key: str
) -> None:
    publish(registry, "team/app:1.0", IMAGE)
    publish(registry, "team/app:2.0", IMAGE)
    sign_image(f"docker://{registry.host}/team/app:1.0", key, backends)
    name = f"docker://{registry.host}/team/app:2.0"

    assert who(verify_signatures(name, [pub(key)], backends, identity="any")) == ["key.pub"]
    assert who(verify_signatures(name, [pub(key)], backends)) == [
        f"it is for {registry.host}/team/app:1.0, not for {registry.host}/team/app:2.0"
    ]
    sign_image(name, key, backends, identity=f"{registry.host}/team/app")
    assert who(verify_signatures(name, [pub(key)], backends)) == ["key.pub"]


@pytest.mark.parametrize("api", [True, False])
def test_a_bundle_in_a_registry_is_read(key: str, api: bool, tmp_path: Path) -> None:
    with FakeRegistry(referrers=api) as registry:
        settings = Settings(hosts={registry.host: HostSettings(plain_http=True)})
        with open_backends(str(tmp_path / "store"), settings, access="read") as backends:
            check_bundle(backends, registry, key)


def check_bundle(backends: Backends, registry: FakeRegistry, key: str) -> None:
    top = publish(registry, "team/app:1.0", IMAGE)
    data = json.dumps(message_bundle(read_private_key(key, "--key"), IMAGE.manifest)).encode()
    manifest = bundle_manifest(data, IMAGE.manifest)
    for blob in (data, b"{}"):
        registry.put_blob("team/app", blob)
    put = registry.put_manifest("team/app", None, manifest)
    listed = {**Descriptor.of("application/vnd.oci.image.manifest.v1+json", manifest).to_json(), "artifactType": BUNDLE}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [listed]}
    registry.put_manifest("team/app", f"sha256-{top.hex}", json.dumps(index).encode())

    check = verify_signatures(f"docker://{registry.host}/team/app:1.0", [pub(key)], backends)

    assert put == Digest.of(manifest)
    assert [one.form for one in check.images[0].signers] == ["bundle"]


@pytest.mark.parametrize("referrers", ["none", "all"])
def test_a_saved_image_is_checked_in_its_archive_and_in_a_layout(
    backends: Backends, registry: FakeRegistry, key: str, tmp_path: Path, referrers: str
) -> None:
    name = Reference(registry.host, "team/app", "1.0")
    build(backends, name, tmp_path)
    sign_image(name, key, backends)
    (layout := tmp_path / "layout").mkdir()
    save_image(name, str(tmp_path / "app.tar"), backends, referrers=ReferrerChoice.parse(referrers))
    subprocess.run(["tar", "-xf", str(tmp_path / "app.tar"), "-C", str(layout)], check=True)
    expected = ["key.pub" if referrers == "all" else "there is no signature"]

    assert who(verify_signatures(f"oci-archive:{tmp_path}/app.tar", [pub(key)], backends)) == expected
    assert who(verify_signatures(f"oci:{layout}", [pub(key)], backends)) == expected
    assert who(verify_signatures(f"oci:{layout}:{name}", [pub(key)], backends)) == expected


@pytest.mark.parametrize("listing", ["tag", "kind", "subject"])
def test_signatures_in_a_layout_are_found_however_they_are_listed(
    backends: Backends, registry: FakeRegistry, key: str, tmp_path: Path, listing: str
) -> None:
    name = Reference(registry.host, "team/app", "1.0")
    build(backends, name, tmp_path)
    (layout := tmp_path / "layout").mkdir()
    save_image(name, str(tmp_path / "app.tar"), backends)
    subprocess.run(["tar", "-xf", str(tmp_path / "app.tar"), "-C", str(layout)], check=True)
    add_to(layout, read_private_key(key, "--key"), name, listing)

    assert who(verify_signatures(f"oci:{layout}:{name}", [pub(key)], backends)) == ["key.pub"]


def add_to(layout: Path, key: PrivateKey, name: Reference, listing: str) -> None:
    """Add a signature to a layout, as skopeo copies it, as cosign saves it, or as a bundle that refers to the image."""
    index = json.loads((layout / "index.json").read_text())
    top = Digest.parse(index["manifests"][0]["digest"])
    blobs = Blobs()
    data = signed(key, blobs, digest=top, name=str(name))
    annotations = {
        "tag": {"org.opencontainers.image.ref.name": cosign_tag(top, "sig")},
        "kind": {"kind": "dev.cosignproject.cosign/sigs"},
        "subject": {},
    }[listing]
    if listing == "subject":
        image = (layout / "blobs/sha256" / top.hex).read_bytes()
        bundle = json.dumps(message_bundle(key, image)).encode()
        blobs, data = Blobs([bundle, b"{}"]), bundle_manifest(bundle, image)
    for one in (data, *blobs.known.values()):
        (layout / "blobs/sha256" / Digest.of(one).hex).write_bytes(one)
    described = Descriptor.of("application/vnd.oci.image.manifest.v1+json", data).to_json()
    index["manifests"].append({**described, "annotations": annotations})
    (layout / "index.json").write_text(json.dumps(index))


def test_signers_side_by_side_lose_nothing_of_each_other(backends: Backends, tmp_path: Path) -> None:
    """Each signer reads before any of the others has written."""
    build(backends, name := Reference.parse("app:1.0"), tmp_path)
    keys = [str(write_pair(tmp_path, name=f"key{number}")) for number in range(3)]

    def sign_elsewhere(key: str) -> None:
        with open_backends(str(tmp_path / "store")) as own:
            sign_image(name, key, own)

    with ThreadPoolExecutor(len(keys)) as threads:
        list(threads.map(sign_elsewhere, keys))

    (found,) = who(verify_signatures(name, [pub(key) for key in keys], backends))
    assert sorted(found.split()) == ["key0.pub", "key1.pub", "key2.pub"]


def test_no_byte_of_a_manifest_or_payload_in_the_store_can_be_changed(
    backends: Backends, registry: FakeRegistry, key: str, tmp_path: Path
) -> None:
    publish(registry, "team/app:1.0", IMAGE)
    name = Reference(registry.host, "team/app", "1.0")
    pull_image(name, backends, platforms=[AMD64])
    sign_image(name, key, backends)
    assert backends.store is not None
    (referrer,) = backends.store.referrers.list_referrers(IMAGE.descriptor.digest)
    manifest = json.loads(backends.store.referrers.read_manifest(referrer.digest))
    payload = Digest.parse(manifest["layers"][0]["digest"])

    for digest in (IMAGE.descriptor.digest, referrer.digest, payload):
        path = tmp_path / "store/blobs/sha256" / digest.hex
        data = path.read_bytes()
        path.chmod(0o600)
        for place in range(0, len(data), 61):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            assert not is_signed(name, key, tmp_path / "store"), (digest, place)
        path.write_bytes(data)
    assert is_signed(name, key, tmp_path / "store")


def is_signed(name: Reference, key: str, store: Path) -> bool:
    """Whether verify says so; an error says that it is not."""
    with open_backends(str(store), access="read") as backends:
        try:
            return verify_signatures(name, [pub(key)], backends).holds
        except KubeimageError:
            return False


def test_a_docker_archive_has_no_signatures(backends: Backends, key: str, tmp_path: Path) -> None:
    name = Reference.parse("app:1.0")
    build(backends, name, tmp_path)
    sign_image(name, key, backends)
    save_image(name, str(tmp_path / "app.tar"), backends, form="docker-archive")

    check = verify_signatures(f"docker-archive:{tmp_path}/app.tar", [pub(key)], backends)

    assert who(check) == ["there is no signature"]


def test_a_tag_that_moves_leaves_its_signature_behind(backends: Backends, registry: FakeRegistry, key: str) -> None:
    name = f"docker://{registry.host}/team/app:1.0"
    publish(registry, "team/app:1.0", IMAGE)
    sign_image(name, key, backends)
    publish(registry, "team/app:1.0", make_foreign(tar_of({"etc/a": b"evil"})))

    assert who(verify_signatures(name, [pub(key)], backends)) == ["there is no signature"]


def test_something_else_under_the_tag_of_signatures_is_not_overwritten(
    backends: Backends, registry: FakeRegistry, key: str
) -> None:
    top = publish(registry, "team/app:1.0", IMAGE)
    publish(registry, f"team/app:{cosign_tag(top, 'sig')}", OTHER)

    with pytest.raises(SignatureError, match="something else under the tag"):
        sign_image(f"docker://{registry.host}/team/app:1.0", key, backends)


@pytest.mark.parametrize("name", ["oci:folder", "docker-archive:a.tar", "oci-archive:a.tar", "docker-daemon:x"])
def test_an_image_in_a_file_is_signed_in_the_store(name: str, backends: Backends, key: str) -> None:
    with pytest.raises(UsageError, match="signatures are added in the store and in registries"):
        sign_image(name, key, backends)


def test_an_image_without_a_name_is_signed_for_a_name_that_is_given(
    backends: Backends, key: str, tmp_path: Path
) -> None:
    kubefile = parse("FROM scratch\n")
    built = build_image(kubefile, str(tmp_path), backends, options=BuildOptions(platform=AMD64))
    image_id = built.image.id.hex

    with pytest.raises(UsageError, match="is signed for nobody"):
        sign_image(image_id, key, backends)
    assert sign_image(image_id, key, backends, identity="team/app:1").added
    assert who(verify_signatures(image_id, [pub(key)], backends)) == ["key.pub"]


def test_an_image_that_is_not_there_cannot_be_signed(backends: Backends, key: str) -> None:
    with pytest.raises(ImageNotFoundError):
        sign_image("app:1.0", key, backends)


@pytest.mark.needs("openssl")
def test_openssl_finds_what_we_sign_good(
    backends: Backends, registry: FakeRegistry, key: str, other: str, tmp_path: Path
) -> None:
    top = publish(registry, "team/app:1.0", IMAGE)
    for one in (key, other):
        sign_image(f"docker://{registry.host}/team/app:1.0", one, backends)
    value = json.loads(registry.manifest("team/app", cosign_tag(top, "sig")).data)

    for layer, one in zip(value["layers"], (key, other), strict=True):
        (tmp_path / "payload").write_bytes(registry.blobs("team/app")[Digest.parse(layer["digest"])])
        (tmp_path / "signature").write_bytes(b64decode(layer["annotations"][SIGNATURE]))
        openssl_verifies(tmp_path, pub(one), is_raw=one == other)


def openssl_verifies(folder: Path, key: str, *, is_raw: bool) -> None:
    hashing = ["-rawin"] if is_raw else ["-rawin", "-digest", "sha256"]
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", key, *hashing]
    files = ["-sigfile", str(folder / "signature"), "-in", str(folder / "payload")]
    subprocess.run([*command, *files], check=True, capture_output=True)


@pytest.mark.needs("openssl")
def test_what_openssl_signs_is_found_good(backends: Backends, registry: FakeRegistry, key: str, tmp_path: Path) -> None:
    top = publish(registry, "team/app:1.0", IMAGE)
    critical = {
        "identity": {"docker-reference": f"{registry.host}/team/app"},
        "image": {"docker-manifest-digest": str(top)},
        "type": "cosign container image signature",
    }
    payload = json.dumps({"critical": critical, "optional": None}).encode()
    (tmp_path / "payload").write_bytes(payload)
    command = ["openssl", "dgst", "-sha256", "-sign", key, str(tmp_path / "payload")]
    signature = subprocess.run(command, check=True, capture_output=True).stdout
    config = b'{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":[]}}'
    layer = {
        **Descriptor.of(MEDIA_TYPE, payload).to_json(),
        "annotations": {SIGNATURE: b64encode(signature).decode()},
    }
    described = Descriptor.of("application/vnd.oci.image.config.v1+json", config).to_json()
    for blob in (payload, config):
        registry.put_blob("team/app", blob)
    manifest = {"schemaVersion": 2, "config": described, "layers": [layer]}
    registry.put_manifest("team/app", cosign_tag(top, "sig"), json.dumps(manifest).encode())

    assert who(verify_signatures(f"docker://{registry.host}/team/app:1.0", [pub(key)], backends)) == ["key.pub"]


def test_a_signature_travels_with_its_image(
    backends: Backends, registry: FakeRegistry, key: str, tmp_path: Path
) -> None:
    name = Reference(registry.host, "team/app", "1.0")
    build(backends, name, tmp_path)
    sign_image(name, key, backends)
    save_image(name, str(tmp_path / "app.tar"), backends)
    push_image(name, backends)

    assert who(verify_signatures(f"docker://{name}", [pub(key)], backends)) == ["key.pub"]
    with open_backends(str(tmp_path / "loaded")) as loaded:
        load_images(str(tmp_path / "app.tar"), loaded)
        assert who(verify_signatures(name, [pub(key)], loaded)) == ["key.pub"]
    with open_backends(str(tmp_path / "pulled"), backends.settings) as pulled:
        pull_image(name, pulled, platforms=[AMD64], referrers=ReferrerChoice.parse("signature"))
        assert who(verify_signatures(name, [pub(key)], pulled)) == ["key.pub"]
