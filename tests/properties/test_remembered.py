"""A build that remembers what it read answers as one that reads everything, whatever was written by whatever means.

The files are real, and so are mappings, leases and mounts. Only the clock of ages is ahead: to it, every file is old.
"""

import mmap
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kubeimage.builder.steps import copy_key
from kubeimage.context import ContextCollector, StatIndex
from kubeimage.context.ground import ground_of, kernel_now
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry
from kubeimage.protocols.context import CopyRequest
from tests.disk import wait_for_disk
from tests.properties.examples import examples

CONTENTS = (b"CONTENT-ONE!", b"CONTENT-TWO!", b"CONTENT-3RD!")
AN_AGE = 10**12
EVERYTHING = CopyRequest(("f", "still"), ".")

Step = tuple[str, bytes]


class Place:
    """A file ``f`` in a context, other names of it, and mappings of it that somebody holds."""

    def __init__(self, context: Path) -> None:
        self.path = context / "f"
        self.path.write_bytes(b"CONTENT-NIL!")
        (context / "still").write_bytes(b"a file that does not change")
        self.held = ExitStack()
        self.mappings: list[mmap.mmap] = []

    def change(self, way: str, content: bytes) -> None:
        """Do one step; the clock that stamps files has moved on before it."""
        now = kernel_now()
        while kernel_now() == now:
            pass
        getattr(self, way.replace(" ", "_"))(content)

    def write(self, content: bytes) -> None:
        self.path.write_bytes(content)

    def write_and_set_the_time_back(self, content: bytes) -> None:
        status = self.path.stat()
        self.path.write_bytes(content)
        os.utime(self.path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def write_in_place(self, content: bytes) -> None:
        subprocess.run(["dd", f"of={self.path}", "conv=notrunc", "status=none"], input=content, check=True)

    def rename(self, content: bytes) -> None:
        status = self.path.stat()
        other = self.path.with_name("other")
        other.write_bytes(content)
        os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        other.rename(self.path)

    def write_by_a_hard_link(self, content: bytes) -> None:
        link = self.path.parent.with_name("link")
        link.unlink(missing_ok=True)
        os.link(self.path, link)
        with link.open("r+b") as file:
            file.write(content)

    def map(self, content: bytes) -> None:
        """Write through a mapping that stays, while the file is closed."""
        with self.path.open("r+b") as file:
            mapping = self.held.enter_context(mmap.mmap(file.fileno(), len(content)))
        self.mappings.append(mapping)
        mapping[:] = content

    def write_mapped(self, content: bytes) -> None:
        for mapping in self.mappings:
            mapping[:] = content

    def write_mapped_and_sync(self, content: bytes) -> None:
        for mapping in self.mappings:
            mapping[:] = content
            mapping.flush()

    def write_mapped_and_unmap(self, content: bytes) -> None:
        self.write_mapped(content)
        self.unmap(content)

    def unmap(self, _content: bytes) -> None:
        self.held.close()
        self.mappings.clear()

    def sync(self, _content: bytes) -> None:
        with self.path.open("rb") as file:
            wait_for_disk(file.fileno())

    def nothing(self, _content: bytes) -> None:
        pass


WAYS = (
    "nothing",
    "write",
    "write and set the time back",
    "write in place",
    "rename",
    "write by a hard link",
    "map",
    "write mapped",
    "write mapped and sync",
    "write mapped and unmap",
    "unmap",
    "sync",
)


def steps(*more: str) -> st.SearchStrategy[list[Step]]:
    return st.lists(st.tuples(st.sampled_from((*WAYS, *more)), st.sampled_from(CONTENTS)), max_size=8)


@examples(0.5)
@given(steps())
@example([("map", CONTENTS[0]), ("write mapped and unmap", CONTENTS[1]), ("nothing", b"")])
@example([("map", CONTENTS[0]), ("sync", b""), ("write mapped", CONTENTS[1]), ("unmap", b"")])
@example([("map", CONTENTS[0]), ("write mapped and sync", CONTENTS[1]), ("write mapped and unmap", CONTENTS[2])])
def test_a_memory_makes_no_difference(tmp_path_factory: pytest.TempPathFactory, steps: list[Step]) -> None:
    folder = tmp_path_factory.mktemp("remembered")
    (folder / "context").mkdir()
    place = Place(folder / "context")
    with place.held:
        for way, content in [("nothing", b""), *steps]:
            place.change(way, content)
            # All file systems of a machine are believed here: what is asked of the files themselves is enough.
            assert built(folder, lambda _: b"here") == read(folder), way
    shutil.rmtree(folder)


class Disk(Place):
    """A place on a file system in a file, which can be mounted anew, and another with the same numbers in its stead."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.image = folder, folder / "image"
        with self.image.open("wb") as file:
            file.truncate(1 << 20)
        run("mkfs.ext4", "-q", "-F", "-O", "^has_journal", str(self.image))
        (folder / "context").mkdir()
        self.mount()
        super().__init__(folder / "context")

    def mount(self) -> None:
        run("mount", "-o", "loop", str(self.image), str(self.folder / "context"))

    def unmount(self) -> None:
        self.unmap(b"")
        run("umount", str(self.folder / "context"))

    def mount_anew(self, _content: bytes) -> None:
        self.unmount()
        self.mount()

    def remount(self, _content: bytes) -> None:
        self.unmap(b"")
        run("mount", "-o", "remount,ro", str(self.folder / "context"))
        run("mount", "-o", "remount,rw", str(self.folder / "context"))

    def write_by_a_hard_link(self, content: bytes) -> None:
        link = self.path.with_name("link")
        if not link.exists():
            os.link(self.path, link)
        with link.open("r+b") as file:
            file.write(content)

    def swap(self, content: bytes) -> None:
        """Mount another file system with other bytes in the same file, and not one other number in it."""
        found = self.path.read_bytes()
        self.unmount()
        self.image.write_bytes(self.image.read_bytes().replace(found, content))
        self.mount()


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    """Mount a file system in a file; for root, where there are loop devices."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system in a file")
    try:
        found = Disk(tmp_path_factory.mktemp("disk"))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no file system in a file can be mounted here: {error.stderr.decode().strip()}")
    yield found
    found.unmount()


