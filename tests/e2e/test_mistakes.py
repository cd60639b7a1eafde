"""What goes wrong gives one clear message and the right exit status, and leaves nothing behind."""

import os
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.program import Program, snapshot, write

LIMIT = 128


class Mistake(NamedTuple):
    """A Kubefile that must not build."""

    kubefile: bytes
    status: int
    code: str
    message: str


MISTAKES = {
    "empty file": Mistake(b"", 2, "E0204", "FROM"),
    "only comments": Mistake(b"# nothing\n", 2, "E0204", "FROM"),
    "only CMD": Mistake(b"CMD echo\n", 2, "E0204", "FROM"),
    "second FROM": Mistake(b"FROM scratch\nCOPY a .\nFROM scratch\n", 2, "E0205", "Kubefile:3:1"),
    "COPY with one name": Mistake(b"FROM scratch\nCOPY a\n", 2, "E0203", "Kubefile:2:1"),
    "misspelt instruction": Mistake(b"FORM scratch\n", 2, "E0201", "did you mean FROM?"),
    "a line of 1 MiB": Mistake(b"FROM scratch\nBOGUS " + b"x" * 2**20 + b"\n", 2, "E0201", "Kubefile:2:1"),
    "NUL": Mistake(b"FROM scratch\nCMD a\0b\n", 2, "E0241", "Kubefile:2:6"),
    "not UTF-8": Mistake(b"FROM scratch\nCMD \xff\n", 2, "E0240", "Kubefile:2:5"),
    "source that is not there": Mistake(b"FROM scratch\nCOPY Kubefil etc\n", 1, "E0302", "Kubefile"),
    "base that is not there": Mistake(b"FROM nothere:v1\nCOPY a .\n", 1, "E0402", "nothere:v1"),
    "RUN that fails": Mistake(b"FROM scratch\nRUN echo reason; exit 7\n", 1, "E0710", "reason"),
}


def build_fails(program: Program, context: Path, *options: str, status: int) -> str:
    """Build in vain, and give what a person reads of it."""
    before = snapshot(program.root)

    ended = program.run("build", "-t", "bad:v1", "--progress=plain", *options, str(context), status=status)

    assert snapshot(program.root) == before
    assert ended.stderr.count("error[E") == 1
    return ended.stderr


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_bad_kubefile_is_explained_and_changes_nothing(mistake: Mistake, based: Program) -> None:
    context = based.folder / "context"
    context.mkdir()
    (context / "Kubefile").write_bytes(mistake.kubefile)

    stderr = build_fails(based, context, "--pull=never", status=mistake.status)

    assert f"error[{mistake.code}]" in stderr
    assert mistake.message in stderr
    assert len(stderr) < 4000


def test_a_folder_is_no_kubefile(based: Program) -> None:
    context = write(based.folder / "context", {"Kubefile/file": ""})

    assert "is a folder" in build_fails(based, context, status=2)


def test_a_context_that_is_not_there_is_wrong_usage(based: Program) -> None:
    assert "does not exist" in build_fails(based, based.folder / "nowhere", status=2)


def test_a_context_without_a_kubefile_is_wrong_usage(based: Program) -> None:
    context = write(based.folder / "context", {"file": ""})

    assert "no Kubefile in" in build_fails(based, context, status=2)


def test_an_undeclared_build_argument_is_answered_with_the_declared_ones(based: Program, projects: Path) -> None:
    stderr = build_fails(based, projects / "templated", "--build-arg", "VERSOIN=1", status=2)

    assert "did you mean VERSION?" in stderr


def test_a_root_below_a_file_is_an_error_of_the_store(kubeimage: Program, projects: Path) -> None:
    write(kubeimage.folder, {"file": ""})
    program = kubeimage.with_root(kubeimage.folder / "file/store")

    stderr = build_fails(program, projects / "rootfs", status=1)

    assert "error[E0502]" in stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unwritable for root")
def test_a_root_without_permission_is_an_error_of_the_store(kubeimage: Program, projects: Path) -> None:
    closed = kubeimage.folder / "closed"
    closed.mkdir(mode=0o555)

    stderr = build_fails(kubeimage.with_root(closed / "store"), projects / "rootfs", status=1)

    assert "error[E0502]" in stderr


def many_copies(folder: Path, count: int) -> Path:
    """Write a project of ``count`` COPY instructions, each of a file of its own."""
    names = [f"{number:03}.yaml" for number in range(count)]
    lines = ["FROM scratch", *(f"COPY {name} manifests" for name in names)]
    return write(folder, {"Kubefile": "\n".join(lines) + "\n", **{name: name for name in names}})


def test_as_many_layers_as_an_image_may_have(kubeimage: Program) -> None:
    kubeimage.build("deep:v1", many_copies(kubeimage.folder / "context", LIMIT))

    assert len(kubeimage.inspect("deep:v1")["spec"]["layers"]) == LIMIT
    assert len(list((kubeimage.export("deep:v1") / "manifests").iterdir())) == LIMIT


def test_one_layer_more_fails_before_anything_is_written(kubeimage: Program) -> None:
    context = many_copies(kubeimage.folder / "context", LIMIT + 1)

    stderr = build_fails(kubeimage, context, status=2)

    assert "error[E0401]" in stderr
    assert f"Kubefile:{LIMIT + 2}:1" in stderr
    assert not kubeimage.root.exists()


def test_the_layers_of_the_base_count(kubeimage: Program) -> None:
    kubeimage.build("deep:v1", many_copies(kubeimage.folder / "deep", LIMIT))
    context = write(kubeimage.folder / "context", {"Kubefile": "FROM deep:v1\nCOPY Kubefile .\n"})

    stderr = build_fails(kubeimage, context, status=2)

    assert f"{LIMIT} of the base deep:v1, 1 of COPY, 0 of RUN" in stderr
