"""One failure of the system has one code and one hint, whoever meets it."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import kubeimage
from kubeimage import BuildOptions, KubeimageError, Reference, StoreAccessError, StoreFullError, open_backends, parse
from kubeimage.disk.failures import disk_error, hint_for

BIG = 300_000
APP = Reference.parse("app:v1")


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize(
    ("code", "kind", "hint"),
    [
        (errno.ENOSPC, StoreFullError, "inodes are free there"),
        (errno.EDQUOT, StoreFullError, "inodes are free there"),
        (errno.EFBIG, StoreFullError, "ulimit -f"),
        (errno.EACCES, StoreAccessError, "you can write to|you may write to"),
        (errno.EROFS, StoreAccessError, "you can write to|you may write to"),
        (errno.EMFILE, StoreAccessError, "ulimit -n"),
        (errno.EIO, StoreAccessError, "dmesg"),
    ],
)
def test_a_failure_has_its_error_and_its_hint(
    tmp_path: Path, code: int, kind: type[KubeimageError], hint: str, store: bool
) -> None:
    error = disk_error(OSError(code, os.strerror(code)), "write it", str(tmp_path / "a/b"), store=store)

    assert type(error) is kind
    assert error.message == f"cannot write it: {os.strerror(code)}"
    assert any(part in (error.hint or "") for part in hint.split("|"))


def test_only_in_a_store_does_prune_make_room(tmp_path: Path) -> None:
    full, limit = OSError(errno.ENOSPC, "full"), OSError(errno.EFBIG, "too large")

    assert "prune" in (hint_for(full, str(tmp_path), store=True) or "")
    assert "prune" not in (hint_for(full, str(tmp_path)) or "")
    assert "prune" not in (hint_for(limit, str(tmp_path), store=True) or "")


@contextmanager
def limited_files(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size``."""
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def _build(root: Path, name: Reference) -> None:
    with open_backends(str(root / "store")) as backends:
        kubefile = parse("FROM scratch\nCOPY big .\n", file="Kubefile")
        kubeimage.build_image(kubefile, str(root / "context"), backends, options=BuildOptions(references=(name,)))


def _save(root: Path) -> None:
    with open_backends(str(root / "store"), access="read") as backends:
        kubeimage.save_image(APP, str(root / "saved.tar"), backends)


def _export(root: Path) -> None:
    with open_backends(str(root / "store"), access="read") as backends:
        kubeimage.export_image(APP, str(root / "exported"), backends)


def _build_another(root: Path) -> None:
    (root / "context/big").chmod(0o600)
    _build(root, Reference.parse("other:v1"))


@pytest.mark.parametrize("command", [_build_another, _save, _export])
def test_a_limit_on_the_size_of_files_is_told_alike_by_all(tmp_path: Path, command: Callable[[Path], None]) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/big").write_bytes(b"x" * BIG)
    _build(tmp_path, APP)

    with limited_files(BIG // 2), pytest.raises(StoreFullError, match=r"^cannot .*File too large") as caught:
        command(tmp_path)

    assert "ulimit -f" in (caught.value.hint or "")
