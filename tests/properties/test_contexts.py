"""Build contexts on a real disk: what a COPY finds there, and what need not be read twice."""

import shutil
import tempfile
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness import model
from harness.model.context import Context
from harness.model.failure import Failed
from harness.model.sources import collect
from harness.model.tree import Item
from harness.strategies import Edit, Project, build_contexts, projects
from harness.trees import Fifo, File, Folder, HardLink, Link, write_tree
from kubeimage.builder.steps import copy_key
from kubeimage.context import ContextCollector, StatIndex
from kubeimage.errors import KubeimageError, UnsupportedSourceError
from kubeimage.image.digest import Digest
from kubeimage.kubefile import Copy
from kubeimage.layer.entry import Entry, Kind
from kubeimage.protocols.context import CopyRequest
from tests.properties.examples import edited_projects, examples

WHOLE = Copy((".",), "all")


def item_of(entry: Entry) -> Item:
    if entry.kind is Kind.FILE:
        with open(str(entry.source), "rb") as file:
            return File(file.read(), entry.mode)
    if entry.kind is Kind.HARDLINK:
        return HardLink(entry.target)
    if entry.kind is Kind.SYMLINK:
        return Link(entry.target)
    return Folder(entry.mode) if entry.kind is Kind.DIRECTORY else Fifo(entry.mode)


def found_on_disk(collector: ContextCollector, copy: Copy) -> object:
    try:
        collected = collector.collect(CopyRequest(copy.sources, copy.destination, copy.exact, copy.chmod, 0))
    except KubeimageError as error:
        return error.code
    assert {entry.mtime for entry in collected.entries} <= {0}
    paths = [entry.path for entry in collected.entries]
    assert paths == sorted(paths, key=lambda path: path.split("/"))
    return {entry.path: item_of(entry) for entry in collected.entries}, list(collected.directories), collected.into


def found_by_the_model(context: Context, copy: Copy) -> object:
    try:
        return collect(context, (copy.sources, copy.destination, copy.exact, copy.chmod))
    except Failed as failed:
        return failed.code


@examples(2)
@given(projects(hostile=True))
def test_a_copy_finds_on_disk_what_the_model_says(project: Project) -> None:
    context = Context(model.complete(project.context))
    with tempfile.TemporaryDirectory() as folder:
        write_tree(folder, project.context)
        collector = ContextCollector(folder)

        copies = [one for one in project.kubefile.instructions if isinstance(one, Copy)]
        for copy in [*copies, WHOLE]:
            assert found_on_disk(collector, copy) == found_by_the_model(context, copy)


@pytest.mark.parametrize("hostile", [False, True], ids=["friendly", "hostile"])
@examples(3)
@given(data=st.data())
def test_whatever_is_copied_of_a_context_is_what_the_model_says(hostile: bool, data: st.DataObject) -> None:
    tree = data.draw(build_contexts(min_size=1, hostile=hostile))
    context = Context(model.complete(tree))
    with tempfile.TemporaryDirectory() as folder:
        write_tree(folder, tree)
        collector = ContextCollector(folder)

        # No Kubefile can say a name that is not UTF-8.
        alone = [Copy((path,), "one") for path in tree if "\udcff" not in path]
        for copy in (*alone, WHOLE, Copy(("*", "*/*"), "all"), Copy(("*/*", "*"), "all")):
            assert found_on_disk(collector, copy) == found_by_the_model(context, copy)


NO_TEXT = Edit("write to '.kubeignore'", Project.of("FROM scratch", {".kubeignore": b"\x9d"}), ".kubeignore")


@examples(0.5)
@given(edited_projects())
@example((Project.of("FROM scratch", {".kubeignore": "a"}), NO_TEXT))
def test_what_is_remembered_of_a_context_is_what_reading_it_gives(edited: tuple[Project, Edit]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for project in (edited[0], edited[1].project):
            shutil.rmtree(f"{folder}/context", ignore_errors=True)
            write_tree(f"{folder}/context", project.context)
            # As if it began when the files had been there for a while.
            index = StatIndex(
                f"{folder}/index",
                f"{folder}/context",
                clock=lambda: time.time_ns() + 10**11,
                find_ground=lambda _: b"here",
            )
            fresh = ContextCollector(f"{folder}/context")
            try:
                everything = fresh.collect(CopyRequest((".",), ".")).entries
            except UnsupportedSourceError:
                # The .kubeignore is no text, which is no matter to a Kubefile without a COPY.
                continue

            read = fresh.with_digests(everything)
            sources = copy_key(Digest.of(b""), (), read).sources_digest
            with index:
                collector = ContextCollector(f"{folder}/context", stat_index=index)
                known, remembered = collector.known_sources(everything), collector.with_digests(everything)
                collector.remember_sources(everything, sources)

            assert remembered == read
            assert known in {None, sources}
