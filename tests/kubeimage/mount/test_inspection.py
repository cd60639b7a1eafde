"""Files on disk as entries."""

import os
import struct
import subprocess
from pathlib import Path

import pytest

from kubeimage.errors import UnsupportedSourceError
from kubeimage.layer.entry import Entry, FileIdentity, Kind
from kubeimage.mount.inspection import entry_of, xattrs_of

CAP_NET_BIND = 1 << 10


def entry(path: Path) -> Entry:
    return entry_of(path.name, str(path), os.lstat(path))


def test_a_file_is_known_by_where_it_is_and_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    path.chmod(0o4711)
    status = path.stat()

    found = entry(path)

    assert (found.kind, found.mode, found.size, found.source, found.mtime) == (Kind.FILE, 0o4711, 5, str(path), 0)
    assert found.identity == FileIdentity(5, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def test_xattrs_are_kept_but_overlays_own(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    for name in ("user.b", "user.a", "user.overlay.opaque", "user.overlay.x"):
        os.setxattr(path, name, name.encode())

    assert xattrs_of(str(path), "f") == (("user.a", b"user.a"), ("user.b", b"user.b"))


@pytest.mark.needs("setcap")
def test_capabilities_are_the_same_whoever_set_them(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    as_root = [] if os.geteuid() == 0 else ["unshare", "-U", "-r"]
    subprocess.run([*as_root, "setcap", "cap_net_bind_service+ep", str(path)], check=True,
                   env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})  # fmt: skip

    plain = struct.pack("<5I", 0x02000001, CAP_NET_BIND, 0, 0, 0)
    assert xattrs_of(str(path), "f") == (("security.capability", plain),)


def test_a_socket_is_refused(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))

        with pytest.raises(UnsupportedSourceError, match="'s', which is a socket") as caught:
            entry(tmp_path / "s")

    assert caught.value.hint == "remove it at the end of the RUN"
