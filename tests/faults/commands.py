"""What the commands do to a small store, in which each finds something to do."""

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness.fakes.mounts import MemoryMounter
from harness.fakes.registry import FakeRegistry
from harness.fakes.runner import ShellInterpreter
from harness.trees import Content, read_tree, write_tree
from kubeimage.api import archives
from kubeimage.api.backends import Access, Backends, open_backends
from kubeimage.api.building import BuildOptions, build_image
from kubeimage.api.inventories import take_inventory
from kubeimage.api.referrers import list_referrers
from kubeimage.api.signing import sign_image, verify_signatures
from kubeimage.api.upkeep import remove_images
from kubeimage.disk import wholefile
from kubeimage.errors import ImageNotFoundError, StoreError
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import ALL_REFERRERS
from kubeimage.kubefile import parse
from kubeimage.layer.compression import Coding
from kubeimage.protocols.transfer import WireForm
from kubeimage.settings import HostSettings, Settings
from kubeimage.store import Store
from kubeimage.store.policy import PrunePolicy
from tests.artefacts import Made, cosign_artifact, oras_artifact
from tests.kubeimage.signing.made import write_pair
from tests.oneshot import check_store, export_image, load_images, prune_store, pull_image, push_image, save_image
from tests.renewing import Entry, RenewedCopy, walk

FIRST_BUILD = "build in no store"
SIGNERS = ("first", "second")
"""Keys: the first has signed kept:v1 already."""

PUSHED, SERVED = "pushed", "served"
"""Repositories: where images are pushed to, and where one is pulled from."""
_BY_CHANCE = re.compile(
    r"(?<=ingest/)[0-9a-f]{16}|(?<=[.]kubeimage-export-)\w+|(?<=[.]saved[.]tar[.]kubeimage-)\w+|(?<=tar[.]kubeimage-)\w+"
)

KEPT, APP, LOADED, DIFFERENCE = (Reference.parse(name) for name in ("kept:v1", "app:v1", "loaded:v1", "difference:v1"))
CONTEXT: dict[str, Content] = {"a": "1", "big": b"x" * 70_000}
GARBAGE = "the name that this image had went to another one"
_BUILT = "COPY . etc\nRUN echo 1 > made && rm etc/a\nCMD go\n"

Names = dict[str, Digest]


@dataclass(frozen=True)
class State:
    """How a store is, and the folder it stands in.

    Shape: ``paths`` are all that are there when nobody works, but for what the cache may forget.
    """

    names: Names
    paths: frozenset[str]


@contextmanager
def opened(folder: Path, *, access: Access = "write") -> Iterator[Backends]:
    with open_backends(str(folder / "store"), mount="copy", isolation="none", access=access) as backends:
        yield replace(backends, mounter=MemoryMounter(backends.layers), runner=ShellInterpreter())


def make(folder: Path, text: str, name: Reference = APP) -> Digest:
    with opened(folder) as backends:
        options = BuildOptions(references=(name,))
        return build_image(parse(text, file="Kubefile"), str(folder / "context"), backends, options=options).image.id


def _tag(folder: Path) -> None:
    with opened(folder) as backends:
        backends.images.tag(KEPT, APP)


def _rmi(folder: Path) -> bool:
    with opened(folder) as backends:
        try:
            remove_images([APP], backends)
        except ImageNotFoundError:
            assert APP.familiar() not in names_in(backends)
    return True


def _prune(folder: Path, **how: Any) -> None:
    prune_store(str(folder / "store"), **how)


def _save(folder: Path, **how: Any) -> tuple[Digest, bytes]:
    output = folder / "out" / "saved.tar"
    saved = save_image("kept:v1", str(output), root=str(folder / "store"), **how)
    return saved.manifest, output.read_bytes()


def _save_difference(folder: Path) -> list[tuple[str, bytes]]:
    """Save what kept:v1 lacks, in parts."""
    output = folder / "out" / "parts"
    shutil.rmtree(output, ignore_errors=True)
    save_difference(folder, remote(folder, PUSHED)[0], output, split=40_000)
    return [(one.name, one.read_bytes()) for one in sorted(output.iterdir())]


def save_difference(folder: Path, name: Reference, output: Path, *, split: int | None = None) -> None:
    with opened(folder, access="read") as backends:
        since = take_inventory(KEPT, backends)
        archives.save_image(name, str(output), backends, since=since, split=split)


def _export(folder: Path) -> Mapping[str, Content]:
    output = folder / "out" / "exported"
    shutil.rmtree(output, ignore_errors=True)
    export_image("app:v1", str(output), root=str(folder / "store"))
    return read_tree(str(output))


