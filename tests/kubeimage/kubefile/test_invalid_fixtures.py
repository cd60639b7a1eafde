"""Each bad Kubefile of fixtures/invalid gives just the report that stands beside it."""

import pathlib
from pathlib import Path

import pytest

from kubeimage.errors import KubefileError
from kubeimage.kubefile import Mistake, parse
from kubeimage.report import format_error

FOLDER = pathlib.Path(__file__).parents[3] / "fixtures" / "invalid"
KUBEFILES = sorted(FOLDER.glob("*.Kubefile"))
NEED_BUILD_ARGS = {Mistake.UNSET_ARGUMENT, Mistake.LONG_EXPANSION, Mistake.UNKNOWN_APPLICATION}


def error_of(path: pathlib.Path) -> KubefileError:
    with pytest.raises(KubefileError) as caught:
        parse(path.read_bytes(), file=path.name)
    return caught.value


@pytest.mark.parametrize("path", KUBEFILES, ids=lambda path: path.stem)
def test_a_bad_kubefile_gives_the_report_beside_it(path: Path) -> None:
    expected = path.with_suffix(".error").read_text(encoding="utf-8")

    assert format_error(error_of(path)) + "\n" == expected


@pytest.mark.parametrize("path", KUBEFILES, ids=lambda path: path.stem)
def test_every_diagnostic_has_its_place_and_says_what_to_do(path: Path) -> None:
    for diagnostic in error_of(path).diagnostics:
        assert diagnostic.hint
        assert diagnostic.location is not None
        assert diagnostic.location.file == path.name
        assert diagnostic.severity == "error"


def test_the_folder_holds_every_mistake_that_parsing_can_find() -> None:
    found = {diagnostic.code for path in KUBEFILES for diagnostic in error_of(path).diagnostics}

    assert found == {mistake.code for mistake in Mistake} - {mistake.code for mistake in NEED_BUILD_ARGS}


def test_no_report_is_left_without_its_kubefile() -> None:
    assert {path.stem for path in FOLDER.glob("*.error")} == {path.stem for path in KUBEFILES}
    assert len(KUBEFILES) >= 25
