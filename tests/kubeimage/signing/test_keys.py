from pathlib import Path

import pytest

from kubeimage.errors import UsageError
from kubeimage.signing.keys import read_passphrase, read_private_key, read_public_key
from tests.kubeimage.signing.made import KINDS, Kind, write_pair

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
COSIGN = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\neyJrZGYi\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_of_keys_belongs_together(tmp_path: Path, kind: Kind) -> None:
    private = read_private_key(str(write_pair(tmp_path, kind)), "--key")
    public = read_public_key(str(tmp_path / "key.pub"), "--key")

    signature = private.sign(b"text")

    assert public.id == private.public.id
    assert public.verifies(b"text", signature)
    assert not public.verifies(b"texts", signature)


@pytest.mark.parametrize("kind", ["p384", "rsa"])
def test_keys_of_other_kinds_are_refused(tmp_path: Path, kind: Kind) -> None:
    path = write_pair(tmp_path, kind)

    with pytest.raises(UsageError, match="is of another kind than ECDSA on P-256, or Ed25519"):
        read_private_key(str(path), "--key")
    with pytest.raises(UsageError, match="is of another kind than ECDSA on P-256, or Ed25519"):
        read_public_key(str(path.with_suffix(".pub")), "--key")


@pytest.mark.parametrize(
    ("text", "private", "public"),
    [
        ("", "holds no private key in PEM", "holds no public key in PEM"),
        ("garbage", "holds no private key in PEM", "holds no public key in PEM"),
        (CERTIFICATE, "holds no private key in PEM", "holds a certificate, not a public key"),
        (COSIGN, "is encrypted in a form of cosign's own", "holds a private key, and a public one is needed"),
        ("x" * 70000, "is too large for a key", "is too large for a key"),
    ],
    ids=["empty", "garbage", "certificate", "cosign", "large"],
)
def test_what_is_no_key_is_an_error_that_says_what_it_is(tmp_path: Path, text: str, private: str, public: str) -> None:
    path = tmp_path / "key.pem"
    path.write_text(text)

    with pytest.raises(UsageError, match=private):
        read_private_key(str(path), "--key")
    with pytest.raises(UsageError, match=public):
        read_public_key(str(path), "--key")


def test_a_private_key_is_not_taken_for_a_public_one_nor_the_other_way_round(tmp_path: Path) -> None:
    path = write_pair(tmp_path)

    with pytest.raises(UsageError, match="holds a private key, and a public one is needed"):
        read_public_key(str(path), "--key")
    with pytest.raises(UsageError, match="holds a public key, and a private one is needed"):
        read_private_key(str(path.with_suffix(".pub")), "--key")


@pytest.mark.parametrize("place", ["missing.pem", ".", "a\0b"], ids=["missing", "folder", "NUL"])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, place: str) -> None:
    with pytest.raises(UsageError, match="cannot read the key"):
        read_private_key(f"{tmp_path}/{place}", "--key")


def test_an_encrypted_key_needs_its_pass_phrase(tmp_path: Path) -> None:
    path = str(write_pair(tmp_path, passphrase=b"open sesame"))

    assert read_private_key(path, "--key", b"open sesame").public.id
    with pytest.raises(UsageError, match="has a pass phrase"):
        read_private_key(path, "--key")
    with pytest.raises(UsageError, match="cannot be decrypted"):
        read_private_key(path, "--key", b"shut")


def test_a_key_without_a_pass_phrase_ignores_one(tmp_path: Path) -> None:
    assert read_private_key(str(write_pair(tmp_path)), "--key", b"any").public.id


def test_a_pass_phrase_comes_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING_PASS", "a b")
    (tmp_path / "pass").write_bytes(b"first line\r\nsecond\n")

    assert read_passphrase("env:SIGNING_PASS", "--passphrase") == b"a b"
    assert read_passphrase(f"file:{tmp_path}/pass", "--passphrase") == b"first line"


@pytest.mark.parametrize("text", ["hunter2", "pass:hunter2", "env:", "", ":hunter2"])
def test_a_pass_phrase_in_an_argument_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_passphrase(text, "--passphrase")

    assert "hunter2" not in f"{caught.value}{caught.value.hint}"


def test_a_pass_phrase_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    with pytest.raises(UsageError, match="no environment variable NO_SUCH"):
        read_passphrase("env:NO_SUCH", "--passphrase")
    with pytest.raises(UsageError, match="is empty"):
        read_passphrase(f"file:{tmp_path}/empty", "--passphrase")
    with pytest.raises(UsageError, match="cannot read the pass phrase"):
        read_passphrase(f"file:{tmp_path}/none", "--passphrase")