def _load(folder: Path, archive: str = "archive.tar") -> object:
    loaded = load_images(str(folder / archive), root=str(folder / "store"))
    return [image_id for one in loaded for _, _, image_id in one.arrival.images], referring(folder, LOADED)


def remote(folder: Path, repository: str) -> tuple[Reference, Settings]:
    """Name an image on the registry, and say how that is reached."""
    host = (folder / "registry").read_text()
    return Reference(host, repository, "v1"), Settings(hosts={host: HostSettings(plain_http=True)})


def _push(folder: Path) -> Digest:
    reference, settings = remote(folder, PUSHED)
    return push_image(reference, str(folder / "store"), settings)


def _pull(folder: Path) -> object:
    reference, settings = remote(folder, SERVED)
    arrival = pull_image(reference, str(folder / "store"), settings, referrers=ALL_REFERRERS)
    return [image_id for _, _, image_id in arrival.images], referring(folder, reference)


def referring(folder: Path, name: Reference) -> list[Digest]:
    """Return what refers to an image of the store, if it is there."""
    with opened(folder, access="look") as backends:
        if backends.images.get(name) is None:
            return []
        return sorted(one.digest for one in list_referrers(name, backends))


def sign(folder: Path, name: Reference, form: WireForm) -> None:
    """Let something refer to an image of the store, in the form in which that travels."""
    with opened(folder) as backends:
        store = backends.store_on_disk("write")
        sent = store.exporter.depart(name, form).finish()
        own = store.exporter.depart(name, WireForm()).finish().top.digest
        made = oras_artifact(sent.data)
        store.referrers.add(made.data, made.subject, made.blobs, image=own)


def publish(registry: FakeRegistry, *artefacts: Made) -> None:
    for one in artefacts:
        for data in one.blobs.values():
            registry.put_blob(SERVED, data)
        registry.put_manifest(SERVED, one.tag, one.data)


def _sign(folder: Path) -> object:
    """Sign as somebody else has done; what it comes to is who has signed by then."""
    keys = [str(folder / f"{name}.pub") for name in SIGNERS]
    with opened(folder) as backends:
        sign_image(KEPT, str(folder / f"{SIGNERS[1]}.pem"), backends)
        (found,) = verify_signatures(KEPT, keys, backends).images
    return [(one.digest, os.path.basename(one.key.name)) for one in found.signers if one.key is not None]


COMMANDS: dict[str, Callable[[Path], object]] = {
    "build": lambda folder: make(folder, f"FROM kept:v1\n{_BUILT}"),
    FIRST_BUILD: lambda folder: make(folder, f"FROM scratch\n{_BUILT}"),
    "tag": _tag,
    "rmi": _rmi,
    "prune": lambda folder: _prune(folder, keep_cache=False),
    "prune --keep-cache": lambda folder: _prune(folder, keep_cache=True),
    "prune --keep-size": lambda folder: _prune(folder, policy=PrunePolicy(keep_size=1)),
    "save": lambda folder: _save(folder, coding=Coding("gzip")),
    "save as docker does": lambda folder: _save(folder, form="docker-archive"),
    "save --since --split": _save_difference,
    "load": _load,
    "load parts of a difference": lambda folder: _load(folder, "archive-parts"),
    "sign": _sign,
    "export": _export,
    "push": _push,
    "pull": _pull,
}


def _spoil(folder: Path) -> None:
    """Damage a layer of an image, the entry of another one, the mark of the layout and the build cache."""
    store = folder / "store"
    with opened(folder, access="look") as backends:
        spoilt = backends.images.get(APP)
    assert spoilt is not None
    blob = store / "blobs/sha256" / spoilt.layers[-1].diff_id.hex
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    os.utime(blob, ns=(0, 0))
    index = json.loads((store / "index.json").read_text())
    kept = next(one for one in index["manifests"] if "kept" in json.dumps(one))
    kept["size"] += 1
    (store / "index.json").write_text(json.dumps(index))
    (store / "oci-layout").write_text("{}")
    for record in (store / "cache/keys").glob("*/*"):
        record.chmod(0o600)
        record.write_bytes(record.read_bytes()[:-1])


def _lose_the_index(folder: Path) -> None:
    """Leave the beginning of the index, with the names that stand in it."""
    index = folder / "store/index.json"
    index.write_text(index.read_text()[:-2])


def _repair(folder: Path) -> Names:
    """Mend the store; what comes of it is which images are there then."""
    check_store(str(folder / "store"), repair=True)
    return names(folder)


