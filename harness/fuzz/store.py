"""The store: any document of it damaged, and every command on what is left; each does its work or says why not."""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from click.testing import CliRunner, Result
from hypothesis import strategies as st

from harness.fuzz.corpus import read_file
from harness.fuzz.damage import DOCUMENTS, GONE, Changed, Damage, DamagedStore, Key, Written
from harness.fuzz.target import Target
from harness.fuzz.written import Names, read_tuple
from harness.trees import Content, File, write_tree
from kubeimage.cli import program

Case = tuple[Damage, ...]

_CONTEXT: dict[str, Content] = {
    "Kubefile": "FROM base:1\nARG A=1\nCOPY a etc\nCMD x\n",
    "a": "a",
    "base/Kubefile": "FROM scratch\nCOPY b .\n",
    "base/b": "b",
}
_MADE_BY = (
    "build --pull never -t base:1 CONTEXT/base",
    "build --pull never -t top:1 --label a=b CONTEXT",
    "build --pull never -t many:1 --platform linux/amd64,linux/arm64 CONTEXT/base",
    "save --compression gzip top:1 -o FILE",
    "save top:1 -o ARCHIVES/top.tar",
    "save many:1 -o ARCHIVES/many.tar",
)
_LISTS = ("index", "layout", "version")
"""Documents that do not come again with an image."""
# What works in a store that fsck calls sound, for each image that it has.
_READING = ("inspect", "inspect --format yaml", "history", "save --compression gzip -o FILE", "export -o FOLDER")
_OTHERS = (
    "build --pull never -t new:1 CONTEXT", "tag top:1 other:1", "diff top:1 base:1", "rmi base:1", "prune", "images",
)  # fmt: skip
_AGAIN = ("load -i ARCHIVES/top.tar", "load -i ARCHIVES/many.tar")
# Units: seconds. Clocks of file systems are coarser than a build is fast.
_A_TICK = 0.1


def check(case: Case) -> None:
    """Damage a store, and run every command on it.

    Raises: AssertionError.
    """
    with tempfile.TemporaryDirectory(prefix="kubeimage-fuzz-") as folder:
        write_tree(folder, {"context/" + path: content for path, content in _CONTEXT.items()})
        write_tree(folder, _whole_store())
        for damage in sorted(case, key=lambda one: DOCUMENTS.index(one.document)):
            DamagedStore(os.path.join(folder, "store")).damage(damage)
        is_sound = _run(folder, "fsck").exit_code == 0
        names = _run(folder, "images").output
        for command in _READING:
            done = _run(folder, f"{command} top:1")
            assert done.exit_code == 0 or not is_sound or "top" not in names, (
                f"{command} in a sound store\n{done.output}"
            )
        for command in _OTHERS:
            _run(folder, command)
        for command in _AGAIN:
            done = _run(folder, command)
            assert done.exit_code == 0 or any(one.document in _LISTS for one in case), f"{command}\n{done.output}"
        if _run(folder, "fsck --repair").exit_code == 0:
            again = _run(folder, "fsck")
            assert again.exit_code == 0, f"all was repaired, and then there was\n{again.output}"


def _run(folder: str, command: str) -> Result:
    """Run a command: it does its work, or fails with one of kubeimage's errors."""
    for word, name in (("CONTEXT", "context"), ("FILE", "image.tar"), ("FOLDER", "out"), ("ARCHIVES", "archives")):
        command = command.replace(word, os.path.join(folder, name))
    arguments = ["--debug", "--root", os.path.join(folder, "store"), *command.split()]
    result = CliRunner().invoke(program, arguments, env={"XDG_CONFIG_HOME": folder})
    if result.exit_code == 128 + signal.SIGINT:
        # Ctrl-C, which a command makes its exit status.
        raise KeyboardInterrupt
    assert result.exit_code in {0, 1, 2}, f"{command}: exit status {result.exit_code}\n{result.output}"
    # The last one, for a traceback above it may quote others. E0001 is what has no error of its own.
    codes = re.findall(r"^error\[(E\d+)\]", result.output, re.MULTILINE)
    assert codes[-1:] != ["E0001"], f"{command}\n{result.output}"
    return result


