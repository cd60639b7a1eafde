"""Folders that their owner closed, in each other: a user unpacks, compares, reads and removes as root does."""

import io
import os
import pickle
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.faults.forks import ending_here, fork
from kubeimage.disk.removal import remove_tree
from kubeimage.image.digest import Digest
from kubeimage.layer.apply import apply_changeset
from kubeimage.layer.entry import Entry, canonical_order, directory, file, whiteout
from kubeimage.layer.writer import write_layer
from kubeimage.mount.survey import survey_upper
from kubeimage.store import Store
from tests.faults.test_attacked import NOBODY, become
from tests.properties.examples import examples

# Each lets its owner do less, or something else, than the one before.
MODES = (0o755, 0o700, 0o500, 0o300, 0o200, 0o100, 0)
Modes = tuple[int, int, int]


class Facts(NamedTuple):
    """What a user found. Shape: ``left`` is what stands there after all was removed."""

    layer: Digest
    problems: list[str]
    surveyed: list[tuple[str, int, int]]
    applied_again: list[tuple[str, int, int]]
    left: list[str]


def layer_of(modes: Modes) -> list[Entry]:
    """Three folders in each other, with a closed file in each."""
    entries, path = [], "top"
    for number, mode in enumerate(modes):
        entries += [directory(path, mode), file(f"{path}/f", b"f" * number, 0o400 if mode else 0)]
        path = f"{path}/d"
    return canonical_order(entries)


def facts_of(folder: Path, modes: Modes) -> Facts:
    """Keep the layer, unpack it, check what was unpacked, apply it twice, look for what it changed, remove it all."""
    entries, root = layer_of(modes), folder / "root"
    root.mkdir()
    with Store.open(str(folder / "store")) as store:
        layer = store.layers.put(entries).diff_id
        store.snapshots.path(layer)
        problems = [one.what for one in store.check(repair=False) if one.damage]
        apply_changeset(str(root), tar_of(entries))
        surveyed = shown(survey_upper(str(root), []))
    # What the survey had to open stays open: it is the last to look. So from the beginning, over what is there.
    apply_changeset(str(root), tar_of(entries))
    apply_changeset(str(root), tar_of([directory("top", modes[0]), whiteout("top/d")]))
    again = shown(survey_upper(str(root), []))
    for place in ("store", "root"):
        remove_tree(str(folder / place))
    return Facts(layer, problems, surveyed, again, os.listdir(folder))


def tar_of(entries: list[Entry]) -> io.BytesIO:
    written = io.BytesIO()
    write_layer(entries, written.write)
    written.seek(0)
    return written


def shown(entries: Iterable[Entry]) -> list[tuple[str, int, int]]:
    return [(one.path, one.mode, one.size) for one in entries]


def as_user(user: int, modes: Modes) -> Facts:
    """Find the facts in a process and a folder of a user's own."""
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryFile() as answer:
        os.chown(place, user, user)
        child = fork()
        if child == 0:
            with ending_here():
                become(user)
                os.umask(0o077 if user else 0o022)
                answer.write(pickle.dumps(facts_of(Path(place), modes)))
                answer.flush()
        _, status = os.waitpid(child, 0)
        os.chown(place, os.geteuid(), os.getegid())
        assert status == 0, "what the child said stands above"
        answer.seek(0)
        found: Facts = pickle.loads(answer.read())
        return found


@examples(0.2)
@given(st.tuples(*[st.sampled_from(MODES)] * 3))
@example((0, 0, 0))
@example((0o300, 0o500, 0o100))
def test_a_user_gets_through_what_was_closed(modes: Modes) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else, and compare")
    expected = shown(layer_of(modes))
    wanted = Facts(Digest("0" * 64), [], expected, [one for one in expected if not one[0].startswith("top/d")], [])

    by_root, by_user = as_user(0, modes), as_user(NOBODY, modes)

    assert by_user == by_root
    assert by_root._replace(layer=wanted.layer) == wanted
