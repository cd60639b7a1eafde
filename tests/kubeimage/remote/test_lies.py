"""A registry that lies in every field: it makes builds slower, never wrong, and never red."""

import copy
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.fakes.registry import FakeRegistry
from kubeimage import Access, Backends, SharedCache
from kubeimage.api.building import make_store
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.protocols.running import Command, CommandResult, Mount
from tests.disk import folder_in_memory
from tests.kubeimage.remote import lies
from tests.kubeimage.remote.conftest import Machine
from tests.kubeimage.remote.inprocess import called_directly

RUN = "cat etc/a.txt >d.txt"
KUBEFILE = "FROM scratch\nCOPY a.txt etc/a.txt\nCOPY c.txt etc/c.txt\nCOPY a.txt b/\n"
WITH_RUN = KUBEFILE.replace("COPY c.txt", f"RUN {RUN}\nCOPY c.txt")
FILES = {"a.txt": "a", "c.txt": "c"}
OTHERS = {"a.txt": "evil", "c.txt": "worse"}
EXAMPLES = 5_000 if settings().max_examples > 1_000 else settings().max_examples // 4
"""Of each of two properties, by the profile: a lie costs two builds."""

HONEST, LIARS = "team/cache", "liars/cache"
VALUES = st.one_of(
    st.none(), st.integers(-1, 1 << 70), st.text(max_size=8), st.booleans(), st.just([]), st.just({}),
    st.sampled_from(["sha256:" + "0" * 64, "linux/arm64", "2020-01-01T00:00:00Z"]),
)  # fmt: skip


class Catting:
    """Does the one RUN there is, without a process."""

    name = "none"

    def check_platform(self, platform: Platform) -> None:
        """Run for any platform."""

    def run(self, command: Command, mount: Mount, _output: Callable[[bytes], None]) -> CommandResult:
        """Do what `RUN` says."""
        assert command.script == RUN
        root = Path(mount.rootfs)
        (root / "d.txt").write_bytes((root / "etc/a.txt").read_bytes())
        return CommandResult(0)


class Quick(Machine):
    """A machine whose RUN is no process."""

    @contextmanager
    def backends(self, shared: SharedCache | None, access: Access) -> Iterator[Backends]:
        """Open the machine's store, with what others know."""
        with super().backends(shared, access) as opened:
            yield replace(opened, runner=Catting())


@dataclass(frozen=True, repr=False)
class World:
    """A registry with honest records and with a liar's, of one Kubefile; and what it comes to without any cache.

    Shape: ``folder`` has machines to be copied: ``fresh``, whose store is empty, and ``spoilt``, whose store has what
           the liar's steps make.
    """

    folder: Path
    registry: FakeRegistry
    kubefile: str
    image_id: Digest
    key: str
    tags: tuple[str, ...]
    theirs: Any
    repositories: dict[str, Any]

    def __repr__(self) -> str:
        return f"World({self.kubefile!r})"

    def reset(self) -> None:
        """Let everything be as it was before the last lie."""
        self.registry.content.repositories = copy.deepcopy(self.repositories)
        self.registry.forget()

    @contextmanager
    def machine(self, name: str) -> Iterator[Machine]:
        """Return a copy of a machine."""
        with TemporaryDirectory(dir=self.folder) as place:
            shutil.copytree(self.folder / name, place, dirs_exist_ok=True)
            yield Quick(Path(place), self.registry)


