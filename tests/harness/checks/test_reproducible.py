from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.checks.failed import CheckFailedError
from harness.checks.reproducible import _compare, _difference, check_reproducible
from harness.fakes.memory_tree import MemoryTree
from harness.trees import Content, File, Folder, HardLink, Link
from kubeimage.layer.entry import file
from tests.harness.checks.conftest import Cases

TEXT = "FROM scratch\nCOPY a etc\nRUN anything\n"


def test_a_project_is_reproducible(make_case: Cases) -> None:
    context: dict[str, Content] = {
        "a/x": "1",
        "a/y": HardLink("a/x"),
        "a/z": Link("x"),
        "a/d": Folder(0o700),
        "a/d/e": File("2", 0o4755),
    }

    check_reproducible(make_case(TEXT, context, effect=lambda tree: tree.write("made", "always the same")))


def fail(make_case: Cases, *effects: Callable[..., Any]) -> CheckFailedError:
    calls = iter(effects)

    def effect(tree: MemoryTree) -> None:
        next(calls)(tree)

    with pytest.raises(CheckFailedError) as raised:
        check_reproducible(make_case(TEXT, {"a": "1"}, effect=effect))
    return raised.value


def test_a_command_that_writes_something_else_each_time_is_named(make_case: Cases) -> None:
    error = fail(make_case, lambda tree: tree.write("stamp", "10:00"), lambda tree: tree.write("stamp", "10:01!"))

    assert error.message.startswith("built twice, two layers: sha256:")
    assert error.location is not None
    assert (error.location.line, error.location.text) == (3, "RUN anything")
    assert error.details == ("  stamp: another content (5 bytes, then 6)",)
    assert error.hint is not None
    assert "the time" in error.hint


@pytest.mark.parametrize(
    ("first", "second", "detail"),
    [
        (lambda tree: tree.write("x", ""), lambda tree: tree.write("x", "", 0o600), "  x: mode 644, then 600"),
        (lambda tree: tree.symlink("a", "x"), lambda tree: tree.symlink("b", "x"), "  x: target 'a', then 'b'"),
        (lambda tree: tree.mkdir("x"), lambda tree: tree.write("x", ""), "  x: a directory, then a file"),
        (lambda tree: tree.mkdir("x"), lambda _tree: None, "  x: only in the first"),
        (lambda _tree: None, lambda tree: tree.mkdir("x"), "  x: only in the second"),
    ],
    ids=["mode", "target", "kind", "nothing at the second", "nothing at the first"],
)
def test_every_kind_of_difference_is_told(
    make_case: Cases, first: Callable[..., Any], second: Callable[..., Any], detail: str
) -> None:
    assert fail(make_case, first, second).details == (detail,)


def test_many_differences_are_cut_short(make_case: Cases) -> None:
    def write_many(tree: MemoryTree) -> None:
        for number in range(20):
            tree.write(str(number), "")

    error = fail(make_case, write_many, lambda _tree: None)

    assert (len(error.details), error.details[-1]) == (9, "  and more")


def test_images_that_differ_in_their_config_alone_show_where(make_case: Cases) -> None:
    case = make_case(TEXT, {"a": "1"}, effect=lambda _tree: None)
    other = replace(case.result, image=replace(case.image.image, created="1970-01-01T00:00:00Z"))

    with case.open() as backends, pytest.raises(CheckFailedError, match="two images with the same layers") as raised:
        _compare(case.result, other, backends.layers, backends.layers)

    assert raised.value.details == ("  created: None, then '1970-01-01T00:00:00Z'",)


def test_nothing_of_the_second_build_stays(make_case: Cases, tmp_path: Path) -> None:
    check_reproducible(make_case(TEXT, {"a": "1"}, effect=lambda _tree: None))

    assert list((tmp_path / "run/scratch").iterdir()) == []


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_another_time_is_told_whichever_is_later(first: int, second: int) -> None:
    one, two = (file("a", b"1")._replace(mtime=mtime) for mtime in (first, second))

    assert _difference(one, two) == f"time {first}, then {second}"