@pytest.mark.needs("mkfs.ext4", "losetup", "mount")
@examples(0.1)
@given(steps("mount anew", "remount", "swap"))
@example([("nothing", b""), ("swap", CONTENTS[0]), ("swap", CONTENTS[1]), ("remount", b""), ("swap", CONTENTS[2])])
def test_nor_does_it_on_another_disk_with_the_same_numbers(disk: Disk, steps: list[Step]) -> None:
    shutil.rmtree(disk.folder / "kept", ignore_errors=True)
    for way, content in [("write", CONTENTS[0]), *steps]:
        disk.change(way, content)
        assert built(disk.folder, ground_of) == read(disk.folder), way
    disk.unmap(b"")


def built(folder: Path, find_ground: Callable[[str], bytes | None]) -> Digest:
    """What the sources of a COPY come to in a build that remembers the earlier ones."""
    index = StatIndex(
        str(folder / "kept"),
        str(folder / "context"),
        clock=lambda: kernel_now() + AN_AGE,
        find_ground=find_ground,
    )
    with index:
        collector = ContextCollector(str(folder / "context"), stat_index=index)
        entries = collector.collect(EVERYTHING).entries
        known = collector.known_sources(entries)
        digested = collector.with_digests(entries)
        found = sources_of(digested)
        collector.remember_sources(digested, found)
    assert known in {None, found}
    return found


def read(folder: Path) -> Digest:
    """The same where nothing is remembered."""
    collector = ContextCollector(str(folder / "context"))
    return sources_of(collector.with_digests(collector.collect(EVERYTHING).entries))


def sources_of(entries: Sequence[Entry]) -> Digest:
    return copy_key(Digest.of(b""), (), entries).sources_digest
