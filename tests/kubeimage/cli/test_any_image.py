"""Every command and option that reads an image takes one from elsewhere; each other one is listed, with why not."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

from kubeimage.cli import COMMANDS
from tests.kubeimage.cli.conftest import MakeContext, Run

# How each is called with an image, and what its exit status is.
READS = {
    "inspect name": ["inspect", "{}"],
    "history name": ["history", "{}"],
    "export name": ["export", "{}", "-o", "{folder}/out"],
    "diff old": ["diff", "{}", "app:v1"],
    "diff new": ["diff", "app:v1", "{}"],
    "save name": ["save", "{}", "-o", "{folder}/saved.tar"],
    "save since": ["save", "app:v1", "-o", "{folder}/saved.tar", "--since", "{}"],
    "verify names": ["verify", "{}"],
    "rehearse name": ["rehearse", "{}"],
    "images-of source": ["images-of", "{}"],
    "report image": ["report", "{}", "-o", "{folder}/page.html"],
    "report against": ["report", "app:v1", "--against", "{}", "-o", "{folder}/page.html"],
    "ls image": ["ls", "{}"],
    "cat image": ["cat", "{}", "etc/a"],
    "inventory image": ["inventory", "{}"],
    "merge names": ["merge", "app:v1", "{}", "-t", "merged:v1"],
}
# Tried elsewhere, for it does not end by itself.
ELSEWHERE = {"serve image": "tests/kubeimage/cli/test_looking.py"}
NAMES_OF_THE_STORE = {
    "tag source": "it changes what the store calls an image",
    "tag target": "it changes what the store calls an image",
    "rmi names": "it takes names of the store away",
    "push name": "it names where to send an image of the store",
    "sign names": "what is signed is kept in the store, or sent to a registry",
    "pull name": "it names an image in a registry",
}
IMAGE_WORDS = {"image", "images", "name", "names", "source", "old", "new", "against", "since", "target"}
NO_IMAGES = {
    "load source": "a file", "load sources": "files", "build target": "a stage", "plan target": "a stage",
    "lock target": "a stage",
}  # fmt: skip


def image_parameters() -> Iterator[str]:
    """Yield each parameter of a command whose name or metavar says that it is an image."""
    for name, lazy in COMMANDS.items():
        module, _, attribute = lazy.target.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        for parameter in command.params:
            metavar = str(getattr(parameter, "metavar", "") or "")
            if parameter.name in IMAGE_WORDS or "IMAGE" in metavar.split("|"):
                yield f"{name} {parameter.name}"


def test_each_parameter_that_is_an_image_is_known() -> None:
    known = {**READS, **ELSEWHERE, **NAMES_OF_THE_STORE, **NO_IMAGES}

    assert [one for one in image_parameters() if one not in known] == []
    assert set(READS) - set(image_parameters()) == set()


@pytest.fixture
def archive(run: Run, make_context: MakeContext, tmp_path: Path) -> Path:
    """Save app:v1 as an OCI archive with compressed layers."""
    run("build", "-q", "-t", "app:v1", make_context({"Kubefile": "FROM scratch\nCOPY a etc\nCMD ls\n", "a": "1"}))
    run("save", "app:v1", "-o", tmp_path / "app.tar", "--compression", "gzip")
    return tmp_path / "app.tar"


@pytest.mark.parametrize("parameter", READS)
def test_what_reads_an_image_takes_one_from_elsewhere(parameter: str, archive: Path, run: Run, tmp_path: Path) -> None:
    words = [word.format(f"oci-archive:{archive}", folder=tmp_path) for word in READS[parameter]]
    here = [word.format("app:v1", folder=f"{tmp_path}/here") for word in READS[parameter]]
    (tmp_path / "here").mkdir()

    expected = run(*here).stdout

    assert run(*words).stdout == expected or parameter in {"inspect name", "history name", "inventory image"}


@pytest.mark.parametrize("command", [["tag", "{}", "b:v1"], ["tag", "app:v1", "{}"], ["rmi", "{}"], ["push", "{}"]])
def test_what_changes_names_refuses_an_image_from_elsewhere(command: list[str], archive: Path, run: Run) -> None:
    said = run(*(word.format(f"oci-archive:{archive}") for word in command), status=2).stderr

    assert "which lies elsewhere\nhint: kubeimage load or pull brings it into the store" in said


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_an_image_from_elsewhere_is_saved_in_another_form(form: str, archive: Path, run: Run, tmp_path: Path) -> None:
    run("save", f"oci-archive:{archive}:app:v1", "-o", tmp_path / "other.tar", "--format", form)

    assert run("diff", "app:v1", f"{form}:{tmp_path / 'other.tar'}:app:v1", "--format", "json").stdout == "[]\n"


@pytest.mark.parametrize("name", ["image.tar", "layout"])
def test_a_path_without_its_transport_gets_a_hint(name: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(b"1")
    (tmp_path / "layout").mkdir()

    said = run("ls", str(tmp_path / name), status=2).stderr

    assert f"oci{'-archive' if name.endswith('.tar') else ''}:{tmp_path / name}" in said


def test_df_says_what_the_room_is_for(archive: Path, run: Run, root: Path) -> None:
    found = json.loads(run("df", "--format", "json").stdout)

    assert sum(size for kind, size in found.items() if kind != "total") == found["total"]
    assert found["images"] > 0
    assert run("df").stdout.splitlines()[0].split() == ["WHAT", "SIZE", "BYTES"]
