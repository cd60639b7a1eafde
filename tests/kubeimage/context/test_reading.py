"""Digests of files, and noticing that a file is not the one that was looked at."""

import errno
import os
from hashlib import sha256
from pathlib import Path

import pytest

from kubeimage.context.reading import ContentHasher, unreadable
from kubeimage.errors import ContextChangedError, UnreadableSourceError
from kubeimage.layer.entry import identity_of


@pytest.mark.parametrize("size", [0, 1, 4096, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 1_000_000])
def test_the_digest_is_that_of_all_bytes(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))

    assert ContentHasher().digest(str(path), identity_of(path.stat())) == sha256(path.read_bytes()).digest()


def test_one_hasher_reads_large_and_small_files_in_turn(tmp_path: Path) -> None:
    hasher = ContentHasher()
    contents = [b"a" * 700_000, b"b", b"c" * 300_000, b""]
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)

    digests = [hasher.digest(str(tmp_path / str(number)), None) for number in range(len(contents))]

    assert digests == [sha256(content).digest() for content in contents]


class Meddler(ContentHasher):
    """Changes the file after it was opened and looked at, before its end is reached."""

    def __init__(self, path: Path, content: bytes) -> None:
        super().__init__()
        self.path, self.content = path, content

    def _digest_large(self, descriptor: int) -> tuple[int, bytes]:
        self.path.write_bytes(self.content)
        return super()._digest_large(descriptor)


@pytest.mark.parametrize("size", [0, 299_999, 300_001, 900_000])
def test_a_file_that_grows_or_shrinks_while_it_is_read_is_noticed(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 300_000)

    with pytest.raises(ContextChangedError, match="changed while it was read"):
        Meddler(path, b"y" * size).digest(str(path), identity_of(path.stat()))


@pytest.mark.parametrize("field", ["size", "mtime_ns", "inode", "device"])
def test_a_file_that_is_another_is_refused(tmp_path: Path, field: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    identity = identity_of(path.stat())

    with pytest.raises(ContextChangedError):
        ContentHasher().digest(str(path), identity._replace(**{field: getattr(identity, field) + 1}))


def test_another_name_or_mode_is_no_change(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    identity = identity_of(path.stat())._replace(ctime_ns=0)

    assert ContentHasher().digest(str(path), identity) == sha256(b"x").digest()


def test_an_edit_hidden_behind_old_times_is_found_by_a_second_look(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 300_000)
    os.utime(path, (1, 1))

    class Hider(ContentHasher):
        def _digest_large(self, descriptor: int) -> tuple[int, bytes]:
            found = super()._digest_large(descriptor)
            path.write_bytes(os.urandom(300_000))
            os.utime(path, (1, 1))
            return found

    with pytest.raises(ContextChangedError):
        Hider().digest(str(path), identity_of(path.stat())._replace(ctime_ns=0))


@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES, errno.EMFILE])
def test_other_troubles_are_told_with_the_path(error: int) -> None:
    found = unreadable("conf/a", OSError(error, os.strerror(error)))

    assert isinstance(found, UnreadableSourceError)
    assert found.message == f"'conf/a' cannot be read: {os.strerror(error)}"


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 300_000)
    before = os.listdir("/proc/self/fd")

    ContentHasher().digest(str(path), None)
    with pytest.raises(ContextChangedError):
        Meddler(path, b"").digest(str(path), identity_of(path.stat()))

    assert os.listdir("/proc/self/fd") == before
