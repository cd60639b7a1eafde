"""The dialect sealer-0.9, beside what the real sealer made of the same two projects."""

import gzip
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.layouts import Found, Read, apply, read_layout
from tests.e2e.program import REPOSITORY, Program

EXTENSION = "sealer.image.extension"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The storage of the registry that sealer pushed to."""
    folder = tmp_path_factory.mktemp("registry")
    with tarfile.open(REPOSITORY / "fixtures/sealer-0.9/registry.tar.gz") as archive:
        # Ours, and not every Python 3.11 has filters.
        archive.extraction_filter = lambda member, _: member
        archive.extractall(folder)
    return folder / "docker/registry/v2"


def read_registry(registry: Path, name: str) -> Read:
    """Return the image demo/NAME:v1 of a registry's storage."""

    def blob(digest: str) -> bytes:
        hexadecimal = digest.removeprefix("sha256:")
        return (registry / "blobs/sha256" / hexadecimal[:2] / hexadecimal / "data").read_bytes()

    link = registry / "repositories/demo" / name / "_manifests/tags/v1/current/link"
    manifest = json.loads(blob(link.read_text()))
    tree: Found = {}
    for layer in manifest["layers"]:
        apply(tree, gzip.decompress(blob(layer["digest"])))
    return Read(tree, json.loads(blob(manifest["config"]["digest"])), manifest["annotations"])


def extension(image: Read) -> Any:
    """Return the annotation, applications by name, without the versions of the client."""
    found = json.loads(image.annotations[EXTENSION])
    del found["buildClient"]
    found["applications"].sort(key=lambda one: one["name"])
    return found


@pytest.mark.parametrize(("name", "options"), [("base", ()), ("app", ("--no-base",))])
def test_sealer_s_own_image_has_the_same_files_config_and_annotation(
    name: str, options: tuple[str, ...], kubeimage: Program, projects: Path, registry: Path
) -> None:
    theirs = read_registry(registry, name)

    kubeimage.build(f"{name}:v1", projects / "sealer-0.9" / name, "--dialect=sealer-0.9", *options)

    ours = read_layout(kubeimage.root, f"{name}:v1")
    config, known = dict(ours.config["config"]), theirs.config["config"]
    config.pop("Cmd")  # sealer leaves it out; it is there for the other runners
    labels = {key: value for key, value in known["Labels"].items() if not key.startswith("io.")}
    assert extension(ours) == extension(theirs)
    assert config == {key: value for key, value in {**known, "Labels": labels}.items() if value}
    assert ours.config.get("author") == theirs.config.get("author")
    assert {path: found[2] for path, found in ours.tree.items()} == {path: f[2] for path, f in theirs.tree.items()}


def test_an_image_of_theirs_is_a_base_whose_applications_are_inherited(
    kubeimage: Program, projects: Path, tmp_path: Path
) -> None:
    kubeimage.build("base:v1", projects / "sealer-0.9/base", "--dialect=sealer-0.9")
    (tmp_path / "child").mkdir()
    (tmp_path / "child/Kubefile").write_text('# syntax=sealer-0.9\nFROM base:v1\nLAUNCH ["calico"]\n')

    kubeimage.build("child:v1", tmp_path / "child")

    found = json.loads(read_layout(kubeimage.root, "child:v1").annotations[EXTENSION])
    assert [one["name"] for one in found["applications"]] == ["alibaba", "calico"]
    assert found["launch"] == {"app_names": ["calico"]}
