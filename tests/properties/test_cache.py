"""What the build cache may answer: hits are a prefix, and a hit is what a build without it would make."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness import model
from harness.fakes.context import MemoryContext
from harness.model.context import Context
from harness.model.sources import collect
from harness.stateful.agreement import build_project, expected, memory_files, project_backends, try_project
from harness.strategies import Edit, Project, build_contexts, context_edits, projects
from harness.trees import File, Link
from kubeimage.api.backends import Backends
from kubeimage.builder.steps import copy_key
from kubeimage.cache import CacheRecords, DirectoryBuildCache
from kubeimage.image.digest import Digest
from kubeimage.protocols.context import CopyRequest
from tests.properties.examples import blobs_of, edited_projects, examples

Edited = tuple[Project, Edit]

NO_OP_DROPPED = Edit("drop RUN true", Project.of("FROM scratch\nCOPY a .\n", {"a": ""}))
WHOLE = "FROM scratch\nCOPY . all\n"
RETARGETED = Edit("retarget 'a'", Project.of(WHOLE, {"a": Link("c")}), "a")


@examples(3)
@given(edited_projects())
@example((Project.of("FROM scratch\nRUN true\nCOPY a .\n", {"a": ""}), NO_OP_DROPPED))
def test_after_an_edit_those_steps_hit_that_the_model_says(edited: Edited) -> None:
    project, (_, changed, _) = edited
    backends = project_backends(project)
    build_project(project, backends)
    cache = model.build(project.request).cache

    seen = try_project(changed, project_backends(changed, backends))

    assert seen == expected(model.build(changed.request, cache))


def edited_contexts() -> st.SearchStrategy[Edited]:
    """Return a project that copies all of its context, and one change to it."""
    whole = build_contexts(min_size=1).map(lambda tree: Project.of(WHOLE, tree))
    return whole.flatmap(lambda project: context_edits(project).map(lambda edit: (project, edit)))


@examples(3)
@given(edited_contexts())
@example((Project.of(WHOLE, {"a": Link("b")}), RETARGETED))
def test_a_copy_has_the_same_key_exactly_if_it_copies_the_same(edited: Edited) -> None:
    contexts = [edited[0].context, edited[1].project.context]

    keys, copied = [], []
    for tree in contexts:
        collector = MemoryContext(memory_files(tree))
        entries = collector.with_digests(collector.collect(CopyRequest((".",), "all")).entries)
        keys.append(copy_key(Digest("0" * 64), (), entries).digest)
        copied.append(collect(Context(model.complete(tree)), ((".",), "all", False, None)))

    assert (keys[0] == keys[1]) == (copied[0] == copied[1])


@examples(1)
@given(edited_projects())
def test_a_build_after_an_edit_is_what_a_clean_one_makes(edited: Edited) -> None:
    project, (_, changed, _) = edited
    backends = project_backends(project)
    build_project(project, backends)

    after = build_project(changed, project_backends(changed, backends))

    assert after.image.id == build_project(changed, project_backends(changed)).image.id


@examples(0.7)
@given(edited_projects())
def test_hits_are_a_prefix(edited: Edited) -> None:
    project, (_, changed, _) = edited
    backends = project_backends(project)
    build_project(project, backends)

    result = build_project(changed, project_backends(changed, backends))

    hits = [one.cached for one in result.steps if one.step.makes_layer]
    assert hits == sorted(hits, reverse=True)
    assert all((one.why_missed is None) == one.cached for one in result.steps if one.step.makes_layer)


@examples(0.7)
@given(edited_projects())
def test_an_edit_to_a_file_misses_from_the_first_instruction_that_reads_it(edited: Edited) -> None:
    project, (_, changed, path) = edited
    if path is None:
        return
    backends = project_backends(project)
    before = build_project(project, backends)

    result = build_project(changed, project_backends(changed, backends))

    reads = [_takes_other(project, changed, one.step.copy) for one in before.steps]
    first = reads.index(True) if True in reads else len(reads)
    assert all(one.cached for one in result.steps[:first] if one.step.makes_layer)
    assert not any(one.cached for one in result.steps[first:])


def _takes_other(project: Project, changed: Project, copy: CopyRequest | None) -> bool:
    """Whether a COPY takes something else from the changed context than from the first."""
    if copy is None:
        return False
    request = (copy.sources, copy.destination, copy.exact, copy.chmod)
    old, new = (collect(Context(model.complete(one.context)), request) for one in (project, changed))
    return old != new


@examples(0.7)
@given(edited_projects())
def test_going_back_hits_everything_again(edited: Edited) -> None:
    project, (_, changed, _) = edited
    backends = project_backends(project)
    first = build_project(project, backends)
    build_project(changed, project_backends(changed, backends))

    again = build_project(project, project_backends(project, backends))

    assert again.image.id == first.image.id
    assert again.cache_misses == 0


HAD_A_ONCE = model.Image(
    "linux/amd64",
    ({"a": File(b"1")}, {".wh.a": File(b"")}),
    made_by=(("COPY", "a ."), ("RUN", "rm a")),
    history=(("COPY a .", True), ("RUN rm a", True)),
)


@contextmanager
def keeping(backends: Backends, cache: str) -> Iterator[Backends]:
    """Return the same backends with a cache in memory, or in files."""
    if cache == "memory":
        yield backends
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield replace(backends, cache=DirectoryBuildCache(CacheRecords(folder), backends.layers))


@pytest.mark.parametrize("cache", ["memory", "files"])
@examples(0.7)
@given(project=projects(min_size=3), number=st.integers(0, 3))
@example(project=Project.of("FROM base:1\nCOPY a .\nCOPY a .", {"a": "1"}, base=HAD_A_ONCE), number=0)
def test_after_a_step_whose_layer_is_lost_nothing_hits(cache: str, project: Project, number: int) -> None:
    with keeping(project_backends(project), cache) as backends:
        first = build_project(project, backends)
        made = [one.layer.diff_id if one.layer else None for one in first.steps if one.step.makes_layer]
        # The base comes into the store again: what it has is not lost.
        base = {layer.diff_id for layer in first.image.layers[: len(project.base.layers) if project.base else 0]}
        lost = next((diff_id for diff_id in made[number:] if diff_id and diff_id not in base), None)
        if lost is None:
            return
        del blobs_of(backends)[lost]

        again = build_project(project, backends)

    hits = [one.cached for one in again.steps if one.step.makes_layer]
    assert hits == [place < made.index(lost) for place in range(len(made))]
    assert again.image.id == first.image.id
