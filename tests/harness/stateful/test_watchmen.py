"""Who watches the watchmen: with a defect planted in one of two stores, or in a built image, the harness must object.

A machine that compares too little finds nothing and looks green. Here it would be red.
"""

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness import model
from harness.fakes.stores import MemoryBuildCache, MemoryImageStore, MemoryLayerStore
from harness.stateful import StoreMachine
from harness.stateful.agreement import build_project, expected, project_backends, read_image, read_layer, try_project
from harness.stateful.stores import NAMES
from harness.strategies import Project
from harness.trees import File, Folder, Link
from kubeimage.errors import BlobCorruptError, BlobNotFoundError, ImageNotFoundError
from kubeimage.image.config import Image
from kubeimage.image.document import Arguments, Commands, History
from kubeimage.image.platform import Platform


def wrong(kind: type, name: str, change: Callable[[Any], object]) -> tuple[type, str, Any]:
    """Plan a method of a store in memory whose answer is ``change``'d."""
    right = getattr(kind, name)
    return kind, name, lambda self, *given, **named: change(right(self, *given, **named))


def raising(kind: type, name: str, wanted: type[Exception], instead: type[Exception]) -> tuple[type, str, Any]:
    """Plan a method that fails otherwise than it should."""
    right = getattr(kind, name)

    def method(self: object, *given: Any, **named: Any) -> object:
        try:
            found = right(self, *given, **named)
            return iter([*found]) if name == "entries" else found
        except wanted as error:
            raise instead("another") from error

    return kind, name, method


DEFECTS = {
    "a name too few": wrong(MemoryImageStore, "records", lambda found: found[1:]),
    "names in another order": wrong(MemoryImageStore, "records", lambda found: found[::-1]),
    "labels lost": wrong(MemoryImageStore, "get", lambda found: found and replace(found, labels={})),
    "no image at all": wrong(MemoryImageStore, "get", lambda _found: None),
    "an image that is not found": wrong(MemoryImageStore, "find", lambda _found: None),
    "a layer that is always there": wrong(MemoryLayerStore, "has", lambda _found: True),
    "a size of one more": wrong(MemoryLayerStore, "size", lambda size: size + 1),
    "entries in another order": wrong(MemoryLayerStore, "entries", lambda found: iter([*found][::-1])),
    "modes of entries lost": wrong(
        MemoryLayerStore, "entries", lambda found: iter([one._replace(mode=0o600) for one in found])
    ),
    "nothing said of what went": wrong(MemoryImageStore, "remove", lambda _found: []),
    "damage for loss": raising(MemoryLayerStore, "entries", BlobNotFoundError, BlobCorruptError),
    "a cache that forgets": wrong(MemoryBuildCache, "lookup", lambda _found: None),
    "a cache that expects nothing": wrong(MemoryBuildCache, "expects", lambda _found: False),
    "loss for no image": raising(MemoryImageStore, "tag", ImageNotFoundError, BlobNotFoundError),
}


def go_through_all_rules() -> None:
    """Follow every rule of the machine once or more, as chance would in thousands of examples."""
    state = StoreMachine()
    one, two, other = NAMES
    try:
        first, second = (
            state.put_layer(layer={"a": File(b"1"), "b": File(b"2")}),
            state.put_layer(layer={"c": File(b"3")}),
        )
        gone = state.put_layer(layer={"d": File(b"4")})
        image = state.put_image(stored=[first, second], names=[one, two], labels={"a": "1"})
        state.put_image(stored=[second], names=[other], labels={})
        keys = [state.think_of_a_key(parent=None, command="a")]
        keys.append(state.think_of_a_key(parent=keys[0], command="b"))
        state.record(key=keys[0], layer=first)
        state.record(key=keys[1], layer=second)
        for key in keys:
            state.look_up(key=key)
        state.the_lists_are_the_same()
        state.find(image=image, length=64)
        state.tag(source=one, name=other)
        state.remove(name=two)
        state.tag(source=two, name=other)
        state.add_again(layer=first, wanted=second)
        state.prune(keep_cache=True)
        for layer in (first, second, gone):
            state.ask_for_a_layer(layer=layer)
        own = state.put_layer(layer={"e": File(b"5")})
        state.put_image(stored=[own], names=[two], labels={})
        state.reopen()
        state.remove(name=two)
        state.damage(layer=second)
        state.the_lists_are_the_same()
    finally:
        state.teardown()


def test_without_a_defect_there_is_nothing_to_object_to() -> None:
    go_through_all_rules()


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)
def test_the_machine_of_stores_objects(defect: tuple[type, str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*defect)

    with pytest.raises(AssertionError):
        go_through_all_rules()


PROJECT = Project.of(
    "FROM scratch\nARG A=1\nCOPY . .\nCMD one\nCMD two\n",
    {"d": Folder(0o750), "d/f": File("1", 0o640), "l": Link("d/f"), "z": "2"},
)
HISTORY = (History("COPY . ."), History("CMD two", empty_layer=True))
CHANGES: dict[str, dict[str, object]] = {
    "platform": {"platform": Platform("linux", "s390x")},
    "layers": {"layers": ()},
    "history": {"history": HISTORY},
    "commands in another order": {"cmd": Commands((), ("two", "one"))},
    "commands of the base": {"cmd": Commands(("one",), ("two",))},
    "arguments": {"args": Arguments({}, {"A": "2"})},
    "arguments of the base": {"args": Arguments({"A": "1"}, {})},
    "labels": {"labels": {"x": "1"}},
    "type": {"image_type": "application"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_reader_of_images_sees_every_field(change: dict[str, Any]) -> None:
    backends = project_backends(PROJECT)
    image: Image = build_project(PROJECT, backends).image
    wanted = read_image(image, backends.layers)
    assert wanted == expected(model.build(PROJECT.request)).image

    assert read_image(replace(image, **change), backends.layers) != wanted


def test_the_reader_of_builds_tells_errors_from_images() -> None:
    bad = Project.of("FROM scratch\nCOPY nothing .\n", {"a": "1"})

    assert try_project(bad, project_backends(bad)).error is not None
    assert try_project(PROJECT, project_backends(PROJECT)).error is None


def tar_of(*members: tuple[str, bytes, dict[str, Any]]) -> io.BytesIO:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, content, fields in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(content))
    tar.seek(0)
    return tar


@pytest.mark.parametrize(
    "members",
    [
        [("b", b"", {}), ("a", b"", {})],
        [("a", b"1", {}), ("a", b"1", {})],
        [("a", b"", {"uid": 1})],
        [("a", b"", {"gid": 1})],
        [("a", b"", {"uname": "root"})],
        [("a", b"", {"mtime": 1})],
        [("a", b"", {}), (".wh.b", b"", {})],
    ],
    ids=["order", "twice", "owner", "group", "owner's name", "time", "whiteout last"],
)
def test_the_reader_of_layers_objects(members: list[tuple[str, bytes, dict[str, Any]]]) -> None:
    with pytest.raises(AssertionError):
        read_layer(tar_of(*members))


@pytest.mark.parametrize(
    ("content", "fields"), [(b"2", {}), (b"1", {"mode": 0o600}), (b"", {"type": tarfile.FIFOTYPE})]
)
def test_the_reader_of_layers_sees_contents_modes_and_kinds(content: bytes, fields: dict[str, Any]) -> None:
    assert read_layer(tar_of(("a", content, fields))) != read_layer(tar_of(("a", b"1", {})))
