"""Layers as other tools write them: each is taken and can be used, or is refused when it arrives, with its name."""

import io
import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.contracts import APP
from kubeimage.errors import LayerError
from kubeimage.image.media_types import Compression
from kubeimage.layer.apply import apply_changeset, unpack_snapshot
from kubeimage.layer.reader import iter_entries
from kubeimage.store import Store, unpacking
from kubeimage.store.unpacking import PassingTar
from tests.kubeimage.store.foreign import make_foreign, pack, tar_of
from tests.kubeimage.store.test_arrivals import bring

Member = tuple[str, bytes, str]
"""A member's name, its type, and its content or target."""


def tar_from(*members: Member, end: int = 10240) -> bytes:
    """Make a tar as Python does, which asks no questions, with up to ``end`` bytes after the last entry."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
            info.linkname = text if kind in (tarfile.LNKTYPE, tarfile.SYMTYPE) else ""
            content = text.encode() if kind in (tarfile.REGTYPE, tarfile.CONTTYPE) else b""
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        stop = archive.offset + end
    return stream.getvalue()[:stop]


FILE, FOLDER, LINK, DEVICE = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE
BASE = tar_from(("etc/", FOLDER, ""), ("etc/x", FILE, "1"))

TAKEN = {
    "names that start with /": (tar_from(("/usr/", FOLDER, ""), ("/usr/py", FILE, "p")), {"usr/py": b"p"}),
    "an entry for /": (tar_from(("/", FOLDER, ""), ("f", FILE, "1")), {"f": b"1"}),
    "doubled slashes": (tar_from(("a//b/", FOLDER, ""), ("a//b/./f", FILE, "1")), {"a/b/f": b"1"}),
    "an absolute hard link": (tar_from(("/a", FILE, "1"), ("/b", LINK, "/a")), {"a": b"1", "b": b"1"}),
    "an absolute whiteout": (tar_from(("/etc/.wh.x", FILE, "")), {}),
    "no blocks at the end": (tar_from(("f", FILE, "1"), end=0), {"f": b"1"}),
    "one block at the end": (tar_from(("f", FILE, "1"), end=512), {"f": b"1"}),
    "no bytes": (b"", {}),
    "a contiguous file": (tar_from(("f", tarfile.CONTTYPE, "1")), {"f": b"1"}),
    "devices": (tar_from(("dev/null", DEVICE, ""), ("dev/sda", tarfile.BLKTYPE, "")), {}),
    "a device over a file": (tar_from(("etc/x", DEVICE, "")), {}),
}


@pytest.mark.parametrize("kind", ["none", "gzip"])
@pytest.mark.parametrize(("tar", "files"), TAKEN.values(), ids=TAKEN)
def test_what_other_tools_take_can_be_used(
    store: Store, tmp_path: Path, kind: Compression, tar: bytes, files: dict[str, bytes]
) -> None:
    bring(store, make_foreign(BASE, tar, kind=kind))
    image = store.images.get(APP)
    assert image is not None

    (tmp_path / "out").mkdir()
    for layer in image.layers:
        with store.layers.open(layer.diff_id) as opened:
            apply_changeset(str(tmp_path / "out"), opened)

    below = {} if tar in (TAKEN["an absolute whiteout"][0], TAKEN["a device over a file"][0]) else {"etc/x": b"1"}
    assert files_in(tmp_path / "out") == files | below
    assert all(os.path.isdir(store.snapshots.path(layer.diff_id)) for layer in image.layers)
    assert store.check() == []


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the content of all that is no folder."""
    found = [path for path in folder.rglob("*") if not path.is_dir()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


LATIN = bytearray(tar_of({"Raxz": b""}))
LATIN[2] = 0xED
LATIN[148:156] = b" " * 8
LATIN[148:156] = b"%06o\0 " % sum(LATIN[:512])

REFUSED = {
    "a sparse file": (tar_from(("s", tarfile.GNUTYPE_SPARSE, "")), "'s' is a sparse file"),
    "a hard link to what comes later": (tar_from(("b", LINK, "z"), ("z", FILE, "1")), "'b' leads to 'z'"),
    "a name that is not UTF-8": (bytes(LATIN), "names are UTF-8"),
    "a path twice": (tar_from(("a", FILE, "1"), ("a", FILE, "2")), "'a' is in the layer twice"),
    "above the root": (tar_from(("../x", FILE, "1")), r"'\.\./x'"),
    "leftovers of aufs": (tar_from((".wh..wh.plnk", FOLDER, "")), "plnk"),
    "a whiteout with content": (tar_from(("d/.wh.x", FILE, "1")), r"d/\.wh\.x"),
    "junk behind the end": (tar_from(("f", FILE, "1")) + b"junk" * 300, "goes on"),
    "text": (b"hello world" * 100, "at byte 0"),
    "less than a header": (b"hello", "no tar"),
    "cut off": (tar_from(("f", FILE, "x" * 2000), end=-1024), "truncated"),
}


@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
@pytest.mark.parametrize(("tar", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_no_command_could_use_is_refused_when_it_arrives(
    store: Store, blob_path: Callable[..., Path], kind: Compression, tar: bytes, expected: str
) -> None:
    foreign = make_foreign(BASE, tar, kind=kind)

    with pytest.raises(LayerError, match=f"the layer {foreign.layers[1].digest}: .*{expected}"):
        bring(store, foreign)

    assert store.images.records() == []
    assert not blob_path(foreign.layers[1].digest).exists()


def test_a_compressed_stream_that_is_called_a_tar_is_refused_with_the_reason(store: Store) -> None:
    packed = pack(BASE, "gzip")

    with pytest.raises(LayerError, match=r"compressed with gzip, and its media type says that it is a tar") as caught:
        bring(store, make_foreign(packed, kind="none"))

    assert "fsck" not in (caught.value.hint or "")


@pytest.mark.parametrize("kind", ["none", "gzip"])
def test_fsck_says_so_of_what_an_earlier_version_has_taken_in(
    store: Store, monkeypatch: pytest.MonkeyPatch, kind: Compression
) -> None:
    foreign = make_foreign(BASE, REFUSED["a path twice"][0], kind=kind)
    with monkeypatch.context() as earlier:
        earlier.setattr(unpacking, "why_unusable", lambda _tar: None)
        bring(store, foreign)

    (found,) = store.check()

    assert (found.damage, found.repaired) == (True, False)
    for part in (str(APP), str(foreign.layers[1].digest), "'a' is in the layer"):
        assert part in found.what
    assert "rmi" in found.advice
    assert store.check(repair=True)[0].repaired is False
    assert len(store.images.records()) == 1


def outcome(use: Callable[[], object]) -> type[Any] | None:
    try:
        use()
    except LayerError as error:
        return type(error)
    return None


members = st.tuples(
    st.sampled_from(["a", "/a", "./a", "a/", "a//b", "d/", "/", "d/.wh.a", "/d/b", "../a", ".wh.d", "é" * 60]),
    st.sampled_from([FILE, FOLDER, LINK, DEVICE, tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE]),
    st.sampled_from(["", "a", "/a", "d/b", "x" * 600]),
)


@settings(deadline=None)
@given(st.lists(members, max_size=4), st.integers(-1024, 1024), st.lists(st.integers(1, 900), max_size=5))
def test_what_is_judged_while_it_passes_is_what_commands_find(
    tmp_path_factory: pytest.TempPathFactory, entries: Sequence[Member], end: int, cuts: Sequence[int]
) -> None:
    tar = tar_from(*entries, end=end)
    folder = tmp_path_factory.mktemp("roots")

    expected = outcome(lambda: list(iter_entries(io.BytesIO(tar))))

    passing = PassingTar(iter(pieces(tar, cuts)))
    assert outcome(lambda: list(iter_entries(passing))) == expected  # type: ignore[arg-type]
    assert passing.finish() == PassingTar(iter([tar])).finish()
    assert PassingTar(iter(pieces(tar, cuts))).read() == tar
    for name, use in (("apply", apply_changeset), ("unpack", unpack_for_users)):
        (folder / name).mkdir()
        assert outcome(lambda root=str(folder / name), use=use: use(root, io.BytesIO(tar))) == expected  # type: ignore[misc]


def unpack_for_users(root: str, tar: io.BytesIO) -> None:
    unpack_snapshot(root, tar, userxattr=True)


def pieces(tar: bytes, cuts: Sequence[int]) -> list[bytes]:
    found = []
    for cut in cuts:
        found.append(tar[:cut])
        tar = tar[cut:]
    return [*found, tar]
