"""The verdicts of the program itself, test by test, by its tar driver, which knows no commands and no owners."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cst.commands import faults_of_results
from harness.cst.judge import judge
from harness.cst.re2 import UntranslatableError
from harness.cst.spec import CommandTest, Spec, name_of, read_spec
from harness.cst.subject import OpenedSubject
from kubeimage import OpenImage, open_backends, open_image
from tests.harness.cst.program import Verdict, verdicts
from tests.harness.cst.table import BAD_FILES, IMAGES, SPECS

# The program reads what it unpacked as the user who runs it, so these are no test of the image where that is not root.
USUAL = "rich"
CLOSED = {"unread.yaml", "layered: lines.yaml"}


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("specs")
    for name, text in {**SPECS, **BAD_FILES}.items():
        (folder / name).write_text(text)
    return {name: folder / name for name in (*SPECS, *BAD_FILES)}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("images")
    return {name: image.write_docker_archive(folder / f"{name}.tar") for name, image in IMAGES.items()}


@pytest.fixture
def opened(archives: dict[str, Path], tmp_path: Path) -> Iterator[dict[str, OpenImage]]:
    with open_backends(str(tmp_path / "store"), access="read") as backends:
        yield {name: open_image(f"docker-archive:{path}", backends) for name, path in archives.items()}


def refuse(_test: CommandTest, _spec: Spec) -> Iterator[str]:
    """What the tar driver says of every command."""
    yield "no commands"


def ours(path: Path, image: OpenImage) -> list[Verdict]:
    spec = read_spec(str(path), path.read_bytes())
    return [(name_of(test), not judge(test, spec, OpenedSubject(image), refuse)) for test in spec.tests]


def is_known(name: str, image: str) -> bool:
    return os.geteuid() == 0 or not CLOSED & {name, f"{image}: {name}"}


@pytest.mark.parametrize("image", IMAGES)
def test_the_verdicts_are_the_program_s(
    image: str,
    request: pytest.FixtureRequest,
    specs: dict[str, Path],
    archives: dict[str, Path],
    opened: dict[str, OpenImage],
) -> None:
    if image != USUAL and request.config.getoption("--hypothesis-profile") != "nightly":
        pytest.skip("the program unpacks an image for each test: by --hypothesis-profile=nightly")
    names = [name for name in SPECS if is_known(name, image)]

    said = verdicts(str(archives[image]), [specs[name] for name in names], "tar")

    expected = [(name, *verdict) for name in names for verdict in ours(specs[name], opened[image])]
    assert [(name, *verdict) for (name, *_), verdict in zip(expected, said, strict=True)] == expected


def test_files_that_the_program_refuses_are_refused(specs: dict[str, Path], archives: dict[str, Path]) -> None:
    said = verdicts(str(archives["plain"]), [specs[name] for name in BAD_FILES], "tar")

    assert said == [("", False)] * len(BAD_FILES)


def test_some_tests_pass_and_some_fail(specs: dict[str, Path], opened: dict[str, OpenImage]) -> None:
    """Or it would compare nothing."""
    seen = {passed for name in SPECS for image in opened.values() for _, passed in ours(specs[name], image)}
    per_image = {
        image: {passed for name in SPECS for _, passed in ours(specs[name], opened[image])} for image in opened
    }

    assert seen == {True, False}
    assert all(found == {True, False} for found in per_image.values())


def test_the_owner_is_the_image_s(opened: dict[str, OpenImage]) -> None:
    """The tar driver has none, the docker driver has the layer's."""
    spec = read_spec(
        "a.yaml",
        b"schemaVersion: 2.0.0\nfileExistenceTests:\n"
        b"- {name: a, path: /multi, uid: 0, gid: 0}\n- {name: b, path: /multi, uid: 7}\n- {name: c, path: /, gid: 1}\n",
    )
    found = [judge(test, spec, OpenedSubject(opened["plain"]), refuse) for test in spec.tests]

    assert found == [[], ["/multi belongs to the user 0, and not to 7"], ["/ belongs to the group 0, and not to 1"]]


def test_a_pattern_that_cannot_be_judged_is_no_verdict(opened: dict[str, OpenImage]) -> None:
    spec = read_spec(
        "a.yaml",
        rb"""{"schemaVersion": 2.0.0, fileContentTests: [{name: a, path: /multi, expectedContents: ['\p{Greek}']}]}""",
    )
    with pytest.raises(UntranslatableError, match="Greek"):
        judge(spec.tests[0], spec, OpenedSubject(opened["plain"]), refuse)


def test_how_programs_went_is_judged_by_the_last() -> None:
    from kubeimage import RunResult

    test = CommandTest("a", ("x",), setup=(("y",),), exit_code=137)

    def faults(*results: RunResult) -> list[str]:
        return list(faults_of_results(test, results))

    fine = RunResult(0, b"", b"", {})
    assert faults(fine, RunResult(-9, b"", b"", {})) == []
    assert faults(fine, fine) == ["it ended with exit code 0, and not with 137"]
    assert "a setup command could not be started" in faults(RunResult(127, b"", b"", {}, unstarted="No such file"))[0]
    assert faults(fine, RunResult(-9, b"", b"", {}, timed_out=True)) == ["it took too long, and was stopped"]
