"""What processes do to one store at once, and what each of them must have seen: names, images and errors."""

import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from harness.agreement import memory_files
from harness.backends import memory_backends
from harness.fakes.context import MemoryContext
from harness.fakes.mounts import MemoryMounter
from harness.fakes.runner import ShellInterpreter
from harness.schedules import Failed, Turn
from harness.serial import Moment, Names
from harness.trees import write_tree
from kubeimage.api import Backends, BuildOptions, build, open_backends
from kubeimage.image.reference import Reference
from kubeimage.kubefile import parse
from kubeimage.layer.compression import Coding
from kubeimage.maintenance import check_store, prune_store, remove_name
from kubeimage.saving import load_images, save_image

NAMES = ("one:1", "two:1", "app:1")
CONTEXT = {"a": "1", "b": "2", "c": "3"}
TEXTS = (
    "FROM scratch\nCOPY a .\nCMD a",
    "FROM scratch\nCOPY a .\nRUN rm a && echo 2 > made",
    "FROM one:1\nCOPY b .",
    "FROM app:1\nRUN echo 3 > made",
)
LOADED = "FROM scratch\nCOPY c .\nCMD loaded"
NO_IMAGE, NO_BASE = "E0501", "E0402"

Recipe = tuple[str, ...]
"""Kubefiles, each built on the image of the one before."""


@cache
def image_of(recipe: Recipe) -> str:
    """Say what image the Kubefiles come to, built by nobody else's way: in memory, in a store of their own."""
    context = MemoryContext(memory_files(CONTEXT))
    backends = replace(memory_backends(), collector=lambda _path: context)
    made = ""
    for text, following in zip(recipe, (*recipe[1:], ""), strict=True):
        made = _build(text, base_of(following) or "last:1", "", backends, use_cache=False)
    return made


def base_of(text: str) -> str | None:
    name = text.partition("\n")[0].removeprefix("FROM ")
    return None if name in ("", "scratch") else name


class Recipes:
    """Which recipe each image was made by."""

    def __init__(self, *known: str) -> None:
        self._by_id: dict[str, Recipe] = {image_of((text,)): (text,) for text in known}

    def made(self, text: str, base: str | None) -> str:
        """Give the image that a Kubefile comes to on the image ``base``."""
        recipe = (text,) if base is None else (*self._by_id[base], text)
        image_id = image_of(recipe)
        self._by_id[image_id] = recipe
        return image_id


@dataclass(frozen=True)
class Build:
    text: str
    name: str
    use_cache: bool

    def do(self, place: Path) -> str:
        with open_backends(str(place / "store"), mount="copy", isolation="none") as backends:
            parts = replace(backends, mounter=MemoryMounter(backends.layers), runner=ShellInterpreter())
            return _build(self.text, self.name, str(place / "context"), parts, use_cache=self.use_cache)

    def moments(self, outcome: object, recipes: Recipes) -> Sequence[Moment]:
        base = base_of(self.text)

        def find_base(names: Names) -> Names | None:
            found = names.get(base) if base is not None else None
            expected = recipes.made(self.text, found) if base is None or found is not None else Failed(NO_BASE)
            return names if outcome == expected else None

        return [find_base] if isinstance(outcome, Failed) else [find_base, lambda names: {**names, self.name: outcome}]


@dataclass(frozen=True)
class Tag:
    source: str
    name: str

    def do(self, place: Path) -> None:
        with open_backends(str(place / "store"), create=False) as backends:
            backends.images.tag(Reference.parse(self.source), Reference.parse(self.name))

    def moments(self, outcome: object, _recipes: Recipes) -> Sequence[Moment]:
        return [_on(self.source, outcome, lambda names: {**names, self.name: names[self.source]})]


@dataclass(frozen=True)
class Rmi:
    name: str

    def do(self, place: Path) -> None:
        with open_backends(str(place / "store"), create=False) as backends:
            remove_name(Reference.parse(self.name), backends.images)

    def moments(self, outcome: object, _recipes: Recipes) -> Sequence[Moment]:
        return [_on(self.name, outcome, lambda names: {one: names[one] for one in names if one != self.name})]


@dataclass(frozen=True)
class Prune:
    keep_cache: bool

    def do(self, place: Path) -> None:
        prune_store(str(place / "store"), keep_cache=self.keep_cache)

    def moments(self, outcome: object, _recipes: Recipes) -> Sequence[Moment]:
        assert outcome is None
        return []


