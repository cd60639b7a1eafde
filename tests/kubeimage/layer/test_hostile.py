"""Tars made to do harm, put over a tree full of symlinks: an error of ours, and nothing outside is touched."""

import io
import os
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeimage.disk.removal import remove_tree
from kubeimage.errors import KubeimageError
from kubeimage.layer.apply import apply_changeset, unpack_snapshot

OUTSIDE = {"kept": b"kept", "closed/kept": b"kept too"}
# What stands in the root before, and where it leads: into a folder beside the root, to itself, to the whole system.
LINKS = {"out": "../outside", "up": "..", "self": ".", "system": "/", "d/out": "../../outside", "chain": "out/closed"}

NAMES = [
    *LINKS,
    *(f"{link}/kept" for link in LINKS),
    *(f"{link}/.wh.kept" for link in LINKS),
    *(f"{link}/.wh..wh..opq" for link in LINKS),
    *(f".wh.{link}" for link in ("out", "up", "self")),
    "chain/new/deep",
    "up/outside/kept",
    "self/self/out/kept",
    "d",
    "d/.wh.out",
    ".wh..wh..opq",
    "./out",
    "out/",
    "../outside/kept",
    "d/../../outside/kept",
    "/etc/kubeimage-test",
    "..",
    ".",
    ".wh...",
    "d/.wh...",
    "x" * 300,
    "deep/" * 60 + "x",
    "new",
    "new/a",
]
TYPES = {
    "file": tarfile.REGTYPE,
    "directory": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "fifo": tarfile.FIFOTYPE,
    "device": tarfile.CHRTYPE,
    "sparse": tarfile.GNUTYPE_SPARSE,
}
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]

members = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(["file"] * 3 + ["directory"] * 2 + ["symlink", "hard link", "fifo", "device", "sparse"]),
    st.sampled_from(["", "kept", "out/kept", "../outside/kept", "/etc/passwd", "new", "d", "x" * 200]),
    st.binary(max_size=20),
    st.dictionaries(
        st.sampled_from(["path", "linkpath", "size", "mtime", "GNU.sparse.name", "SCHILY.xattr.user.a"]),
        st.sampled_from([*NAMES[:12], "-1", "0", "3", "99999999999999999999", "1e9", "\x00"]),
        max_size=1,
    ),
)


Member = tuple[str, str, str, bytes, dict[str, str]]


def pack(entries: list[Member], form: int) -> bytes:
    """Make a tar of what the strategy drew, as Python's tarfile writes it, which asks no questions."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", format=form) as archive:
        for name, kind, target, content, records in entries:
            info = tarfile.TarInfo(name)
            info.type, info.pax_headers = TYPES[kind], records if form == tarfile.PAX_FORMAT else {}
            info.linkname = target if kind in ("symlink", "hard link") else ""
            info.size = len(content) if kind == "file" else 0
            try:
                archive.addfile(info, io.BytesIO(content))
            except ValueError:  # a name that the form cannot hold
                continue
    return layer.getvalue()


def mutate(tar: bytes, changes: list[tuple[int, int]]) -> bytes:
    """Change bytes, and put the checksums of the headers right again."""
    damaged = bytearray(tar)
    for position, value in changes:
        damaged[position % len(damaged)] = value
    for start in range(0, len(damaged) - 511, 512):
        block = damaged[start : start + 512]
        if tar[start + 257 : start + 262] == b"ustar":
            block[148:156] = b" " * 8
            damaged[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    return bytes(damaged)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ground")


def prepare(ground: Path) -> str:
    for name in os.listdir(ground):
        remove_tree(os.path.join(ground, name))
    for name, content in OUTSIDE.items():
        path = ground / "outside" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (ground / "root/d").mkdir(parents=True)
    for name, target in LINKS.items():
        (ground / "root" / name).symlink_to(target)
    return str(ground / "root")


def outside(ground: Path) -> tuple[list[str], dict[str, bytes]]:
    files = [path for path in (ground / "outside").rglob("*") if path.is_file()]
    return sorted(os.listdir(ground)), {str(path.relative_to(ground / "outside")): path.read_bytes() for path in files}


WAYS = {"apply": apply_changeset, "unpack": lambda root, tar: unpack_snapshot(root, tar, userxattr=True)}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=st.lists(members, min_size=1, max_size=5),
    form=st.sampled_from(FORMATS),
    changes=st.lists(st.tuples(st.integers(0, 1 << 14), st.integers(0, 255)), max_size=4),
    way=st.sampled_from(sorted(WAYS)),
    cut=st.just(1.0) | st.floats(0, 1),
)
def test_nothing_outside_is_touched_whatever_a_tar_holds(
    ground: Path,
    entries: list[Member],
    form: int,
    changes: list[tuple[int, int]],
    way: str,
    cut: float,
) -> None:
    root = prepare(ground)
    tar = mutate(pack(entries, form), changes)

    with suppress(KubeimageError):
        WAYS[way](root, io.BytesIO(tar[: int(len(tar) * cut)]))

    assert outside(ground) == (["outside", "root"], OUTSIDE)
    assert not os.path.lexists("/etc/kubeimage-test")
