"""The plug is pulled: whatever the disk has kept of a command's writes, nothing that was there before is lost."""

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import settings

from harness.faults.powercuts import Model, PowerCut, power_cuts
from harness.faults.recording import ROOT, Disk, record
from kubeimage.errors import KubeimageError
from tests.faults.commands import COMMANDS, CUT_ONLY, FIRST_BUILD, Bench, Names, damage
from tests.oneshot import check_store
from tests.renewing import Entry

# Nothing is promised of an unpacked folder: whoever wants it on the disk calls sync.
RECORDED = {name: run for name, run in (COMMANDS | CUT_ONLY).items() if name != "export"}
# They begin in a store in which something is lost already.
DAMAGED = ("repair", "repair of a lost index")
NOW = time.time_ns()
"""When all files were changed last that have no mark. Units: nanoseconds."""
MODELS: tuple[Model, ...] = ("posix", "journal")
LARGE = ("build", FIRST_BUILD, "build on what was left", "load", "pull")


def limit_for(command: str, model: Model) -> int:
    """Return how many states of a command in a model are tried; a journal's states are some of those of POSIX."""
    is_nightly = settings.default is not None and settings.default.max_examples >= 1_000
    if is_nightly or os.environ.get("KUBEIMAGE_STRESS") == "full":
        return 10_000 if model == "posix" else 2_500
    return 16 if command in LARGE else 6


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("command", RECORDED)
def test_no_power_cut_loses_what_was_there(
    bench: Bench, command: str, model: Model, record_property: Callable[[str, object], None]
) -> None:
    before, after = bench.names_around(command)
    place = bench.fresh(command)
    recording = record(place, lambda: RECORDED[command](place))

    tried = 0
    for cut in power_cuts(recording, model=model, limit=limit_for(command, model)):
        tried += 1
        bench.lay_out(entries_of(cut.disk))
        problems = list(judged(bench, command, cut, place, before, after))
        assert problems == [], f"{model}: {cut}"
    record_property("states", tried)
    assert tried > 5


def judged(bench: Bench, command: str, cut: PowerCut, place: Path, before: Names, after: Names) -> Iterator[str]:
    """Say what is wrong with a state: it is as before or as after, and the command works on it, if need be mended."""
    if command not in DAMAGED:
        yield from (f"an image has lost {blob}" for blob in lost_blobs(place / "store"))
    found = bench.names_of(place)
    if found not in ([after] if cut.is_done else [before, after]):
        yield f"the images are {found}"
    if command.endswith("--split"):
        yield from half_split(cut, place / "out" / "parts")
    elif command.startswith("save"):
        yield from half_saved(cut, place / "out" / "saved.tar")
    again = repeated(command, place)
    if again != bench.expected(command):
        yield f"the next time it comes to {again}"
    yield from bench.once(damaged, place)


def entries_of(disk: Disk) -> Mapping[str, Entry]:
    """Return what is at each path of a disk, folders first."""
    entries: dict[str, Entry] = {}
    found: dict[int, str] = {}
    waiting = [("", ROOT)]
    while waiting:
        folder, number = waiting.pop()
        for name, child in disk.names.get(number, {}).items():
            kind, path = disk.kinds[child], folder + name
            content = os.fsencode(kind.target) if kind.target else disk.contents.get(child, b"")
            entries[path] = Entry(kind.mode, 0 if kind.marked else NOW, content, found.get(child, ""))
            if stat.S_ISDIR(kind.mode):
                waiting.append((f"{path}/", child))
            else:
                found[child] = path
    return entries


def repeated(command: str, place: Path) -> object:
    """Run a command once more; where it finds the store damaged, mend that first."""
    try:
        return RECORDED[command](place)
    except KubeimageError:
        check_store(str(place / "store"), repair=True)
        return RECORDED[command](place)


def damaged(place: Path) -> Iterator[str]:
    """Say what is damaged, though nobody asked fsck before the last command; a cache may be, until it is mended."""
    store = str(place / "store")
    found = [one for one in check_store(store) if one.damage]
    yield from (str(one) for one in found if f"{store}/cache/" not in one.where)
    if found:
        check_store(store, repair=True)
        yield from damage(place)


def lost_blobs(store: Path) -> Iterator[str]:
    """Return the blobs that an image on the list needs, and that are not whole; it trusts nothing of kubeimage."""
    index = store / "index.json"
    wanted = json.loads(index.read_text())["manifests"] if index.exists() else []
    while wanted:
        digest = wanted.pop()["digest"].removeprefix("sha256:")
        blob = store / "blobs/sha256" / digest
        content = blob.read_bytes() if blob.exists() else b""
        if _hex(content) != digest:
            yield digest
        elif content.startswith(b"{"):
            document = json.loads(content)
            wanted += [*document.get("manifests", []), *document.get("layers", [])]
            wanted += [document["config"]] if "digest" in document.get("config", {}) else []


@lru_cache(maxsize=1_000)
def _hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def half_split(cut: PowerCut, folder: Path) -> Iterator[str]:
    """Say whether some parts are there and not all, or none though the command had ended."""
    found = [(one.name, one.read_bytes()) for one in sorted(folder.iterdir())] if folder.exists() else None
    if found not in ([cut.recording.result] if cut.is_done else [None, cut.recording.result]):
        yield f"of the parts there are {[name for name, _ in found or []]}"


def half_saved(cut: PowerCut, archive: Path) -> Iterator[str]:
    """Say whether an archive is there that is not whole, or is not there though the command had ended."""
    assert isinstance(cut.recording.result, tuple)
    whole = cut.recording.result[1]
    if archive.exists() and archive.read_bytes() != whole:
        yield f"{archive.name} has {archive.stat().st_size} of {len(whole)} bytes"
    if cut.is_done and not archive.exists():
        yield f"there is no {archive.name}"