@cache
def _whole_store() -> dict[str, Content]:
    """Return a store with images, a cache and a compressed layer, and archives to load, as a tree."""
    with tempfile.TemporaryDirectory(prefix="kubeimage-fuzz-") as folder:
        write_tree(folder, {"context/" + path: content for path, content in _CONTEXT.items()})
        # What was written just now is not remembered in a stat index.
        time.sleep(_A_TICK)
        os.mkdir(os.path.join(folder, "archives"))
        for command in _MADE_BY:
            _run(folder, command)
        tree: dict[str, Content] = {}
        for part in ("store", "archives"):
            for place, folders, files in os.walk(os.path.join(folder, part)):
                tree |= {os.path.relpath(os.path.join(place, name), folder): None for name in folders}
                for name in files:
                    path = os.path.join(place, name)
                    tree[os.path.relpath(path, folder)] = File(read_file(path))
        return tree


# What JSON can hold in a place where something else is expected.
_VALUES: tuple[Any, ...] = (
    GONE, None, True, 0, -1, 1.5, 10**30, "", "a", "..", "/", "a/b:c", "sha256:" + "0" * 64, "sha256:x", "a\nb",
    "\ud800", "\0", "x" * 5_000, [], {}, [None], ["a", "a"], [[]], {"": ""}, {"a": None}, {"type": "COPY"},
)  # fmt: skip
_BYTES = (
    b"", b"{}", b"[]", b"null", b"\xff", b"{", b"NaN", b"0", b"\0", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5_000,
    b'{"a":1e999}', b'{"manifests":[{}]}', b'{"manifests":[], "manifests":{}}', b"\xef\xbb\xbf{}", b'"\\ud800"',
    b"\n",
)  # fmt: skip
_JSON = ("config", "manifest", "image index", "index", "variant", "layout", "version")
# As often as there is something in them to be changed.
_WEIGHTS = ("config",) * 8 + ("manifest",) * 4 + ("image index",) * 2 + ("index",) * 4 + _JSON[4:]


@st.composite
def _changes(draw: st.DrawFn) -> Changed:
    document = draw(st.sampled_from(_WEIGHTS))
    path = draw(st.sampled_from(_known_paths()[document]))
    return Changed(document, path, draw(st.sampled_from(_VALUES)))


@st.composite
def _rewritings(draw: st.DrawFn) -> Written:
    document = draw(st.sampled_from(DOCUMENTS))
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return Written(document, draw(st.sampled_from((*_BYTES, None))))
    data = _known_documents()[document]
    at = draw(st.integers(0, len(data)))
    added = draw(st.binary(max_size=3)) if kind > 1 else b""
    return Written(document, data[:at] + added + (data[at + len(added) :] if kind > 2 else b""))


@cache
def _known_documents() -> Mapping[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="kubeimage-fuzz-") as folder:
        write_tree(folder, _whole_store())
        paths = {name: DamagedStore(os.path.join(folder, "store")).path(name) for name in DOCUMENTS}
        return {name: read_file(path) if path else b"" for name, path in paths.items()}


@cache
def _known_paths() -> Mapping[str, list[tuple[Key, ...]]]:
    return {name: list(_paths(json.loads(_known_documents()[name]))) for name in _JSON}


def _paths(value: Any) -> Iterator[tuple[Key, ...]]:
    yield ()
    keys: Any = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield from ((key, *path) for path in _paths(value[key]))


_NAMES: Names = {"Written": Written, "Changed": Changed}


TARGET = Target(
    "store",
    st.lists(_changes() | _rewritings(), min_size=1, max_size=3).map(tuple),
    check,
    dump=lambda case: repr(case).encode(),
    load=lambda data: read_tuple(data, _NAMES, Written | Changed),
)
