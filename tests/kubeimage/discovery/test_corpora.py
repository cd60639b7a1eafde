"""Manifests as ten projects publish them: every name is found or listed, and few finds are false."""

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from kubeimage.discovery.finder import find_images
from kubeimage.discovery.findings import Findings
from kubeimage.discovery.references import familiar, parse_image
from kubeimage.discovery.search import Guesses, Search

CORPORA = sorted((Path(__file__).parent / "corpora").glob("*.yaml"))
_HOST = r"(?:[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::[0-9]+)?|localhost(?::[0-9]+)?)"
_REPOSITORY = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
_NAME = re.compile(
    rf"(?<![\w./:@-])({_HOST}/{_REPOSITORY}(?::[A-Za-z0-9_][\w.-]*(?:@sha256:[0-9a-f]{{64}})?|@sha256:[0-9a-f]{{64}}))"
)
"""A name with a registry, and a tag or digest: the rule of thumb of somebody else."""


class Expected(NamedTuple):
    """What a cluster would pull. Shape: ``false`` are guesses that are no images."""

    certain: set[str]
    guesses: set[str]
    false: set[str]


class OneFile:
    """A manifest as all files."""

    def __init__(self, text: str) -> None:
        self._text = text

    def paths(self) -> list[str]:
        return ["manifests/all.yaml"]

    def is_symlink(self, path: str) -> bool:
        del path
        return False

    def size(self, path: str) -> int:
        del path
        return len(self._text.encode())

    def read(self, paths: object) -> Iterator[tuple[str, bytes]]:
        del paths
        yield "manifests/all.yaml", self._text.encode()


def search(path: Path, guesses: Guesses = "pack") -> Findings:
    return find_images(OneFile(path.read_text()), Search(guesses=guesses))


def expected(path: Path) -> Expected:
    lines = path.with_suffix(".expected").read_text().splitlines()
    return Expected(*({line[2:] for line in lines if line[0] == sign} for sign in "=~?"))


def named(findings: Findings, *, certain: bool) -> set[str]:
    guessed = findings.guesses
    return {familiar(image) for image in findings.images if (image not in guessed) is certain}


def names_in(path: Path) -> list[str]:
    return [text.rstrip(".") for text in _NAME.findall(path.read_text())]


def written(name: str) -> str:
    """Return a name of a table as findings have it."""
    return familiar(parse_image(name))


@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.stem)
def test_what_a_cluster_would_pull_is_found_and_nothing_else(path: Path) -> None:
    findings, wanted = search(path), expected(path)

    assert named(findings, certain=True) == {*map(written, wanted.certain)}
    assert named(findings, certain=False) == {*map(written, wanted.guesses | wanted.false)}
    assert (findings.unreadable, findings.warnings) == ((), ())


@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.stem)
def test_each_name_with_a_registry_is_found_or_listed(path: Path) -> None:
    found = search(path)
    names = names_in(path)
    texts = [one.text for one in found.skipped]

    lost = [name for name in names if parse_image(name) not in found.images and not any(name in one for one in texts)]
    assert lost == []


@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.stem)
def test_with_guesses_listed_what_is_certain_alone_is_packed_and_no_name_is_lost(path: Path) -> None:
    findings, wanted = search(path, "list"), expected(path)

    assert named(findings, certain=True) == {*map(written, wanted.certain)}
    assert findings.guesses == frozenset()
    listed = {one.text for one in findings.skipped}
    assert {str(parse_image(name)) for name in wanted.guesses | wanted.false} <= listed


def test_few_finds_are_false() -> None:
    packed = {
        guesses: [familiar(name) for path in CORPORA for name in search(path, guesses).images]
        for guesses in typing.get_args(Guesses)[:2]
    }
    false = {written(name) for path in CORPORA for name in expected(path).false}

    counts = {guesses: (len(names), sum(name in false for name in names)) for guesses, names in packed.items()}

    assert counts == {"pack": (89, 2), "list": (47, 0)}


def test_the_corpora_have_names_enough() -> None:
    assert len(CORPORA) == 10
    assert sum(len(names_in(path)) for path in CORPORA) >= 70
