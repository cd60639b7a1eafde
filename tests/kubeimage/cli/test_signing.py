"""``sign`` and ``verify --key`` as people and programs see them."""

import json
from pathlib import Path

import pytest

from tests.kubeimage.cli.conftest import MakeContext, Run
from tests.kubeimage.signing.made import Kind, write_pair

NAME = "registry.example.com/team/app:1.0"
GARBAGE = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return write_pair(tmp_path)


@pytest.fixture
def built(run: Run, make_context: MakeContext) -> Run:
    """Build an image under two names."""
    run("build", "-q", "-t", NAME, make_context({"Kubefile": "FROM scratch\nCOPY a .\n", "a": "1"}))
    return run


def test_what_is_signed_is_said_and_what_was_signed_before(built: Run, key: Path) -> None:
    first = built("sign", "--key", key, NAME).stdout.splitlines()
    second = built("sign", "--key", key, NAME).stdout.splitlines()

    assert [line.partition(" ")[2] for line in first] == [f"signed for {NAME}"] * 2
    assert [line.partition(" ")[2] for line in second] == [f"was signed before for {NAME}"] * 2


def test_sign_as_json_is_one_object_a_line(built: Run, key: Path) -> None:
    built("tag", NAME, "other:1")
    lines = built("sign", "--key", key, "--format=json", NAME, "other:1").stdout.splitlines()
    first, second = map(json.loads, lines)

    assert first.keys() == {"image", "identity", "signed", "added"}
    assert (first["image"], first["identity"], first["added"]) == (NAME, NAME, first["signed"])
    assert second["identity"].endswith("/other:1")


def test_verify_says_by_whom_as_a_table(built: Run, key: Path) -> None:
    built("sign", "--key", key, NAME)
    result = built("verify", "--key", key.with_suffix(".pub"), NAME)

    header, row = result.stdout.splitlines()
    assert header.split() == ["IMAGE", "DIGEST", "SIGNED", "BY"]
    assert row.split()[0] == NAME
    assert f"{key.with_suffix('.pub')} (" in row
    assert result.stderr.startswith("1 of 1 image signed: 1 by ")


def test_verify_as_json_has_the_same_keys_signed_or_not(built: Run, key: Path) -> None:
    unsigned = json.loads(built("verify", "--key", key.with_suffix(".pub"), "--format=json", NAME, status=1).stdout)
    built("sign", "--key", key, NAME)
    signed = json.loads(built("verify", "--key", key.with_suffix(".pub"), "--format=json", NAME).stdout)

    (one,), (other,) = unsigned["images"], signed["images"]
    keys = {"image", "packed_in", "digest", "signed", "signers", "others"}
    assert unsigned.keys() == signed.keys() == {"images", "signed", "total", "flaws", "unreadable", "untrusted"}
    assert one.keys() == other.keys() == keys
    assert (unsigned["signed"], signed["signed"], signed["total"]) == (0, 1, 1)
    assert other["signers"][0].keys() == {"key", "key_id", "digest", "identity", "form"}
    assert (one["signed"], one["signers"], one["packed_in"]) == (False, [], None)


def test_one_of_several_images_that_is_not_signed_ends_with_1(built: Run, key: Path) -> None:
    built("tag", NAME, "other:1")
    built("sign", "--key", key, NAME)

    result = built("verify", "--key", key.with_suffix(".pub"), NAME, "other:1", status=1)

    assert "nobody: it is for registry.example.com/team/app:1.0, not for " in result.stdout
    assert result.stderr.startswith("1 of 2 images signed")
    built("verify", "--key", key.with_suffix(".pub"), "--identity=any", NAME, "other:1")


def test_several_images_without_a_key_are_a_mistake(built: Run) -> None:
    result = built("verify", NAME, "other:1", status=2)

    assert "go with --key PUBLIC.pem" in result.stderr
    built("verify", NAME)


@pytest.mark.parametrize("source", ["env", "file"])
def test_a_pass_phrase_is_named_and_never_given(built: Run, tmp_path: Path, source: str) -> None:
    key = write_pair(tmp_path, passphrase=b"open sesame")
    (tmp_path / "phrase").write_text("open sesame\n")
    place = {"env": "env:PHRASE", "file": f"file:{tmp_path}/phrase"}[source]
    environment = {"PHRASE": "open sesame"}

    missing = built("sign", "--key", key, NAME, status=2)
    built("sign", "--key", key, "--passphrase", place, NAME, env=environment)
    given = built("sign", "--key", key, "--passphrase", "open sesame", NAME, env=environment, status=2)

    assert "has a pass phrase" in missing.stderr
    assert "open sesame" not in given.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no public key in PEM"),
        (GARBAGE, "holds no public key in PEM"),
        ("-----BEGIN CERTIFICATE-----\n", "holds a certificate, not a public key"),
        (None, "cannot read the key"),
        ("p384", "is of another kind than"),
        ("rsa", "is of another kind than"),
        ("private", "holds a private key, and a public one is needed"),
    ],
)
def test_a_strange_key_is_an_error_and_no_traceback(built: Run, tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "strange.pub"
    kinds: dict[str, Kind] = {"p384": "p384", "rsa": "rsa"}
    if content in kinds:
        write_pair(tmp_path, kinds[content], name="strange")
    elif content == "private":
        path.write_bytes(write_pair(tmp_path).read_bytes())
    elif content is not None:
        path.write_text(content)

    result = built("verify", "--key", path, NAME, status=2)

    assert said in result.stderr
    assert result.stderr.startswith("error[E0101]: ")
    assert result.stdout == ""


def test_plain_verify_says_what_the_policy_refuses(built: Run, key: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(f'[trust."*"]\nrequire = "signed"\nkeys = ["{key.with_suffix(".pub")}"]\n')
    config = ("--config", tmp_path / "policy.toml")

    refused = built("verify", *config, NAME, status=1)
    as_json = json.loads(built("verify", *config, "--format=json", NAME, status=1).stdout)
    built("sign", "--key", key, NAME)

    assert "is not signed as the policy asks: there is no signature" in refused.stdout
    assert f"{tmp_path}/policy.toml:1" in refused.stdout
    assert refused.stderr == "0 container images, 1 image refused by the policy\n"
    assert len(as_json["untrusted"]) == 1
    built("verify", *config, NAME)
