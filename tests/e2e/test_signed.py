"""Signatures between kubeimage and skopeo, by a registry that knows nothing of them."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import Program
from tests.kubeimage.signing.made import write_pair
from tests.registries import docker_registry

FIXTURES = Path(__file__).parents[2] / "fixtures/signatures"
OFF = "sigstore disabled"
pytestmark = [pytest.mark.needs("docker-registry"), pytest.mark.needs("skopeo")]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    (folder := tmp_path / "registry").mkdir()
    with docker_registry(folder) as url:
        yield url.removeprefix("http://")


@pytest.fixture
def image(kubeimage: Program, host: str, tmp_path: Path) -> str:
    """Return the name of an image that was pushed."""
    (context := tmp_path / "context").mkdir()
    (context / "Kubefile").write_text("FROM scratch\nCOPY a .\n")
    (context / "a").write_text("1")
    name = f"{host}/team/app:1.0"
    kubeimage.build(name, context)
    kubeimage.run("push", "--insecure", f"http://{host}", name)
    return name


def skopeo(folder: Path, *arguments: str, policy: object = None) -> subprocess.CompletedProcess[str]:
    """Run skopeo, which looks for signatures beside images; skip where its build can't."""
    (folder / "registries.d").mkdir(exist_ok=True)
    (folder / "registries.d/all.yaml").write_text("default-docker:\n  use-sigstore-attachments: true\n")
    (folder / "policy.json").write_text(json.dumps(policy or {"default": [{"type": "insecureAcceptAnything"}]}))
    common = ["--policy", f"{folder}/policy.json", "--registries.d", f"{folder}/registries.d"]
    ended = subprocess.run(["skopeo", *common, *arguments], capture_output=True, text=True, check=False)
    if OFF in ended.stderr:
        pytest.skip("this build of skopeo has sigstore switched off, as Debian 12's")
    return ended


def copy_signed(folder: Path, image: str, key: Path) -> subprocess.CompletedProcess[str]:
    """Let skopeo copy an image that must be signed by ``key``."""
    rule = [{"type": "sigstoreSigned", "keyPath": str(key)}]
    policy = {"default": [{"type": "reject"}], "transports": {"docker": {image.partition("/")[0]: rule}}}
    (target := folder / "copied").mkdir(exist_ok=True)
    return skopeo(
        folder,
        "copy",
        "--remove-signatures",
        "--src-tls-verify=false",
        f"docker://{image}",
        f"oci:{target}:x",
        policy=policy,
    )


def test_skopeo_s_policy_takes_what_kubeimage_signs(kubeimage: Program, image: str, host: str, tmp_path: Path) -> None:
    key, other = write_pair(tmp_path), write_pair(tmp_path, name="other")
    refused = copy_signed(tmp_path, image, key.with_suffix(".pub"))
    kubeimage.run("sign", "--insecure", f"http://{host}", "--key", str(key), f"docker://{image}")

    taken = copy_signed(tmp_path, image, key.with_suffix(".pub"))
    wrong = copy_signed(tmp_path, image, other.with_suffix(".pub"))

    assert (refused.returncode, taken.returncode, wrong.returncode) == (1, 0, 1), taken.stderr


def test_kubeimage_takes_what_skopeo_signs_and_neither_loses_the_other_s(
    kubeimage: Program, image: str, host: str, tmp_path: Path
) -> None:
    key = write_pair(tmp_path)
    insecure = ("--insecure", f"http://{host}")
    kubeimage.run("sign", *insecure, "--key", str(key), f"docker://{image}")
    (tmp_path / "phrase").write_text("test-phrase\n")
    signing = (f"--sign-by-sigstore-private-key={FIXTURES}/cosign.key", f"--sign-passphrase-file={tmp_path}/phrase")
    insecurely = ("--src-tls-verify=false", "--dest-tls-verify=false")

    ended = skopeo(tmp_path, "copy", *insecurely, *signing, f"docker://{image}", f"docker://{image}")
    keys = ("--key", str(FIXTURES / "cosign.pub"), "--key", str(key.with_suffix(".pub")))
    found = json.loads(kubeimage.run("verify", *insecure, *keys, "--format", "json", f"docker://{image}").stdout)

    assert ended.returncode == 0, ended.stderr
    assert {Path(one["key"]).name for one in found["images"][0]["signers"]} == {"cosign.pub", "key.pub"}


def test_signatures_lie_in_a_stock_registry(kubeimage: Program, image: str, host: str, tmp_path: Path) -> None:
    key, other = write_pair(tmp_path), write_pair(tmp_path, "ed25519", name="other")
    insecure = ("--insecure", f"http://{host}")
    for one in (key, other, key):
        kubeimage.run("sign", *insecure, "--key", str(one), f"docker://{image}")

    keys = ("--key", str(key.with_suffix(".pub")), "--key", str(other.with_suffix(".pub")))
    found = json.loads(kubeimage.run("verify", *insecure, *keys, "--format", "json", f"docker://{image}").stdout)

    assert [Path(one["key"]).name for one in found["images"][0]["signers"]] == ["key.pub", "other.pub"]