def make_world(folder: Path, registry: FakeRegistry, kubefile: str, key: str | None) -> World:
    place = {name: (f"{registry.host}/{name}",) for name in (HONEST, LIARS)}
    built = Machine(folder / "one", registry).build(kubefile, FILES, SharedCache(targets=place[HONEST], key=key))
    Machine(folder / "liar", registry).build(kubefile, OTHERS, SharedCache(targets=place[LIARS]))
    Machine(folder / "spoilt", registry).build(kubefile, OTHERS)
    with Machine(folder / "fresh", registry).backends(None, "write") as backends:
        make_store(backends)
    public = f"{key}.pub" if key is not None else ""
    tags = tuple(lies.tags(registry, HONEST))
    theirs = lies.record_of(registry, LIARS, lies.tags(registry, LIARS)[0])["steps"][0]["layer"]
    return World(
        folder, registry, kubefile, built.image.id, public, tags, theirs, copy.deepcopy(registry.content.repositories)
    )


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Whose records nobody has signed."""
    with FakeRegistry() as registry, folder_in_memory(tmp_path_factory) as folder:
        yield make_world(folder, registry, KUBEFILE, None)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Whose records are signed, a RUN's among them."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with FakeRegistry() as registry, folder_in_memory(tmp_path_factory) as folder:
        private = folder / "key"
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (folder / "key.pub").write_bytes(public)
        yield make_world(folder, registry, WITH_RUN, str(private))


@st.composite
def leaves(draw: st.DrawFn, value: Any) -> list[Any]:
    """Draw the way to something in a JSON document."""
    way: list[Any] = []
    while isinstance(value, dict | list) and value:
        step = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        way.append(step)
        value = value[step]
        if draw(st.booleans()) and way:
            break
    return way


def put_at(document: Any, way: list[Any], value: Any) -> None:
    for step in way[:-1]:
        document = document[step]
    document[way[-1]] = value


def lie(data: st.DataObject, world: World) -> None:
    """Let the registry tell one lie."""
    registry, content = world.registry, world.registry.content
    tag, other = data.draw(st.sampled_from(world.tags)), data.draw(st.sampled_from(world.tags))
    repository = content.repository(HONEST)
    kind = data.draw(
        st.sampled_from(["record", "manifest", "swap", "blob", "cut", "gone", "garbage", "liars", "mixed"])
    )
    if kind == "record":
        way, value = data.draw(leaves(lies.record_of(registry, HONEST, tag))), data.draw(VALUES)
        lies.rewrite(registry, HONEST, tag, lambda record: put_at(record, way, value))
    elif kind == "manifest":
        manifest = lies.manifest_of(registry, HONEST, tag)
        put_at(manifest, data.draw(leaves(manifest)), data.draw(VALUES))
        lies.put(registry, HONEST, tag, manifest)
    elif kind == "swap":
        repository.tags[tag] = repository.tags[other]
    elif kind in ("blob", "cut", "gone"):
        digest = data.draw(st.sampled_from(sorted(repository.blobs, key=str)))
        old = repository.blobs[digest]
        if kind == "gone":
            del repository.blobs[digest]
        else:
            changed = bytes([old[0] ^ 1, *old[1:]]) if kind == "blob" else old[: len(old) // 2]
            repository.blobs[digest] = changed
    elif kind == "garbage":
        kept = content.manifest(HONEST, tag)
        garbage = replace(kept, data=data.draw(st.binary(max_size=20)))
        repository.manifests[garbage.digest] = garbage
        repository.tags[tag] = garbage.digest
    elif kind == "liars":
        lies.take_over(registry, LIARS, HONEST)
    else:
        # The liar's layer under the digest that the record names: the bytes are another tar's.
        mine = lies.record_of(registry, HONEST, tag)["steps"][0]["layer"]
        blob = content.repository(LIARS).blobs[Digest.parse(world.theirs["digest"])]
        repository.blobs[Digest.parse(mine["digest"])] = blob


def check(data: st.DataObject, world: World) -> None:
    world.reset()
    for _ in range(data.draw(st.integers(1, 3))):
        # What an earlier lie has spoilt cannot be lied about in turn.
        with suppress(ValueError, KeyError, TypeError, IndexError):
            lie(data, world)
    is_spoilt = data.draw(st.booleans(), label="the liar's layers are here")
    with called_directly(world.registry), world.machine("spoilt" if is_spoilt else "fresh") as machine:
        trusted = (world.key,) if world.key else ()
        shared = SharedCache((f"{world.registry.host}/{HONEST}",), trusted=trusted)

        built = machine.build(world.kubefile, FILES, shared)

        assert built.image.id == world.image_id
        # Nor does this machine remember a lie: what the next build finds here is what the step makes.
        assert machine.build(world.kubefile, FILES).image.id == world.image_id
        with machine.backends(None, "look") as backends:
            assert backends.store is not None
            assert [one for one in backends.store.check() if one.damage] == []


@settings(max_examples=EXAMPLES)
@given(st.data())
def test_a_registry_that_lies_about_copies_is_found_out(honest: World, data: st.DataObject) -> None:
    """Without keys: what a COPY makes is compared with the context."""
    check(data, honest)


@settings(max_examples=EXAMPLES)
@given(st.data())
def test_a_registry_that_lies_about_anything_is_found_out_by_keys(signed: World, data: st.DataObject) -> None:
    """With keys: what was signed says all of it, a RUN's layer as well."""
    check(data, signed)


def test_who_lies_about_nothing_is_believed(signed: World, tmp_path: Path) -> None:
    signed.reset()
    shared = SharedCache((f"{signed.registry.host}/{HONEST}",), trusted=(signed.key,))

    built = Machine(tmp_path, signed.registry).build(WITH_RUN, FILES, shared)

    assert (built.cache_hits, built.image.id) == (4, signed.image_id)
