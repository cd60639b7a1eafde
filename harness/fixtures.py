"""The fixtures.

Those that a property test may want beside its generated values live as long as the run, and are factories or depend on
files alone: Hypothesis runs one test function many times. Each call of a factory works in folders of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from harness.asking.images import ImageSubject, image_subjects_of
from harness.asking.subjects import Subject, subjects_of
from harness.run import IMAGE_SETTINGS, SETTINGS, case_of, opened_images, workshop_of

if TYPE_CHECKING:
    from harness.cases.building import KubeBuild
    from harness.cases.case import Case
    from harness.cases.kubefs import KubeFs
    from harness.cases.ocicase import ImageCase
    from harness.fakes.mounts import MemoryMounter
    from harness.fakes.registry import FakeRegistry
    from harness.fakes.runner import FakeRunner
    from harness.fakes.stores import MemoryBuildCache, MemoryImageStore, MemoryLayerStore
    from harness.faults.faults import IoFaults
    from harness.faults.powercuts import PowerCut
    from harness.images.image import BuiltImage, OciImage
    from harness.trees import Tree
    from kubeimage.kubefile import Kubefile

T = TypeVar("T")

_NO_IMAGE = (
    "which image? Name it with --oci-image, in the setting oci_image, or mark the test: "
    '@pytest.mark.oci_image("oci-archive:image.tar")'
)

_NO_KUBEFILE = (
    "which Kubefile? Put one beside the test or in a folder above it, name it with --kubefile, "
    'or mark the test: @pytest.mark.kubefile("path/to/Kubefile")'
)


@pytest.fixture(scope="session")
def _kubefile_case(request: pytest.FixtureRequest) -> Case:
    subject: Subject | None = getattr(request, "param", None)
    if subject is None:
        found = subjects_of(request.node, request.config.stash[SETTINGS])
        if not found:
            pytest.fail(_NO_KUBEFILE, pytrace=False)
        subject = found[0]
    return case_of(request.config, subject)


@pytest.fixture(scope="session")
def _oci_image_case(request: pytest.FixtureRequest) -> ImageCase:
    subject: ImageSubject | None = getattr(request, "param", None)
    if subject is None:
        found = image_subjects_of(request.node, request.config.stash[IMAGE_SETTINGS])
        if not found:
            pytest.fail(_NO_IMAGE, pytrace=False)
        subject = found[0]
    return opened_images(request.config).case(subject)


@pytest.fixture(scope="session")
def image(_oci_image_case: ImageCase) -> OciImage:
    """Any image: config, layers, rootfs["path"], layer_of("path"), size, efficiency, ...

    It is the one that the test's ``oci_image`` marker names, else those of ``--oci-image``, one after the other. It is
    read where it lies, and nothing of it is unpacked.
    """
    return _or_fail(lambda: _oci_image_case.image)


@pytest.fixture(scope="session")
def kubefile(_kubefile_case: Case) -> Kubefile:
    """The parsed Kubefile under test.

    It is the one that the test's ``kubefile`` marker names, else those of ``--kubefile``, one after the other, else the
    nearest one in the test's folder or above.
    """
    return _or_fail(lambda: _kubefile_case.kubefile)


@pytest.fixture(scope="session")
def built_image(_kubefile_case: Case) -> BuiltImage:
    """The image that the Kubefile under test builds: layers, cmd, args, rootfs["path"], layer_of("path"), ...

    It is built once a run, whatever uses it, for all xdist workers together.
    """
    return _or_fail(lambda: _kubefile_case.image)


@pytest.fixture(scope="session")
def kube_build(request: pytest.FixtureRequest) -> KubeBuild:
    """Build any Kubefile: kube_build("FROM scratch", {"a": "text"}, build_args={...}, base=...) -> image.

    The Kubefile is a text or a path, the context a dict or a folder. Each call has a store of its own, so nothing is in
    the cache; with ``after=image`` it goes on in that image's store.
    """
    from harness.cases.building import KubeBuild

    return KubeBuild(workshop_of(request.config))


@pytest.fixture(scope="session")
def kube_context(request: pytest.FixtureRequest) -> Callable[[Tree], Path]:
    """Make a build context from a dict: kube_context({"etc/a": "text", "bin/b": File(b"...", 0o755)}) -> its folder.

    ``harness.trees`` has File, Folder, Link, HardLink and Fifo.
    """
    from harness.trees import write_tree

    def make(tree: Tree) -> Path:
        folder = Path(workshop_of(request.config).new_folder(), "context")
        write_tree(str(folder), tree)
        return folder

    return make


@pytest.fixture
def layer_store() -> MemoryLayerStore:
    """An empty layer store in memory."""
    from harness.fakes.stores import MemoryLayerStore

    return MemoryLayerStore()


@pytest.fixture
def image_store(layer_store: MemoryLayerStore) -> MemoryImageStore:
    """An empty image store in memory, for images whose layers are in ``layer_store``."""
    from harness.fakes.stores import MemoryImageStore

    return MemoryImageStore(layer_store)


@pytest.fixture
def build_cache(layer_store: MemoryLayerStore) -> MemoryBuildCache:
    """An empty build cache in memory, for layers that are in ``layer_store``."""
    from harness.fakes.stores import MemoryBuildCache

    return MemoryBuildCache(layer_store)


@pytest.fixture
def fake_mounts(layer_store: MemoryLayerStore) -> MemoryMounter:
    """A mounter in memory, over ``layer_store``, that records every mount and unmount.

    Tell it to refuse(), to fail_unmount() or to be_busy(), for so many ``times``. kube_build(..., mounts=fake_mounts)
    lets it mount the layers of that build.
    """
    from harness.fakes.mounts import MemoryMounter

    return MemoryMounter(layer_store)


@pytest.fixture
def fake_runner() -> FakeRunner:
    """A command runner that does what the test tells it to, and fails at any other command.

    fake_runner.on("make", effect=lambda root: root.write("made", "x"), output="done", status=0), before the build.
    """
    from harness.fakes.runner import FakeRunner

    return FakeRunner()


@pytest.fixture
def fake_registry() -> Iterator[FakeRegistry]:
    """An OCI registry in this process, on 127.0.0.1: push to and pull from fake_registry.host, over plain http.

    Put images into it with put_image(...) or put_layout(...), let it misbehave with on("GET */blobs/*", Status(500)),
    and see what it was asked in calls() and requests. ``harness.fakes.registry`` has the faults.
    """
    from harness.fakes.registry import FakeRegistry

    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def kube_fs() -> Iterator[KubeFs]:
    """A file system in memory with a store on it, for the real parser, collector, store and cache (by pyfakefs).

    kube_fs.build(...) takes what kube_build takes; kube_fs.write({...}) makes a context, kube_fs.check() is fsck, and
    kube_fs.leave_room(1000) fills the disk. No program can be started: mounts and RUN are in memory too.
    """
    try:
        from harness.cases.kubefs import KubeFs
    except ModuleNotFoundError as error:
        failure = pytest.fail.Exception(f"kube_fs needs {error.name}: pip install 'kubeimage[harness]'", pytrace=False)
        raise failure from None

    with KubeFs() as files:
        yield files


@pytest.fixture(scope="session")
def io_faults() -> type[IoFaults]:
    """Make one of kubeimage's calls to the system fail: with io_faults(at=3, error=errno.ENOSPC) as faults: ...

    Without ``at`` the calls are only counted, in faults.calls; io_faults.every(errno.EIO) gives one such context after
    the other, until all calls have failed. The error may be KeyboardInterrupt or signal.SIGKILL as well.
    """
    from harness.faults.faults import IoFaults

    return IoFaults


@pytest.fixture(scope="session")
def power_cuts() -> Callable[..., Iterator[PowerCut]]:
    """Return each state that a power cut may leave a folder in while work is done: power_cuts(folder, work, limit=50).

    Each has ``write_to(place)``, which makes the folder as it is then; ``is_done`` says whether the work had ended, and
    ``str()`` what was lost. The model is "posix" (the default) or "journal". ``limit=None`` gives them all.
    """
    from harness.faults.powercuts import cuts_during

    return cuts_during


def _or_fail(work: Callable[[], T]) -> T:
    """Show an expected failure as the builder's own message."""
    from kubeimage.errors import KubeimageError
    from kubeimage.report import format_error

    try:
        return work()
    except KubeimageError as error:
        pytest.fail(format_error(error), pytrace=False)
