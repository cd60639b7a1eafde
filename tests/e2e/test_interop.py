"""Other tools read the store in place, and find in it what we do."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.program import Program, tree


@pytest.mark.needs("skopeo")
@pytest.mark.parametrize("name", ["metrics:v1", "example.com/team/metrics:v1"])
def test_skopeo_inspects_an_image_in_the_store(name: str, based: Program, projects: Path) -> None:
    based.build(name, projects / "templated", "--label", "team=web")
    layers = [layer["id"] for layer in based.inspect(name)["spec"]["layers"]]

    printed = subprocess.run(
        ["skopeo", "inspect", f"oci:{based.root}:{name}"], capture_output=True, text=True, check=True
    ).stdout

    found = json.loads(printed)
    assert (found["Layers"], found["Labels"], found["Os"]) == (layers, {"team": "web"}, "linux")


@pytest.mark.needs("skopeo")
def test_skopeo_shows_what_runners_run(based: Program, projects: Path) -> None:
    based.build("dashboard:v1", projects / "dashboard", "--label", "team=web")
    commands = based.inspect("dashboard:v1")["spec"]["image_config"]["cmd"]

    printed = subprocess.run(
        ["skopeo", "inspect", "--config", f"oci:{based.root}:dashboard:v1"], capture_output=True, text=True, check=True
    ).stdout

    assert json.loads(printed)["config"] == {
        "Cmd": [*commands["parent"], *commands["current"]],
        "Labels": {"team": "web"},
    }


@pytest.mark.needs("skopeo")
def test_skopeo_reads_a_file_in_sealer_s_form_and_the_image_comes_back(
    based: Program, projects: Path, tmp_path: Path
) -> None:
    image_id = based.build("example.com/team/app:v1", projects / "templated")
    based.run("save", "example.com/team/app:v1", "-o", tmp_path / "sealer.tar", "--format=sealer")

    copied = ["skopeo", "copy", "-q", "--all", f"oci-archive:{tmp_path}/sealer.tar", f"dir:{tmp_path}/copied"]
    subprocess.run(copied, check=True)
    other = based.with_root(tmp_path / "other")
    other.run("load", "-i", tmp_path / "sealer.tar")

    assert json.loads(other.run("images", "--format=json").stdout)[0]["image_id"] == image_id


@pytest.mark.needs("skopeo")
def test_skopeo_copies_an_image_out_with_every_digest_verified(based: Program, projects: Path) -> None:
    based.build("metrics:v1", projects / "templated")
    target = based.folder / "copied"

    subprocess.run(["skopeo", "copy", "-q", f"oci:{based.root}:metrics:v1", f"dir:{target}"], check=True)

    manifest = json.loads((target / "manifest.json").read_text())
    assert [layer["digest"] for layer in manifest["layers"]] == based.inspect("metrics:v1")["rootfs"]["diff_ids"]


@pytest.mark.needs("umoci")
@pytest.mark.parametrize(("name", "folder"), [("metrics:v1", "templated"), ("odd-names:v1", "odd-names")])
def test_umoci_unpacks_what_export_does(name: str, folder: str, based: Program, projects: Path) -> None:
    based.build(name, projects / folder)
    bundle = based.folder / "bundle"

    subprocess.run(["umoci", "unpack", "--rootless", "--image", f"{based.root}:{name}", bundle], check=True)

    assert tree(bundle / "rootfs") == tree(based.export(name))
