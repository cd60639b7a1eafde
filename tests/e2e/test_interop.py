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
