"""The executor against the model, on every backend; and what holds for every build."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import example, given

from harness import model
from harness.cases.kubefs import KubeFs
from harness.fakes.mounts import MemoryMounter
from harness.stateful.agreement import build_project, expected, project_backends, try_project
from harness.strategies import Project, base_images, projects
from harness.strategies.images import PLATFORMS
from harness.trees import Content, File, write_tree
from kubeimage.api.backends import Backends, open_backends
from tests.properties.examples import blobs_of, examples

# Without a value it is not there for RUN, whatever the environment of the build has.
USES_AN_ARG = "FROM scratch\nARG A\nRUN printf '%s' \"$A\" > a\n"


@contextmanager
def on_fake_files(project: Project) -> Iterator[tuple[Backends, str]]:
    with KubeFs() as kube_fs, kube_fs.open() as backends:
        yield backends, kube_fs.write(project.context)


@contextmanager
def on_disk(project: Project, mount: str) -> Iterator[tuple[Backends, str]]:
    with tempfile.TemporaryDirectory() as folder:
        write_tree(f"{folder}/context", project.context)
        with open_backends(f"{folder}/store", mount=mount) as backends:
            yield backends, f"{folder}/context"


@examples(4)
@given(projects(min_size=2, platforms=PLATFORMS))
@example(Project.of(USES_AN_ARG))
@example(Project.of(USES_AN_ARG, build_args={"A": "given"}))
def test_a_build_in_memory_is_what_the_model_says(project: Project) -> None:
    assert try_project(project, project_backends(project)) == expected(model.build(project.request))


@examples(2)
@given(projects(hostile=True))
@example(Project.of("FROM scratch\nARG A\nCOPY $A .", {"a": ""}))
@example(Project.of("FROM scratch\nCOPY a .", {".kubeignore": b"\xff", "a": ""}))
def test_a_build_fails_where_the_model_says_it_does(project: Project) -> None:
    assert try_project(project, project_backends(project)) == expected(model.build(project.request))


@examples(0.2)
@given(projects(hostile=True))
def test_a_build_on_fake_files_is_what_the_model_says(project: Project) -> None:
    wanted = expected(model.build(project.request))

    with on_fake_files(project) as (backends, context):
        assert try_project(project, backends, context) == wanted


@pytest.mark.parametrize("mount", ["overlay", "copy"])
@examples(0.2)
@given(project=projects())
@example(project=Project.of(USES_AN_ARG))
@example(project=Project.of(USES_AN_ARG, build_args={"A": "given"}))
def test_a_build_on_disk_is_what_the_model_says(mount: str, project: Project) -> None:
    wanted = expected(model.build(project.request))

    with on_disk(project, mount) as (backends, context):
        assert try_project(project, backends, context) == wanted


@examples(0.1)
@given(projects())
def test_every_backend_gives_the_same_image_id(project: Project) -> None:
    wanted = build_project(project, project_backends(project)).image.id

    for place in (on_fake_files(project), on_disk(project, "overlay"), on_disk(project, "copy")):
        with place as (backends, context):
            assert build_project(project, backends, context).image.id == wanted


@examples(0.1)
@given(projects(max_base_layers=0))
def test_times_and_xattrs_of_a_context_change_nothing(project: Project) -> None:
    touched = {path: touch(content) for path, content in project.context.items()}
    with on_disk(project, "copy") as (backends, context):
        first = build_project(project, backends, context)
        shutil.rmtree(context)
        write_tree(context, touched)

        again = build_project(project, backends, context)

    assert again.image.id == first.image.id
    assert again.cache_misses == 0


def touch(content: Content) -> Content:
    if not isinstance(content, str | bytes | File):
        return content
    old = content if isinstance(content, File) else File(content)
    return File(old.content, old.mode, 1_234_567_890, (("user.touched", b"1"),))


@examples(1)
@given(projects())
def test_building_again_gives_the_same_image_from_the_cache_alone(project: Project) -> None:
    backends = project_backends(project)
    first = build_project(project, backends)
    layers = dict(blobs_of(backends))

    again = build_project(project, backends)

    assert again.image.id == first.image.id
    assert (again.cache_misses, again.cache_hits) == (0, len(project.kubefile.layered))
    assert blobs_of(backends) == layers


@examples(1)
@given(projects())
def test_the_cache_makes_no_difference_to_the_image(project: Project) -> None:
    backends = project_backends(project)
    cached = build_project(project, backends)

    without = build_project(project, backends, use_cache=False)

    assert without.image.id == cached.image.id
    assert without.cache_hits == 0


@examples(1)
@given(projects())
def test_an_application_image_keeps_only_what_is_new(project: Project) -> None:
    request = replace(project.request, keep_base=False)

    seen = try_project(project, project_backends(project), keep_base=False)

    assert seen == expected(model.build(request))
    assert seen.image is not None
    assert len(seen.image.layers) <= len(project.kubefile.layered)


@examples(1)
@given(projects(hostile=True))
def test_whatever_happens_nothing_stays_mounted_and_a_failure_leaves_no_image(project: Project) -> None:
    backends = project_backends(project)
    nothing = replace(project, kubefile=Project.of("FROM scratch").kubefile, build_args={})
    build_project(nothing, backends)
    before = backends.images.records()

    seen = try_project(project, backends, names=("made:1",))

    assert isinstance(backends.mounter, MemoryMounter)
    assert backends.mounter.mounted == 0
    assert (backends.images.records() == before) == (seen.error is not None)


@examples(0.2)
@given(base_images())
def test_a_base_of_any_depth_can_be_built_on(base: model.Image) -> None:
    project = Project.of("FROM base:1\nRUN printf '%s' 1 > new\nCOPY a .\n", {"a": "1"}, base=base)

    seen = try_project(project, project_backends(project))

    assert seen == expected(model.build(project.request))
    assert seen.error == (None if len(base.layers) <= 126 else "E0401")
