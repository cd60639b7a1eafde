"""What processes do to one store at once, and what each of them must have seen: names, images and errors."""

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from harness.fakes.mounts import MemoryMounter
from harness.fakes.registry import FakeRegistry
from harness.fakes.runner import ShellInterpreter
from harness.faults.schedules import Failed, Turn
from harness.faults.serial import Moment, Names
from harness.trees import write_tree
from kubeimage.api.backends import open_backends
from kubeimage.api.building import BuildOptions
from kubeimage.api.distribution import pull_image
from kubeimage.api.merging import merge_images
from kubeimage.api.platforms import build_platforms
from kubeimage.api.signing import sign_image
from kubeimage.archive.members import read_members
from kubeimage.archive.parts import join_parts, read_part
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import ALL_REFERRERS, parse_tag
from kubeimage.kubefile import parse
from kubeimage.layer.compression import Coding
from kubeimage.settings import HostSettings, Settings
from kubeimage.store.policy import PrunePolicy
from tests.artefacts import oras_artifact
from tests.kubeimage.signing.made import write_pair
from tests.oneshot import (
    check_store,
    export_image,
    load_images,
    prune_store,
    push_image,
    remove_images,
    save_image,
)
from tests.properties.recipes import CONTEXT, LOADED, PLATFORMS, SEVERAL, TEXTS, Recipes, base_of, make

ONLINE = "online:1"
"""What the name on the registry, which has its address, is called here."""
NAMES = ("one:1", "two:1", "app:1", ONLINE)
PUSHED = "what was pushed"
"""The image on the registry, among the names of the store."""
REPOSITORY = "team/app"
NO_IMAGE, NO_BASE, NOT_PUSHED = "E0501", "E0402", "E0803"


@dataclass(frozen=True)
class Build:
    text: str
    name: str
    use_cache: bool

    def do(self, place: Path) -> str:
        with open_backends(str(place / "store"), mount="copy", isolation="none") as backends:
            parts = replace(backends, mounter=MemoryMounter(backends.layers), runner=ShellInterpreter())
            return make(self.text, named(place, self.name), str(place / "context"), parts, use_cache=self.use_cache)

    def moments(self, outcome: Any, recipes: Recipes) -> Sequence[Moment]:
        base = base_of(self.text)

        def find_base(names: Names) -> Names | None:
            found = names.get(base) if base is not None else None
            expected = recipes.made(self.text, found) if base is None or found is not None else Failed(NO_BASE)
            return names if outcome == expected else None

        return [find_base] if isinstance(outcome, Failed) else [find_base, lambda names: {**names, self.name: outcome}]


@dataclass(frozen=True)
class BuildForAll:
    """Build for several platforms, under one name."""

    text: str
    name: str
    use_cache: bool

    def do(self, place: Path) -> str:
        options = BuildOptions(references=(named(place, self.name),), use_cache=self.use_cache)
        with open_backends(str(place / "store"), mount="copy", isolation="none") as backends:
            kubefile, context = parse(self.text, file="Kubefile"), str(place / "context")
            made = build_platforms(kubefile, context, backends, platforms=PLATFORMS, options=options)
            return " ".join(str(one.image.id) for one in made.results)

    def moments(self, outcome: Any, recipes: Recipes) -> Sequence[Moment]:
        assert outcome == recipes.made_for_all(self.text)
        return [lambda names: {**names, self.name: outcome}]


@dataclass(frozen=True)
class Merge:
    """Put images on top of each other, all as they are at one time."""

    names: tuple[str, ...]
    target: str

    def do(self, place: Path) -> str:
        with open_backends(str(place / "store")) as backends:
            names = [named(place, name) for name in self.names]
            made = merge_images(names, [named(place, self.target)], backends)
            return " ".join(str(one.id) for one in made.images)

    def moments(self, outcome: Any, recipes: Recipes) -> Sequence[Moment]:
        def find(names: Names) -> Names | None:
            found = [names[name] for name in self.names if name in names]
            is_whole = len(found) == len(self.names)
            expected = recipes.merged(self.names, found) if is_whole else Failed(NO_IMAGE)
            return names if outcome == expected else None

        return [find] if isinstance(outcome, Failed) else [find, lambda names: {**names, self.target: outcome}]


