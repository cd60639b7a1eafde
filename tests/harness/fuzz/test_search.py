"""The search of our own: what reaches a line that nothing reached before is kept, and changed further."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from harness.fuzz.lines import Lines
from harness.fuzz.search import search


class EndError(Exception):
    pass


@pytest.fixture
def nested(tmp_path: Path) -> Callable[..., Any]:
    """A function that only one start of four bytes gets through."""
    path = tmp_path / "nested.py"
    source = """
        def nested(data):
            if data[:1] > b"\\x80":
                if data[1:2] > b"\\x80":
                    if data[2:3] == b"\\0":
                        if data[3:4] == b"\\xff":
                            return True
            return False
        """
    names: dict[str, Any] = {}
    exec(compile(textwrap.dedent(source), str(path), "exec"), names)
    nested: Callable[..., Any] = names["nested"]
    return nested


def test_a_search_gets_through_where_chance_alone_would_not(nested: Callable[..., Any], tmp_path: Path) -> None:
    lines, runs = Lines(str(tmp_path)), 0
    kept: list[Any] = []

    def run(buffer: bytes) -> bytes:
        nonlocal runs
        runs += 1
        with lines.watched():
            found = nested(buffer)
        if found or runs > 20_000:
            raise EndError
        return buffer

    with pytest.raises(EndError):
        search(run, lines, [], kept.append, Random(1))

    assert runs <= 20_000
    assert 3 <= len(kept) <= 5


def test_lines_are_counted_once_and_only_where_it_is_asked_for(nested: Callable[..., Any], tmp_path: Path) -> None:
    lines, elsewhere = Lines(str(tmp_path)), Lines("/nowhere")

    counts = []
    for data in (b"", b"", b"\xff\xff\0\xff"):
        with lines.watched():
            nested(data)
        with elsewhere.watched():
            nested(data)
        counts.append((len(lines.seen), len(elsewhere.seen)))

    assert counts == [(2, 0), (2, 0), (6, 0)]


def test_what_another_worker_kept_is_changed_and_seldom_run_again(nested: Callable[..., Any], tmp_path: Path) -> None:
    lines, others, runs = Lines(str(tmp_path)), [bytes((255, 255, 0, number)) for number in range(100)], list[bytes]()

    def run(buffer: bytes) -> bytes:
        runs.append(buffer)
        with lines.watched():
            nested(buffer)
        if len(runs) == 200:
            raise EndError
        return buffer

    with pytest.raises(EndError):
        search(run, lines, [], lambda _: None, Random(1), news=lambda: [others.pop()] if others else [])

    known = {bytes((255, 255, 0, number)) for number in range(100)}
    assert 2 <= len(known.intersection(runs)) < 40
    assert sum(buffer.startswith(b"\xff\xff\0") for buffer in runs) > 60
