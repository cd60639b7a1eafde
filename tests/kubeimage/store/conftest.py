"""A store in an empty folder, and ways to do harm to it."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubeimage.cache import CacheRecords
from kubeimage.image.digest import Digest
from kubeimage.store import Store, cache_folder
from tests.disk import folder_on_disk


@pytest.fixture
def root(tmp_path: Path) -> str:
    return os.fspath(tmp_path / "store")


@pytest.fixture
def open_store(root: str) -> Callable[[], Store]:
    """Open the store in one more session, as a command does."""
    return lambda: Store.open(root, cache=CacheRecords(cache_folder(root)))


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Iterator[Store]:
    with open_store() as opened:
        yield opened


@pytest.fixture
def another(store: Store, open_store: Callable[[], Store]) -> Iterator[Store]:
    """The same store, open in another session."""
    with open_store() as opened:
        yield opened


@pytest.fixture
def blob_path(root: str) -> Callable[[Digest], Path]:
    return lambda digest: Path(root, "blobs", "sha256", digest.hex)


@pytest.fixture
def flip() -> Callable[..., None]:
    return _flip_a_byte


@pytest.fixture
def in_a_killed_child() -> Callable[[Callable[[], object]], None]:
    """Do something in another process that is killed right afterwards."""
    return _in_a_killed_child


def _flip_a_byte(path: Path, *, keep_times: bool = False) -> None:
    status = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(status.st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    if keep_times:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _in_a_killed_child(work: Callable[[], object]) -> None:
    child = os.fork()
    if child == 0:
        try:
            work()
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the child failed before it was killed"


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be an ordinary user, where the tests run as root."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        yield


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that every user can get to; pytest's own are closed, and each pytest that starts closes them again."""
    with folder_on_disk() as folder:
        os.chmod(folder, 0o755)
        yield folder