def _take_a_layer_away(folder: Path) -> None:
    """Leave a build that the cache knows without its last layer, which ``_build_on_what_was_left`` puts back."""
    COMMANDS["build"](folder)
    with opened(folder, access="look") as backends:
        built = backends.images.get(APP)
    assert built is not None
    _rmi(folder)
    blob = folder / "store/blobs/sha256" / built.layers[-1].diff_id.hex
    blob.rename(folder / "out" / blob.name)


def _build_on_what_was_left(folder: Path) -> object:
    """Build where another build has just written a layer, and was killed before it waited for the disk."""
    blobs = folder / "store/blobs/sha256"
    for left in (folder / "out").glob("?" * 64):
        if not (blobs / left.name).exists():
            (blobs / left.name).write_bytes(left.read_bytes())
    return COMMANDS["build"](folder)


def _save_beside(folder: Path) -> object:
    """Save where the file system has no files without a name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wholefile, "_open_nameless", lambda _folder: None)
        return COMMANDS["save"](folder)


PREPARED: dict[str, Callable[[Path], None]] = {
    "repair": _spoil,
    "repair of a lost index": _lose_the_index,
    "build on what was left": _take_a_layer_away,
}
"""What comes before some commands: damage to mend, and what a killed process left."""

CUT_ONLY: dict[str, Callable[[Path], object]] = {
    "repair": _repair,
    "repair of a lost index": _repair,
    "build on what was left": _build_on_what_was_left,
    "save beside": _save_beside,
}
"""Commands that only the power stops: they begin in a store that is damaged, or need more than a call to fail."""


def prepare(folder: Path, registry: FakeRegistry) -> None:
    """Make the store, with images, a cache, garbage and what a killed process left; and images to load and to pull."""
    write_tree(str(folder / "context"), {"loaded": "2"})
    (folder / "registry").write_text(registry.host)
    served, settings = remote(folder, SERVED)
    make(folder, "FROM scratch\nCOPY . .\nRUN echo 3 > three\nCMD served", served)
    push_image(served, str(folder / "store"), settings)
    manifest = registry.content.manifest(SERVED, "v1").data
    publish(registry, oras_artifact(manifest), cosign_artifact(manifest))
    shutil.rmtree(folder / "store")
    make(folder, "FROM scratch\nCOPY . .\nCMD loaded", LOADED)
    sign(folder, LOADED, WireForm(coding=Coding("zstd")))
    save_image("loaded:v1", str(folder / "archive.tar"), root=str(folder / "store"), coding=Coding("zstd"))
    shutil.rmtree(folder / "store")
    shutil.rmtree(folder / "context")
    write_tree(str(folder / "context"), CONTEXT)
    (folder / "out").mkdir()
    make(folder, f"FROM scratch\nCOPY a .\nCMD {GARBAGE}")
    make(folder, "FROM scratch\nCOPY a opt\nRUN echo 2 > opt/b\nCMD old")
    make(folder, "FROM scratch\nCOPY a .\nCMD kept", KEPT)
    pushed, _ = remote(folder, PUSHED)
    make(folder, "FROM scratch\nCOPY big .\nCOPY a .\nCMD pushed", pushed)
    sign(folder, pushed, WireForm(coding=Coding("gzip"), only_raw=True))
    sign(folder, APP, WireForm())
    save_image("app:v1", str(folder / "out/app.tar"), root=str(folder / "store"), coding=Coding("gzip"))
    make(folder, "FROM kept:v1\nCOPY big opt\nCMD difference", DIFFERENCE)
    save_difference(folder, DIFFERENCE, folder / "archive-parts", split=40_000)
    with opened(folder) as backends:
        remove_images([DIFFERENCE], backends)
    for name in SIGNERS:
        write_pair(folder, "ed25519", name=name)
    with opened(folder) as backends:
        sign_image(KEPT, str(folder / f"{SIGNERS[0]}.pem"), backends)
    left = folder / "store/ingest/0123456789abcdef"
    left.mkdir(mode=0o700)
    for name in ("lease", "1"):
        (left / name).write_bytes(b"")


def names_in(backends: Backends) -> Names:
    return {one.reference.familiar(): one.image_id for one in backends.images.records() if one.reference is not None}


def names(folder: Path) -> Names:
    """Return the names of a store's images, and an impossible one where they cannot be listed."""
    try:
        with opened(folder, access="look") as backends:
            return names_in(backends)
    except StoreError as error:
        return {f"cannot be listed: {error.code}": Digest.of(b"")}


def left_by_a_session(folder: Path) -> list[str]:
    """Return what is below ``ingest/`` when one more session has begun and ended."""
    with Store.open(str(folder / "store")) as store, store.snapshots.scratch():
        pass
    return os.listdir(folder / "store/ingest")


def damage(folder: Path) -> list[str]:
    return [str(one) for one in check_store(str(folder / "store")) if one.damage]