@dataclass(frozen=True)
class Check:
    repair: bool

    def do(self, place: Path) -> list[str]:
        return [str(one) for one in check_store(str(place / "store"), repair=self.repair) if one.damage]

    def moments(self, outcome: object, _recipes: Recipes) -> Sequence[Moment]:
        assert outcome == []
        return []


@dataclass(frozen=True)
class Save:
    name: str
    compressed: bool

    def do(self, place: Path) -> str:
        output = place / f"{os.getpid()}.tar"
        coding = Coding("gzip") if self.compressed else None
        save_image(self.name, str(output), root=str(place / "store"), coding=coding)
        return image_in(output)

    def moments(self, outcome: object, _recipes: Recipes) -> Sequence[Moment]:
        return [lambda names: names if names.get(self.name, Failed(NO_IMAGE)) == outcome else None]


@dataclass(frozen=True)
class Load:
    name: str

    def do(self, place: Path) -> str:
        archive, names = str(place / "archive.tar"), [Reference.parse(self.name)]
        (loaded,) = load_images(archive, root=str(place / "store"), references=names)
        return str(loaded.arrival.images[0][2])

    def moments(self, outcome: object, recipes: Recipes) -> Sequence[Moment]:
        assert outcome == recipes.made(LOADED, None)
        return [lambda names: {**names, self.name: outcome}]


Operation = Build | Tag | Rmi | Prune | Check | Save | Load


def operations() -> st.SearchStrategy[Operation]:
    # One name more often than others: who never meets finds nothing.
    names = st.sampled_from((NAMES[0], NAMES[0], *NAMES))
    return st.one_of(
        st.builds(Rmi, names),
        st.builds(Prune, st.booleans()),
        st.builds(Tag, names, names),
        st.builds(Build, st.sampled_from(TEXTS), names, st.booleans()),
        st.builds(Save, names, st.booleans()),
        st.builds(Load, names),
        st.builds(Check, st.booleans()),
    )


def schedules() -> st.SearchStrategy[list[Turn]]:
    """A few changes from one process to another: more are hardly ever needed to find what goes wrong."""
    return st.lists(st.builds(Turn, st.integers(0, 2), st.integers(1, 80)), max_size=6)


def prepare(place: Path) -> None:
    """Make a store with two images, of which one is compressed as well, and an archive to load."""
    write_tree(str(place / "context"), CONTEXT)
    Build(LOADED, "loaded:1", use_cache=True).do(place)
    save_image("loaded:1", str(place / "archive.tar"), root=str(place / "store"), coding=Coding("gzip"))
    Rmi("loaded:1").do(place)
    for text, name in zip(TEXTS, NAMES[:2], strict=False):
        Build(text, name, use_cache=True).do(place)
    save_image(NAMES[0], str(place / "other.tar"), root=str(place / "store"), coding=Coding("gzip"))
    prune_store(str(place / "store"))


def names_in(place: Path) -> dict[str, str]:
    with open_backends(str(place / "store"), create=False) as backends:
        records = backends.images.records()
    return {one.reference.familiar(): str(one.image_id) for one in records if one.reference is not None}


def image_in(archive: Path) -> str:
    """Give the id of the image in an archive, all of whose blobs must be what they are called."""
    with tarfile.open(archive) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    for name, data in files.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"
    (top,) = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(files[f"blobs/sha256/{top['digest'].removeprefix('sha256:')}"])
    for blob in (manifest["config"], *manifest["layers"]):
        assert f"blobs/sha256/{blob['digest'].removeprefix('sha256:')}" in files
    return manifest["config"]["digest"]


def _build(text: str, name: str, context: str, backends: Backends, *, use_cache: bool) -> str:
    options = BuildOptions(references=(Reference.parse(name),), use_cache=use_cache)
    return str(build(parse(text, file="Kubefile"), context, backends, options).image.id)


def _on(name: str, outcome: object, change: Callable[[Names], Names]) -> Moment:
    """Do something with an image that has to be there."""

    def moment(names: Names) -> Names | None:
        if outcome is None:
            return change(names) if name in names else None
        return names if outcome == Failed(NO_IMAGE) and name not in names else None

    return moment
