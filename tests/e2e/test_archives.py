"""Images in files go to other tools and come back."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.program import Program, tree


def skopeo(*arguments: str) -> str:
    return subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def saved(based: Program, projects: Path) -> Program:
    """Return the program with metrics:v1, which has a layer of each instruction, and a file of each form of it."""
    based.build("metrics:v1", projects / "templated")
    for form in ("oci-archive", "docker-archive"):
        based.run("save", "metrics:v1", "-o", form, "--format", form)
    return based


@pytest.mark.needs("skopeo", "umoci")
@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_skopeo_and_umoci_unpack_what_export_does(saved: Program, form: str) -> None:
    folder = saved.folder
    skopeo("copy", "-q", f"{form}:{folder}/{form}", f"oci:{folder}/layout:x")

    subprocess.run(["umoci", "unpack", "--rootless", "--image", f"{folder}/layout:x", folder / "bundle"], check=True)

    assert tree(folder / "bundle/rootfs") == tree(saved.export("metrics:v1"))


@pytest.mark.needs("skopeo")
@pytest.mark.parametrize("source", ["oci-archive", "docker-archive"])
@pytest.mark.parametrize("target", ["oci-archive", "docker-archive"])
def test_what_skopeo_writes_is_loaded(saved: Program, source: str, target: str) -> None:
    folder = saved.folder
    skopeo("copy", "-q", f"{source}:{folder}/{source}", f"{target}:{folder}/theirs:example.com/metrics:v2")
    elsewhere = saved.with_root(folder / "elsewhere")

    elsewhere.run("load", "-i", "theirs")

    assert tree(elsewhere.export("example.com/metrics:v2")) == tree(saved.export("metrics:v1"))
    elsewhere.run("fsck")


@pytest.mark.needs("skopeo")
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_compressed_archive_is_a_base_elsewhere(saved: Program, projects: Path, kind: str) -> None:
    saved.run("save", "rootfs:v1", "-o", "rootfs.tar", "--compression", kind)
    found = json.loads(skopeo("inspect", "--raw", f"oci-archive:{saved.folder}/rootfs.tar"))
    elsewhere = saved.with_root(saved.folder / "elsewhere")

    elsewhere.run("load", "-i", "rootfs.tar")

    assert {one["mediaType"].rpartition("+")[2] for one in found["layers"]} == {kind}
    assert (
        elsewhere.build("metrics:v1", projects / "templated") == f"sha256:{saved.inspect('metrics:v1')['spec']['id']}"
    )


def listed(program: Program) -> list[dict[str, object]]:
    """Return what a store lists of its images, but for how it keeps them and when they were used."""
    found: list[dict[str, object]] = json.loads(program.run("images", "--format=json").stdout)
    return [{key: value for key, value in one.items() if key not in ("manifest", "stored", "used")} for one in found]


@pytest.mark.needs("skopeo")
def test_all_platforms_travel_both_ways(kubeimage: Program, projects: Path) -> None:
    kubeimage.run("build", "-t", "tool:v1", "--platform=linux/amd64,linux/arm64", projects / "multiarch")
    kubeimage.run("save", "tool:v1", "-o", "tool.tar")
    skopeo("copy", "-q", "--all", f"oci-archive:{kubeimage.folder}/tool.tar", f"oci-archive:{kubeimage.folder}/back")
    elsewhere = kubeimage.with_root(kubeimage.folder / "elsewhere")

    elsewhere.run("load", "-i", "back", "-t", "tool:v1")

    assert listed(elsewhere) == listed(kubeimage)
    elsewhere.run("fsck")


@pytest.mark.needs("bsdtar")
@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_bsdtar_lists_every_member_once(saved: Program, form: str) -> None:
    listed = subprocess.run(["bsdtar", "-tf", saved.folder / form], capture_output=True, text=True, check=True).stdout

    names = listed.splitlines()
    assert len(names) == len(set(names))
    assert {"index.json", "manifest.json"} & set(names)


@pytest.mark.needs("skopeo")
def test_skopeo_may_write_compressed_layers_into_the_store(saved: Program, projects: Path) -> None:
    saved.run("save", "rootfs:v1", "-o", "rootfs.tar", "--compression", "gzip")
    elsewhere = saved.with_root(saved.folder / "elsewhere")
    elsewhere.build("odd:v1", projects / "odd-names")

    skopeo("copy", "-q", f"oci-archive:{saved.folder}/rootfs.tar", f"oci:{elsewhere.root}:rootfs:v1")

    assert (
        elsewhere.build("metrics:v1", projects / "templated") == f"sha256:{saved.inspect('metrics:v1')['spec']['id']}"
    )
    elsewhere.run("fsck")


def test_an_archive_goes_through_a_pipe(saved: Program) -> None:
    elsewhere = saved.with_root(saved.folder / "elsewhere")

    saved.pipe("$KUBEIMAGE save metrics:v1 -o - | gzip | $KUBEIMAGE --root elsewhere load -i -")

    assert elsewhere.inspect("metrics:v1") == saved.inspect("metrics:v1")


def test_what_went_wrong_is_said_without_a_traceback(saved: Program) -> None:
    missing = saved.run("save", "metrcs:v1", "-o", "x", status=1)
    nothing = saved.run("load", "-i", "nothing", status=2)
    (saved.folder / "text").write_text("hello\n")
    text = saved.run("load", "-i", "text", status=1)

    assert "did you mean metrics:v1" in missing.stderr
    assert "no file 'nothing'" in nothing.stderr
    assert "E0650" in text.stderr
    assert not (saved.folder / "x").exists()