@dataclass(frozen=True)
class Tag:
    source: str
    name: str

    def do(self, place: Path) -> None:
        with open_backends(str(place / "store"), access="look") as backends:
            backends.images.tag(named(place, self.source), named(place, self.name))

    def moments(self, outcome: Any, _recipes: Recipes) -> Sequence[Moment]:
        return [_on(self.source, outcome, lambda names: {**names, self.name: names[self.source]})]


@dataclass(frozen=True)
class Sign:
    name: str

    def do(self, place: Path) -> None:
        with open_backends(str(place / "store")) as backends:
            sign_image(named(place, self.name), str(place / "key.pem"), backends)

    def moments(self, outcome: Any, _recipes: Recipes) -> Sequence[Moment]:
        return [_on(self.name, outcome, lambda names: names)]


@dataclass(frozen=True)
class Rmi:
    name: str

    def do(self, place: Path) -> None:
        remove_images([named(place, self.name)], root=str(place / "store"))

    def moments(self, outcome: Any, _recipes: Recipes) -> Sequence[Moment]:
        return [_on(self.name, outcome, lambda names: {one: names[one] for one in names if one != self.name})]


@dataclass(frozen=True)
class Prune:
    keep_cache: bool

    def do(self, place: Path) -> None:
        prune_store(str(place / "store"), keep_cache=self.keep_cache)

    def moments(self, outcome: Any, _recipes: Recipes) -> Sequence[Moment]:
        assert outcome is None
        return []


@dataclass(frozen=True)
class LetGo:
    """Keep the store small: what is promised is that nobody loses anything by it."""

    def do(self, place: Path) -> None:
        prune_store(str(place / "store"), policy=PrunePolicy(keep_size=1))

    def moments(self, outcome: Any, _recipes: Recipes) -> Sequence[Moment]:
        assert outcome is None
        return []


@dataclass(frozen=True)
class Check:
    repair: bool

    def do(self, place: Path) -> list[str]:
        return [str(one) for one in check_store(str(place / "store"), repair=self.repair) if one.damage]

    def moments(self, outcome: Any, _recipes: Recipes) -> Sequence[Moment]:
        assert outcome == []
        return []


@dataclass(frozen=True)
class Save:
    name: str
    compressed: bool

    def do(self, place: Path) -> str:
        output = place / f"{os.getpid()}.tar"
        coding = Coding("gzip") if self.compressed else None
        save_image(str(named(place, self.name)), str(output), root=str(place / "store"), coding=coding)
        return image_in(output)

    def moments(self, outcome: Any, _recipes: Recipes) -> Sequence[Moment]:
        return [lambda names: names if names.get(self.name, Failed(NO_IMAGE)) == outcome else None]


@dataclass(frozen=True)
class SaveParts:
    """Save in parts, and put these together."""

    name: str

    def do(self, place: Path) -> str:
        output = place / f"{os.getpid()}.parts"
        shutil.rmtree(output, ignore_errors=True)
        save_image(str(named(place, self.name)), str(output), root=str(place / "store"), split=100_000)
        with ExitStack() as stack:
            files = [stack.enter_context(one.open("rb")) for one in sorted(output.iterdir())]
            (members,) = join_parts([read_part(file.name, read_members(file)) for file in files])
            listed, *_ = members.read_json("index.json")["manifests"]
            return ids_below(listed, lambda digest: members.read_json(f"blobs/sha256/{digest}"))

    def moments(self, outcome: Any, _recipes: Recipes) -> Sequence[Moment]:
        return [lambda names: names if names.get(self.name, Failed(NO_IMAGE)) == outcome else None]


