"""Where the system lets nobody have one more thread: what only helps is done without."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.fakes.registry import FakeRegistry
from kubeimage import BuildOptions, Settings, build_image, open_backends, parse, pull_image, push_image
from kubeimage.disk.threads import begin, can_begin
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.registry.workers import run_all

HELPING = ("blobs", "layer output", "build cache")
FEW = pytest.mark.parametrize("most", [0, 1])


def allow(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this program begin so many threads that only help, and no more."""
    start, left = threading.Thread.start, [most]

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith(HELPING) or "work" in thread.name:
            if not left[0]:
                raise RuntimeError("can't start new thread")
            left[0] -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)


def test_what_is_needed_is_an_error_that_names_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)

    with pytest.raises(BlockingIOError, match="no more processes"):
        begin(threading.Thread())
    assert not can_begin(threading.Thread())


@FEW
def test_jobs_are_done_by_whoever_there_is(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(most, monkeypatch)
    done: list[int] = []
    jobs: list[Callable[[], object]] = [lambda n=n: done.append(n) for n in range(20)]  # type: ignore[misc]

    run_all(jobs, lambda: None)

    assert sorted(done) == list(range(20))


@FEW
def test_a_job_that_fails_is_told(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(most, monkeypatch)

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_all([fail, fail], lambda: None)


def build(folder: Path, name: str, settings: Settings) -> Digest:
    options = BuildOptions(references=(Reference.parse(name),))
    (folder / "context").mkdir(parents=True, exist_ok=True)
    for number in range(3):
        (folder / "context" / f"{number}.bin").write_bytes(bytes([number]) * (3 << 20))
    with open_backends(str(folder / "store"), settings, mount="copy", isolation="none") as backends:
        return build_image(
            parse("FROM scratch\nCOPY . etc/\n"), str(folder / "context"), backends, options=options
        ).image.id


@FEW
def test_images_are_built_pushed_and_pulled(
    most: int, tmp_path: Path, fake_registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{fake_registry.host}/team/app:v1"
    settings = Settings().with_insecure([f"http://{fake_registry.host}"])
    expected = build(tmp_path / "before", name, settings)
    allow(most, monkeypatch)

    assert build(tmp_path / "one", name, settings) == expected
    with open_backends(str(tmp_path / "one/store"), settings) as backends:
        pushed = push_image(name, backends)
    with open_backends(str(tmp_path / "two"), settings) as backends:
        pull_image(name, backends, platforms="all")
        found = backends.images.get(Reference.parse(name))
    assert found is not None
    assert (found.id, bool(pushed)) == (expected, True)