class Bench:
    """Copies of a prepared folder to try commands in, and what is known of each command.

    Shape: what a state of the disk and the registry leads to is found out once; ``looked_at`` are those that are known
           to be good.
    """

    def __init__(self, folder: Path, registry: FakeRegistry) -> None:
        self._registry = registry
        self._copy = RenewedCopy(folder / "template", folder / "place")
        self.place = self._copy.place
        self._known: dict[str, tuple[Names, object, State]] = {}
        self._looked_at: set[tuple[str, bool, str]] = set()
        self._known_good: set[str] = set()

    def fresh(self, command: str) -> Path:
        """Return a copy, for a command that needs a store, or none."""
        self._copy.renew()
        self._registry.remove(PUSHED)
        if command == FIRST_BUILD:
            shutil.rmtree(self.place / "store")
        if command in PREPARED:
            PREPARED[command](self.place)
        return self.place

    def lay_out(self, entries: Mapping[str, Entry]) -> None:
        """Make the copy as somebody wants it."""
        self._copy.renew(entries)

    def once(self, judge: Callable[[Path], Iterable[str]], place: Path) -> list[str]:
        """Return what a judge says who knows the copy alone; one that it found good is not judged again."""
        state = fingerprint(self._copy)
        problems = [] if state in self._known_good else list(judge(place))
        if not problems:
            self._known_good.add(state)
        return problems

    def expected(self, command: str) -> object:
        """Return what a command comes to that nobody disturbs."""
        return self._know(command)[1]

    def names_around(self, command: str) -> tuple[Names, Names]:
        """Return the names of the store's images before and after a command that nobody disturbs."""
        before, _, after = self._know(command)
        return _in_store(before), _in_store(after.names)

    def names_of(self, place: Path) -> Names:
        """Return the names of the images in the store below ``place``; none where there is no store."""
        return _in_store(names(place)) if (place / "store").exists() else {}

    def problems(self, command: str, *, done: bool) -> list[str]:
        """Say what is wrong with what a command left: it did all or nothing, and can be repeated."""
        before, expected, after = self._know(command)
        state = command, done, f"{fingerprint(self._copy)} {sorted(self._registry.blobs(PUSHED))} {self._pushed()}"
        if state in self._looked_at:
            return []
        found = self._names()
        half_done = [] if found == after.names or (found == before and not done) else [f"the images are {found}"]
        problems = half_done + damage(self.place)
        again = COMMANDS[command](self.place)
        problems += [f"the next time it comes to {again}"] if again != expected else []
        problems += [f"left in ingest/: {name}" for name in left_by_a_session(self.place)]
        problems += differences(self._settled(), after)
        if not problems:
            self._looked_at.add(state)
        return problems

    def _know(self, command: str) -> tuple[Names, object, State]:
        if command not in self._known:
            self.fresh(command)
            before = self._names()
            expected = (COMMANDS | CUT_ONLY)[command](self.place)
            self._known[command] = before, expected, self._settled()
            self.fresh(command)
        return self._known[command]

    def _names(self) -> Names:
        return names(self.place) | self._pushed()

    def _pushed(self) -> Names:
        return {f"pushed:{tag}": digest for tag, digest in self._registry.tags(PUSHED).items()}

    def _settled(self) -> State:
        """Prune, and give the state then."""
        prune_store(str(self.place / "store"), keep_cache=True)
        paths = frozenset(path for path, _ in walk(self.place) if not path.startswith("store/cache/"))
        return State(self._names(), paths)


def _in_store(names: Names) -> Names:
    """Leave out what the registry has."""
    return {name: digest for name, digest in names.items() if not name.startswith("pushed:")}


def differences(found: State, expected: State) -> list[str]:
    """Say what is there and should not be, or the other way round."""
    return [
        *(f"there is {path}" for path in sorted(found.paths - expected.paths)),
        *(f"there is no {path}" for path in sorted(expected.paths - found.paths)),
        *(f"{name} should be {expected.names.get(name)}" for name, _ in found.names.items() ^ expected.names.items()),
    ]


def fingerprint(copy: RenewedCopy) -> str:
    """Digest all that is in a copy; sessions and unfinished files have names by chance, and times tell a mark."""
    digest = hashlib.sha256()
    for path, status in sorted(walk(copy.place)):
        shown = _BY_CHANCE.sub("*", path)
        digest.update(f"{shown} {status.st_mode} {status.st_size} {status.st_mtime_ns == 0}\n".encode())
        if stat.S_ISREG(status.st_mode) and not path.startswith(("archive", "context")):
            digest.update(hash(copy.content(path, status)).to_bytes(8, signed=True))
    return digest.hexdigest()
