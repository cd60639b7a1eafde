from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.checks.continuity import check_cache_continuity
from harness.checks.failed import CheckError, CheckFailedError
from harness.fakes.stores import MemoryBuildCache
from harness.trees import Content, File, HardLink, Link
from kubeimage.api.backends import Backends
from kubeimage.context import ContextCollector
from kubeimage.layer.entry import Entry, Kind
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.context import Collected, CopyRequest
from tests.harness.checks.conftest import Cases

TEXT = "FROM scratch\nCOPY a etc\nRUN anything\nCOPY b c etc\nCOPY d/* opt\n"
CONTEXT: dict[str, Content] = {
    "a": "1",
    "b": File("2", 0o444),
    "c": HardLink("a"),
    "d/x": "4",
    "d/empty/": None,
    "d/link": Link("x"),
    "unused": "",
}


def test_edits_miss_from_their_first_reader_on(make_case: Cases) -> None:
    check_cache_continuity(make_case(TEXT, CONTEXT, effect=lambda tree: tree.write("made", "")))


def changing_facts(folder: Path) -> dict[Path, tuple[int, ...]]:
    """Return what changes where a file does; when it was read last is for the file system to say."""
    found = {path: path.lstat() for path in folder.rglob("*")}
    return {
        path: (one.st_mode, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for path, one in found.items()
    }


def test_the_context_itself_stays_as_it_is(make_case: Cases, tmp_path: Path) -> None:
    case = make_case(TEXT, CONTEXT, effect=lambda _tree: None)
    before = changing_facts(tmp_path / "app")

    check_cache_continuity(case)

    assert changing_facts(tmp_path / "app") == before
    assert list((tmp_path / "run/scratch").iterdir()) == []


class ForgetfulCache(MemoryBuildCache):
    """A cache that has never anything."""

    def lookup(self, _key: CacheKey) -> None:
        return None


def test_a_cache_that_misses_an_unchanged_step_is_caught(make_case: Cases) -> None:
    def change(backends: Backends) -> Backends:
        return replace(backends, cache=ForgetfulCache(backends.layers))

    with pytest.raises(CheckError, match="built again, nothing changed, this step is not in the cache") as raised:
        check_cache_continuity(make_case(TEXT, CONTEXT, effect=lambda _tree: None, change=change))

    assert raised.value.location is not None
    assert raised.value.location.line == 2


class UmaskCollector(ContextCollector):
    """Takes the umask of whoever made the copy for a part of the file."""

    def collect(self, request: CopyRequest) -> Collected:
        found = super().collect(request)
        return replace(found, entries=[entry._replace(mode=entry.mode & 0o700) for entry in found.entries])


def test_a_key_that_depends_on_more_than_the_content_is_caught(make_case: Cases) -> None:
    def change(backends: Backends) -> Backends:
        return replace(backends, collector=lambda context: kind_for(context)(context))

    def kind_for(context: str) -> type[ContextCollector]:
        return UmaskCollector if context.endswith("/context") else ContextCollector

    with pytest.raises(CheckError, match=r"in a copy .* not in the cache: file etc/a changed") as raised:
        check_cache_continuity(make_case(TEXT, CONTEXT, effect=lambda _tree: None, change=change))

    assert raised.value.location is not None
    assert raised.value.location.line == 2


class TrustingCollector(ContextCollector):
    """Gives the digest that a file had when it was first looked at, as an index that trusts paths would."""

    known: dict[str, tuple[int, bytes]] = {}  # noqa: RUF012 - one for the process, as such an index is

    def with_digests(self, entries: Sequence[Entry]) -> list[Entry]:
        found = list(super().with_digests(entries))
        for number, entry in enumerate(found):
            if entry.kind is Kind.FILE and entry.digest is not None:
                size, digest = self.known.setdefault(str(entry.source), (entry.size, entry.digest))
                found[number] = entry._replace(size=size, digest=digest)
        return found


def test_a_key_that_overlooks_a_change_is_caught(make_case: Cases) -> None:
    def change(backends: Backends) -> Backends:
        return replace(backends, collector=TrustingCollector)

    with pytest.raises(CheckFailedError, match=r"after an edit of a, this step hits the cache") as raised:
        check_cache_continuity(make_case(TEXT, CONTEXT, effect=lambda _tree: None, change=change))

    assert raised.value.location is not None
    assert raised.value.location.line == 2
    assert raised.value.hint == "the first step that reads a is line 2 of app/Kubefile"
    assert raised.value.details[0] == "  line 2: expected a miss, found a hit"
