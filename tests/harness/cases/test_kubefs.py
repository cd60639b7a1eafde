"""Builds on a file system in memory, by the real store, parser and collector."""

import os
import stat
import threading

import pytest
from hypothesis import given, settings

from harness.cases.building import KubeBuild
from harness.cases.kubefs import KubeFs
from harness.fakes.runner import FakeRunner
from harness.strategies import Project, projects
from harness.trees import Content, Fifo, File, Folder, HardLink, Link
from kubeimage.errors import SourceNotFoundError, StoreFullError
from kubeimage.image.reference import Reference

TEXT = """\
FROM scratch
ARG V=1
COPY . .
RUN echo $V > etc/v && rm etc/old && mkdir new && mv bin/tool new
COPY --exact --chmod=700 bin/tool opt/t
RUN rm -r etc && mkdir etc && echo x > etc/x
CMD run it
"""
CONTEXT: dict[str, Content] = {
    "bin/tool": File("#!/bin/sh\n", 0o755),
    "etc/old": "gone",
    "etc/big": b"0123456789" * 200_000,
    "etc/link": Link("old"),
    "etc/twin": HardLink("bin/tool"),
    "private": Folder(0o700),
    "pipe": Fifo(0o600),
}


@pytest.mark.parametrize("backend", ["memory", "copy", "overlay"])
def test_an_image_is_the_same_as_on_any_other_backend(kube_build: KubeBuild, backend: str) -> None:
    there = kube_build(TEXT, CONTEXT, backend=backend)

    with KubeFs() as kube_fs:
        here = kube_fs.build(TEXT, CONTEXT)

        assert here.id == there.id
        assert here.rootfs["new/tool"].mode == 0o755


@settings(max_examples=15, deadline=None)
@given(project=projects(max_size=4, max_base_layers=0))
def test_any_project_makes_the_same_image_as_in_memory(kube_build: KubeBuild, project: Project) -> None:
    there = kube_build(project.kubefile, project.context, backend="memory")

    with KubeFs() as kube_fs:
        here = [kube_fs.build(project.kubefile, project.context) for _ in range(2)]

        assert [image.id for image in here] == [there.id, there.id]
        assert here[1].cache_misses == 0
        assert [one for one in kube_fs.check() if one.damage] == []


def test_a_second_build_is_from_the_cache(kube_fs: KubeFs) -> None:
    first = kube_fs.build(TEXT, CONTEXT)

    again = kube_fs.build(TEXT, CONTEXT)

    assert (again.id, again.cache_misses) == (first.id, 0)
    assert [one for one in kube_fs.check() if one.damage] == []


def test_the_store_lies_on_the_fake_files(kube_fs: KubeFs) -> None:
    image = kube_fs.build("FROM scratch\nCOPY a .", {"a": "1"}, tag="app:v1")

    assert set(os.listdir(kube_fs.root)) >= {"oci-layout", "index.json", "blobs"}
    with kube_fs.open() as backends:
        found = backends.images.get(Reference.parse("app:v1"))
    assert found is not None
    assert found.id == image.id


def test_nothing_of_it_is_on_the_real_disk_afterwards(tmp_path: os.PathLike[str]) -> None:
    with KubeFs() as kube_fs:
        kube_fs.write({"a": "1"}, os.fspath(tmp_path) + "/context")
        kube_fs.build(TEXT, CONTEXT)

    assert os.listdir(tmp_path) == []
    assert not os.path.exists(kube_fs.root)


def test_a_context_can_be_written_and_copied_from(kube_fs: KubeFs) -> None:
    folder = kube_fs.write({"conf/a": "1"})

    assert kube_fs.build("FROM scratch\nCOPY conf etc", folder).rootfs == {"etc/conf/a": "1"}


def test_a_mistake_is_the_same_as_on_a_disk(kube_fs: KubeFs) -> None:
    with pytest.raises(SourceNotFoundError, match="'conf' matches nothing"):
        kube_fs.build("FROM scratch\nCOPY conf etc", {"config": "1"})


@pytest.mark.parametrize("room", [0, 1, 1_000, 50_000, 102_500])
def test_a_disk_that_is_too_small_leaves_a_whole_store(kube_fs: KubeFs, room: int) -> None:
    first = kube_fs.build("FROM scratch\nCOPY a .", {"a": "1"}, tag="app:v1")
    kube_fs.write({"a": b"x" * 100_000})
    kube_fs.leave_room(room)

    with pytest.raises(StoreFullError):
        kube_fs.build("FROM scratch\nCOPY a .", "/context", tag="app:v1")

    assert [one for one in kube_fs.check() if one.damage] == []
    with kube_fs.open() as backends:
        assert [record.image_id for record in backends.images.records()] == [first.id]


def test_a_command_can_be_scripted(kube_fs: KubeFs) -> None:
    runner = FakeRunner()
    runner.on("make install", lambda tree: tree.write("bin/tool", "made"))

    assert kube_fs.build("FROM scratch\nRUN mkdir bin", {}).rootfs == {"bin/": None}
    assert kube_fs.build("FROM scratch\nCOPY bin .\nRUN make install", {"bin/x": ""}, runner=runner).rootfs == {
        "bin/tool": "made",
        "bin/x": "",
    }


def test_it_has_no_other_backend(kube_fs: KubeFs) -> None:
    with pytest.raises(ValueError, match="'overlay'"):
        kube_fs.build("FROM scratch\n", backend="overlay")


def test_opening_a_file_leaves_its_mode_and_its_times(kube_fs: KubeFs) -> None:
    kube_fs.write({"a": File("1", 0o640)})
    before = os.lstat("/context/a")

    os.close(os.open("/context/a", os.O_RDONLY))

    after = os.lstat("/context/a")
    assert (after.st_mode, after.st_ctime_ns) == (before.st_mode, before.st_ctime_ns)


def test_a_pipe_is_one_and_is_made_once(kube_fs: KubeFs) -> None:
    os.mkfifo("/kubeimage/pipe", 0o600)

    assert stat.S_ISFIFO(os.lstat("/kubeimage/pipe").st_mode)
    with pytest.raises(FileExistsError):
        os.mkfifo("/kubeimage/pipe")


@pytest.mark.parametrize("name", ["copy_file_range", "posix_fadvise", "statvfs"])
def test_what_cannot_be_faked_touches_nothing_real(kube_fs: KubeFs, name: str) -> None:
    with pytest.raises(OSError, match="not implemented"):
        getattr(os, name)(0, 1, 2)


def test_two_sessions_hold_their_locks_against_each_other(kube_fs: KubeFs) -> None:
    with kube_fs.open() as first, kube_fs.open() as second:
        layers = [backends.layers.put([]) for backends in (first, second, first)]

        assert len(set(os.listdir(f"{kube_fs.root}/ingest"))) == 2
        assert second.layers.has(layers[0].diff_id)
    assert os.listdir(f"{kube_fs.root}/ingest") == []


def test_a_lock_is_waited_for(kube_fs: KubeFs) -> None:
    from kubeimage.store import locks

    order: list[str] = []
    with locks.alone("/kubeimage/x.lock"):
        thread = threading.Thread(target=lambda: _note(order))
        thread.start()
        order.append("first")
    thread.join()

    assert order == ["first", "second"]


def _note(order: list[str]) -> None:
    from kubeimage.store import locks

    with locks.shared("/kubeimage/x.lock"):
        order.append("second")