@dataclass(frozen=True)
class Load:
    name: str

    def do(self, place: Path) -> str:
        archive, names = str(place / "archive.tar"), [named(place, self.name)]
        (loaded,) = load_images(archive, root=str(place / "store"), references=names)
        return str(loaded.arrival.images[0][2])

    def moments(self, outcome: Any, recipes: Recipes) -> Sequence[Moment]:
        assert outcome == recipes.made(LOADED, None)
        return [lambda names: {**names, self.name: outcome}]


@dataclass(frozen=True)
class Push:
    def do(self, place: Path) -> str:
        name, settings = online(place)
        manifest = push_image(name, str(place / "store"), settings)

        def fetch(digest: str) -> Any:
            url = f"http://{name.domain}/v2/{REPOSITORY}/manifests/sha256:{digest}"
            with urllib.request.urlopen(url) as answer:
                return json.load(answer)

        return ids_below({"digest": str(manifest)}, fetch)

    def moments(self, outcome: Any, _recipes: Recipes) -> Sequence[Moment]:
        find = [lambda names: names if names.get(ONLINE, Failed(NO_IMAGE)) == outcome else None]
        return find if isinstance(outcome, Failed) else [*find, lambda names: {**names, PUSHED: outcome}]


@dataclass(frozen=True)
class Pull:
    def do(self, place: Path) -> str:
        name, settings = online(place)
        with open_backends(str(place / "store"), settings) as backends:
            arrival = pull_image(name, backends, platforms="all", referrers=ALL_REFERRERS)
            return " ".join(str(one[2]) for one in arrival.images)

    def moments(self, outcome: Any, _recipes: Recipes) -> Sequence[Moment]:
        find = [lambda names: names if names.get(PUSHED, Failed(NOT_PUSHED)) == outcome else None]
        return find if isinstance(outcome, Failed) else [*find, lambda names: {**names, ONLINE: outcome}]


@dataclass(frozen=True)
class Export:
    name: str

    def do(self, place: Path) -> str:
        name, folder = named(place, self.name), tempfile.mkdtemp(dir=place)
        return str(export_image(name, folder, root=str(place / "store")).image.id)

    def moments(self, outcome: Any, recipes: Recipes) -> Sequence[Moment]:
        def find(names: Names) -> Names | None:
            expected = recipes.of_host(names[self.name]) if self.name in names else Failed(NO_IMAGE)
            return names if outcome == expected else None

        return [find]


Operation = (
    BuildForAll
    | Merge
    | Build
    | Tag
    | Sign
    | Rmi
    | Prune
    | LetGo
    | Check
    | Save
    | SaveParts
    | Load
    | Push
    | Pull
    | Export
)


def operations() -> st.SearchStrategy[Operation]:
    # One name more often than others: who never meets finds nothing.
    names = st.sampled_from((NAMES[0], NAMES[0], *NAMES))
    return st.one_of(
        st.builds(Rmi, names),
        st.builds(Prune, st.booleans()),
        st.builds(LetGo),
        st.builds(Tag, names, names),
        st.builds(Sign, names),
        st.builds(Build, st.sampled_from(TEXTS), names, st.booleans()),
        st.builds(BuildForAll, st.sampled_from(SEVERAL), names, st.booleans()),
        st.builds(Merge, st.lists(st.sampled_from(NAMES[:3]), min_size=2, max_size=3, unique=True).map(tuple), names),
        st.builds(Save, names, st.booleans()),
        st.builds(SaveParts, names),
        st.builds(Load, names),
        st.builds(Check, st.booleans()),
        st.builds(Export, names),
        st.builds(Push),
        st.builds(Pull),
    )


def schedules() -> st.SearchStrategy[list[Turn]]:
    """A few changes from one process to another: more are hardly ever needed to find what goes wrong."""
    return st.lists(st.builds(Turn, st.integers(0, 2), st.integers(1, 80)), max_size=6)


