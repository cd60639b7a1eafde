"""Mounts for commands to run on."""

import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry, Owner, canonical_order, directory, file, symlink
from kubeimage.mount.overlay import OverlayMount, OverlayMounter
from kubeimage.protocols.running import Command, CommandResult, CommandRunner, Mount
from kubeimage.store import Store

PROGRAMS = (
    *("sh", "cat", "chmod", "chown", "chroot", "cp", "env", "hostname", "id", "ipcmk", "kill", "ln", "ls", "mkdir"),
    *("mknod", "mount", "nohup", "nsenter", "head", "rm", "setsid", "sleep", "tee", "touch", "umount", "unshare"),
)
"""What hostile scripts call."""


@dataclass
class FolderMount:
    """A folder that everybody sees."""

    rootfs: str
    prefix: tuple[str, ...] = ()

    def changes(self, owners: Mapping[str, Owner] | None = None) -> list[Entry]:
        assert owners is None
        return []

    def keep(self, directory: str) -> None:
        raise NotImplementedError(directory)


@dataclass
class Talker:
    """Runs scripts on one mount and keeps what they print."""

    runner: CommandRunner
    mount: Mount
    said: bytes = b""

    def __call__(self, script: str, *, network: bool = True, timeout: float | None = None, **env: str) -> CommandResult:
        self.said = b""
        return self.runner.run(Command(script, env, network, timeout), self.mount, self._hear)

    def _hear(self, data: bytes) -> None:
        self.said += data


@pytest.fixture
def mark() -> str:
    """Return a number of seconds that no other process of this machine sleeps."""
    return str(10_000 + random.SystemRandom().randrange(10**9))


@pytest.fixture
def folder(tmp_path: Path) -> FolderMount:
    (tmp_path / "rootfs").mkdir()
    return FolderMount(str(tmp_path / "rootfs"))


@pytest.fixture
def talk(folder: FolderMount) -> Callable[[CommandRunner], Talker]:
    return lambda runner: Talker(runner, folder)


@pytest.fixture(scope="session")
def run_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(str(tmp_path_factory.mktemp("store"))) as store:
        yield store


@pytest.fixture(scope="session")
def run_mounter(run_store: Store) -> OverlayMounter:
    return OverlayMounter(run_store.snapshots)


@pytest.fixture
def overlay(run_store: Store, run_mounter: OverlayMounter) -> Iterator[OverlayMount]:
    base = run_store.layers.put([directory("etc"), file("etc/a", b"1\n"), file("etc/b", b"2\n"), file("top", b"t\n")])
    with run_mounter.mount([base.diff_id]) as mount:
        yield mount


@pytest.fixture(scope="session")
def programs(run_store: Store, run_mounter: OverlayMounter) -> Digest:
    """A layer, unpacked already, with what hostile scripts call, and what that links to."""
    looked_up = [shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin") for name in PROGRAMS]
    found = [path for path in looked_up if path is not None]
    listed = subprocess.run(["ldd", *found], capture_output=True, text=True, check=True).stdout
    linked = set(re.findall(r"(/\S+) \(0x", listed))
    places = {f"usr/bin/{os.path.basename(path)}": path for path in found}
    places |= {path.lstrip("/"): path for path in linked}
    files = [file(place, Path(path).read_bytes(), 0o755) for place, path in places.items()]
    folders = {
        str(above) for place in (*places, "etc/x", "tmp/x", "bin/x", "proc/x", "dev/x") for above in Path(place).parents
    }
    folders -= {"."}
    links = [] if "bin" in {Path(place).parts[0] for place in places} else [symlink("bin", "usr/bin")]
    folders -= {"bin"} if links else set()
    layer = run_store.layers.put(canonical_order([*files, *map(directory, folders), *links]))
    with run_mounter.mount([layer.diff_id]):
        return layer.diff_id


@pytest.fixture
def image_mount(run_mounter: OverlayMounter, programs: Digest) -> Iterator[OverlayMount]:
    with run_mounter.mount([programs]) as mount:
        yield mount
