"""A store that an earlier version wrote is opened, used and checked: its images stay, and nothing in it is damage."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.trees import write_tree
from kubeimage import (
    Backends,
    BuildOptions,
    Reference,
    build_image,
    check_store,
    export_image,
    list_images,
    open_backends,
    parse,
    prune_store,
    remove_images,
    tag_image,
)

ARCHIVES = sorted(Path("fixtures/stores").absolute().glob("*.tar.xz"))
BASE_ID = "sha256:77cb07a781fb78f141c0aa75a5cb77523b038b445b5d808215af82aacc49f5d8"
APP_ID = "sha256:e1ebdcbd79dfbc04dda85f528404f1463b4a481608dda7e8cf45e5541d55714f"
NAMES = {"base:v1": BASE_ID, "app:v1": APP_ID, "app:stable": APP_ID}


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    with tarfile.open(request.param) as archive:
        # Ours, and not every Python 3.11 has filters.
        archive.extraction_filter = lambda member, _: member
        archive.extractall(tmp_path / "store")
    return str(tmp_path / "store")


@pytest.fixture
def backends(root: str) -> Iterator[Backends]:
    with open_backends(root, access="write", mount="copy", isolation="none") as backends:
        yield backends


def names(backends: Backends) -> dict[str, str]:
    return {one.reference.familiar(): str(one.image_id) for one in backends.images.records() if one.reference}


def damage(backends: Backends) -> list[str]:
    return [str(one) for one in check_store(backends) if one.damage]


def test_there_are_ten_of_them() -> None:
    assert len(ARCHIVES) >= 10


def test_its_images_are_there_and_nothing_is_damaged(backends: Backends) -> None:
    assert names(backends) == NAMES
    assert damage(backends) == []


def test_an_image_comes_out_as_it_was(backends: Backends, tmp_path: Path) -> None:
    export_image("app:v1", str(tmp_path / "out"), backends)

    out = tmp_path / "out"
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*")) == ["bin", "bin/tool", "etc", "made"]
    assert ((out / "bin/tool").read_text(), (out / "made").read_text()) == ("#!/bin/sh\n", "1\n")


def test_images_are_built_on_it_named_and_removed(backends: Backends, tmp_path: Path) -> None:
    write_tree(str(tmp_path / "context"), {"new": "1"})
    options = BuildOptions(references=(Reference.parse("next:v1"),))

    built = build_image(parse("FROM app:v1\nCOPY new ."), str(tmp_path / "context"), backends, options=options)
    tag_image("next:v1", "next:stable", backends)
    remove_images(["app:stable"], backends)
    prune_store(backends)

    expected = {
        "base:v1": BASE_ID,
        "app:v1": APP_ID,
        "next:v1": str(built.image.id),
        "next:stable": str(built.image.id),
    }
    assert names(backends) == expected
    assert damage(backends) == []


def test_it_is_only_looked_at_without_a_change(root: str) -> None:
    before = {path: path.lstat().st_mtime_ns for path in Path(root).rglob("*")}

    with open_backends(root, access="look") as backends:
        found = [one.reference for one in list_images(backends)]

    assert len(found) == len(NAMES)
    assert {path: path.lstat().st_mtime_ns for path in Path(root).rglob("*")} == before
