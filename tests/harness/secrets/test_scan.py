"""Secrets in images: each rule finds its kind, and nothing that only looks like it."""

import base64
import io
import random
import string

import pytest

from harness.secrets import scan
from harness.secrets.rules import read_rules
from harness.secrets.scan import PIECE
from kubeimage.layer.reader import Content

CHANCE = random.Random(7)


def letters(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(CHANCE.choice(alphabet) for _ in range(count))


UPPER = string.ascii_uppercase
JWT = ".".join(
    base64.urlsafe_b64encode(text).decode().rstrip("=")
    for text in (b'{"alg":"RS256","kid":"1"}', b'{"sub":"abcdefghijk"}')
)
SECRETS = {
    "private-key": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{letters(70)}\n",
    "putty-key": "PuTTY-User-Key-File-3: ssh-ed25519\n",
    "aws-access-key": f"id = AKIA{letters(16, UPPER)}\n",
    "aws-secret-key": f"aws_secret_access_key = {letters(40)}\n",
    "github-token": f"token ghp_{letters(36)} \n",
    "gitlab-token": f"glpat-{letters(20)}\n",
    "slack-token": f"xoxb-218345902137-{letters(24)}\n",
    "slack-webhook": f"https://hooks.slack.com/services/T{letters(8, UPPER)}/B{letters(8, UPPER)}/{letters(24)}",
    "google-api-key": f"key=AIza{letters(35)}\n",
    "npm-token": f"//registry.example/:_authToken=npm_{letters(36)}\n",
    "pypi-token": f"pypi-AgEIcHlwaS5vcmc{letters(60)}",
    "docker-token": f"dckr_pat_{letters(27)}",
    "stripe-key": f"sk_live_{letters(24)}",
    "sendgrid-key": f"SG.{letters(22)}.{letters(43)}",
    "vault-token": f"hvs.{letters(95)}",
    "azure-storage-key": f"AccountKey={letters(86)}==;",
    "json-web-token": f"{JWT}.{letters(60)}",
    "kubeconfig-key": f"client-key-data: {letters(80)}\n",
    "registry-login": f'{{"auths": {{"h": {{"auth": "{letters(12)}"}}}}}}',
    "netrc-password": f"machine h login me password {letters(8)}\n",
    "password-hash": "root:$6$salt$" + letters(86) + ":19000:0:99999:7:::\n",
    "password-in-address": f"https://me:{letters(10)}@host/x\n",
    "secret-variable": f"DB_PASSWORD={letters(10)}",
}  # fmt: skip
PATHS = {
    "registry-login": "root/.docker/config.json", "netrc-password": "root/.netrc", "password-hash": "etc/shadow",
    "password-in-address": "root/.git-credentials", "secret-variable": "ENV",
}  # fmt: skip
HARMLESS = {
    "a header alone": "-----BEGIN RSA PRIVATE KEY-----\0\0\0 is what such a file begins with",
    "a public key": f"-----BEGIN PUBLIC KEY-----\n{letters(70)}\n",
    "a certificate": f"-----BEGIN CERTIFICATE-----\n{letters(70)}\n",
    "AWS's own example": "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "no entropy": f"AKIA{'A' * 16} ghp_{'a' * 36}",
    "a placeholder": "sk_live_xxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "a longer word": f"{letters(10)}AKIA{letters(30, UPPER)}",
}


def found_in(text: bytes, path: str) -> list[str]:
    wanted = [rule for rule in read_rules() if rule.is_about(path)]
    return [rule.id for rule, _ in scan._in_file(Content(io.BytesIO(text), len(text)), wanted)]


def test_each_rule_has_an_example() -> None:
    assert [rule.id for rule in read_rules()] == list(SECRETS)


@pytest.mark.parametrize("rule", SECRETS)
def test_a_rule_finds_its_secret(rule: str) -> None:
    path = PATHS.get(rule, "etc/file")

    assert rule in found_in(SECRETS[rule].encode(), path)
    assert rule not in PATHS or found_in(SECRETS[rule].encode(), "usr/share/doc/readme") == []


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_what_only_looks_like_a_secret_is_none(text: str) -> None:
    assert found_in(text.encode(), "etc/file") == []


@pytest.mark.parametrize("start", [0, PIECE - 60, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE - 31])
def test_a_secret_is_found_wherever_pieces_are_cut(start: int) -> None:
    secret = SECRETS["private-key"].encode()

    assert found_in(b"." * start + secret + b"." * PIECE, "etc/file") == ["private-key"]


def test_no_more_than_a_piece_is_held() -> None:
    asked = []

    class Watched(Content):
        def read(self, size: int = -1, /) -> bytes:
            asked.append(size)
            return super().read(size)

    data = bytes(3 * PIECE)
    list(scan._in_file(Watched(io.BytesIO(data), len(data)), read_rules()))

    assert set(asked) == {PIECE}


def test_what_is_shown_of_a_secret_is_its_beginning() -> None:
    (rule,) = (one for one in read_rules() if one.id == "github-token")
    (match,) = rule.matches(SECRETS["github-token"].encode())

    assert match.shown == "ghp_…"