def prepare(place: Path, registry: FakeRegistry) -> None:
    """Make a store with two images, of which one is compressed as well, an archive to load, and something to pull."""
    write_tree(str(place / "context"), CONTEXT)
    (place / "registry").write_text(registry.host)
    write_pair(place, "ed25519")
    Build(LOADED, ONLINE, use_cache=True).do(place)
    save_image(str(named(place, ONLINE)), str(place / "archive.tar"), root=str(place / "store"), coding=Coding("gzip"))
    Push().do(place)
    sbom = oras_artifact(registry.content.manifest(REPOSITORY, "1").data)
    for data in sbom.blobs.values():
        registry.put_blob(REPOSITORY, data)
    registry.put_manifest(REPOSITORY, None, sbom.data)
    Rmi(ONLINE).do(place)
    for text, name in zip(TEXTS, NAMES[:2], strict=False):
        Build(text, name, use_cache=True).do(place)
    save_image(NAMES[0], str(place / "other.tar"), root=str(place / "store"), coding=Coding("gzip"))
    Tag(NAMES[0], ONLINE).do(place)
    prune_store(str(place / "store"))


def online(place: Path) -> tuple[Reference, Settings]:
    """Return the name on the registry, and how that is reached."""
    host = (place / "registry").read_text()
    return Reference(host, REPOSITORY, "1"), Settings(hosts={host: HostSettings(plain_http=True)})


def named(place: Path, name: str) -> Reference:
    return online(place)[0] if name == ONLINE else Reference.parse(name)


def names_in(place: Path, registry: FakeRegistry) -> dict[str, str]:
    """Return the images of all names, and that on the registry."""
    with open_backends(str(place / "store"), access="look") as backends:
        records = backends.images.records()
    found: dict[Reference, str] = {}
    for one in records:
        if one.reference is not None:
            found[one.reference] = f"{found.get(one.reference, '')} {one.image_id}".strip()
    names = {name: found[named(place, name)] for name in NAMES if named(place, name) in found}
    assert len(names) == len(found)
    (pushed,) = (digest for tag, digest in registry.tags(REPOSITORY).items() if parse_tag(tag) is None)

    def fetch(digest: str) -> Any:
        return json.loads(registry.manifest(REPOSITORY, f"sha256:{digest}").data)

    return {**names, PUSHED: ids_below({"digest": str(pushed)}, fetch)}


def image_in(archive: Path) -> str:
    """Return the id of the image in an archive, all of whose blobs must be what they are called."""
    with tarfile.open(archive) as tar:
        files = {member.name: content.read() for member in tar if (content := tar.extractfile(member)) is not None}
    for name, data in files.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"
    top, *_ = json.loads(files["index.json"])["manifests"]

    def read(digest: str) -> Any:
        document = json.loads(files[f"blobs/sha256/{digest}"])
        for blob in (document["config"], *document["layers"]) if "config" in document else ():
            assert f"blobs/sha256/{blob['digest'].removeprefix('sha256:')}" in files
        return document

    return ids_below(top, read)


def ids_below(descriptor: Mapping[str, Any], read: Callable[[str], Any]) -> str:
    """Return the ids of the images of a manifest or an index; ``read`` gives the JSON of a digest's hex."""
    document = read(descriptor["digest"].removeprefix("sha256:"))
    if "manifests" in document:
        return " ".join(ids_below(one, read) for one in document["manifests"])
    return str(document["config"]["digest"])


def _on(name: str, outcome: Any, change: Callable[[Names], Names]) -> Moment:
    """Do something with an image that has to be there."""

    def moment(names: Names) -> Names | None:
        if outcome is None:
            return change(names) if name in names else None
        return names if outcome == Failed(NO_IMAGE) and name not in names else None

    return moment
