"""Every file of the corpora is tried in each run: buffers as starts for a search, and what failed once."""

from pathlib import Path

import pytest

from harness.fuzz.corpus import Corpus, read_file
from harness.fuzz.runner import Runner
from harness.fuzz.target import NAMES, find_target

CORPUS = Path(__file__).parents[3] / "fixtures/corpus"
CRASHES = [(name, path) for name in NAMES for path in Corpus(str(CORPUS / name)).crashes()]


@pytest.mark.parametrize("name", NAMES)
def test_the_buffers_of_a_corpus_find_nothing(name: str) -> None:
    runner = Runner(find_target(name))
    buffers = [read_file(path) for path in Corpus(str(CORPUS / name)).seeds()]

    cases = [runner.run(buffer) for buffer in buffers]

    assert len(cases) > 10
    assert None not in cases


@pytest.mark.parametrize(("name", "path"), CRASHES, ids=[f"{name}/{Path(path).name}" for name, path in CRASHES])
def test_what_failed_once_holds(name: str, path: str) -> None:
    target = find_target(name)

    target.check(target.load(read_file(path)))


def test_a_corpus_is_small() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]

    assert len(files) < 200
    assert sum(path.stat().st_size for path in files) < 200_000
