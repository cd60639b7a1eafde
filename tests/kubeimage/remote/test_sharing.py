"""A build cache that machines share: what one did, no other does again."""

import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from harness.fakes.registry import FakeRegistry, Slow, Status, WrongBytes
from harness.fakes.registry.faults import Answer
from harness.fakes.registry.messages import Request, Response
from kubeimage import (
    BuildOptions,
    CommandError,
    RegistryError,
    SharedCache,
    UsageError,
    build_image,
    parse,
    prune_shared_cache,
    push_image,
)
from kubeimage.image.digest import Digest
from kubeimage.store import blobs
from kubeimage.store.blobs import hash_file
from tests.e2e.program import wait_until
from tests.kubeimage.remote import lies
from tests.kubeimage.remote.conftest import Machine

Machines = Callable[[str], Machine]
Keys = Callable[[str], tuple[str, str]]

KUBEFILE = """\
FROM scratch
COPY a.txt etc/a.txt
RUN cat etc/a.txt > b.txt
COPY c.txt etc/c.txt
RUN cat b.txt etc/c.txt > d.txt
"""
FILES = {"a.txt": "a", "c.txt": "c"}
COPIES = "FROM scratch\nCOPY a.txt etc/a.txt\nCOPY c.txt etc/c.txt\n"


def both(registry: FakeRegistry, name: str = "team/cache", **keys: str | tuple[str, ...]) -> SharedCache:
    """Read from a repository, and write to it."""
    place = (f"{registry.host}/{name}",)
    return SharedCache(place, place, **keys)  # type: ignore[arg-type]


def only_from(registry: FakeRegistry, name: str = "team/cache", *trusted: str) -> SharedCache:
    return SharedCache((f"{registry.host}/{name}",), trusted=trusted)


def written(registry: FakeRegistry) -> list[str]:
    return [call for call in registry.calls() if call.split()[0] in ("PUT", "POST", "PATCH", "DELETE")]


def fetched_layers(registry: FakeRegistry) -> list[str]:
    return [call for call in registry.calls() if call.startswith("GET") and "/blobs/" in call]


@pytest.mark.parametrize("place", ["registry", "folder"])
def test_what_one_machine_did_no_other_does_again(
    machine: Machines, fake_registry: FakeRegistry, tmp_path: Path, place: str
) -> None:
    ref = f"{fake_registry.host}/team/cache" if place == "registry" else f"oci:{tmp_path}/cache"
    shared = SharedCache((ref,), (ref,))

    first = machine("one").build(KUBEFILE, FILES, shared)
    second = machine("two").build(KUBEFILE, FILES, shared)

    assert (first.cache_hits, second.cache_hits, second.cache_misses) == (0, 4, 0)
    assert second.image.id == first.image.id
    assert machine("two").said == []


def test_the_layers_are_here_before_the_image_is(machine: Machines, fake_registry: FakeRegistry) -> None:
    machine("one").build(KUBEFILE, FILES, both(fake_registry))

    built = machine("two").build(KUBEFILE, FILES, only_from(fake_registry))

    again = machine("two").build(KUBEFILE, FILES)
    assert again.image.id == built.image.id
    assert again.cache_hits == 4, "what came is remembered here"


def test_a_step_is_written_whose_layer_is_marked_while_it_is_hashed(
    machine: Machines, fake_registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []

    def hash_until_marked(stream: BinaryIO) -> Digest:
        found = hash_file(stream)
        hashed.append(found)
        wait_until(lambda: os.fstat(stream.fileno()).st_mtime_ns == 0, "the build marks its layer")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(blobs, "hash_file", hash_until_marked)
        machine("one").build(KUBEFILE, FILES, both(fake_registry))

    assert hashed, "the session that writes the cache hashes what the build's own has not marked yet"
    assert machine("two").build(KUBEFILE, FILES, only_from(fake_registry)).cache_hits == 4


class Held:
    """Answer once something has happened: however slow a build is, nothing of it is written before its end."""

    def __init__(self, until: threading.Event) -> None:
        self._until = until

    def apply(self, request: Request, answer: Answer) -> Response:  # noqa: ARG002 - the protocol's
        assert self._until.wait(60)
        return answer()


def test_who_is_stopped_waits_for_nothing_more(machine: Machines, fake_registry: FakeRegistry) -> None:
    one, is_built = machine("one"), threading.Event()
    fake_registry.on("PUT *", Held(is_built))
    fake_registry.on("PUT *", Slow(0.2), times=None)
    only_to = SharedCache(targets=(f"{fake_registry.host}/team/cache",))

    with pytest.raises(KeyboardInterrupt), one.backends(only_to, "write") as backends:
        build_image(parse(KUBEFILE), one.context(FILES), backends, options=BuildOptions())
        is_built.set()
        raise KeyboardInterrupt

    assert machine("two").build(KUBEFILE, FILES, only_from(fake_registry)).cache_hits < 4


def test_each_step_is_written_when_it_is_done(machine: Machines, fake_registry: FakeRegistry) -> None:
    failing = KUBEFILE + "RUN exit 3\n"
    fake_registry.on("PUT *", Slow(0.05), times=None)

    with pytest.raises(CommandError, match="exit status 3"):
        machine("one").build(failing, FILES, both(fake_registry))

    assert machine("two").build(KUBEFILE, FILES, only_from(fake_registry)).cache_hits == 4


def test_nothing_is_written_without_cache_to(machine: Machines, fake_registry: FakeRegistry) -> None:
    machine("one").build(KUBEFILE, FILES, both(fake_registry))
    fake_registry.forget()

    machine("two").build(KUBEFILE.replace("d.txt", "e.txt"), FILES, only_from(fake_registry))

    assert written(fake_registry) == []


def test_what_is_there_is_not_written_again(machine: Machines, fake_registry: FakeRegistry) -> None:
    shared = both(fake_registry)
    machine("one").build(KUBEFILE, FILES, shared)
    fake_registry.forget()

    machine("one").build(KUBEFILE, FILES, shared)
    machine("two").build(KUBEFILE, FILES, shared)

    assert written(fake_registry) == []


def test_what_this_machine_has_is_shared_too(machine: Machines, fake_registry: FakeRegistry) -> None:
    machine("one").build(KUBEFILE, FILES)

    machine("one").build(KUBEFILE, FILES, SharedCache(targets=(f"{fake_registry.host}/team/cache",)))

    assert machine("two").build(KUBEFILE, FILES, only_from(fake_registry)).cache_hits == 4


def test_a_step_that_made_nothing_is_shared(machine: Machines, fake_registry: FakeRegistry) -> None:
    kubefile = "FROM scratch\nCOPY a.txt .\nRUN true\nRUN cat a.txt > b.txt\n"
    machine("one").build(kubefile, FILES, both(fake_registry))

    assert machine("two").build(kubefile, FILES, only_from(fake_registry)).cache_hits == 3


def test_an_edit_misses_from_the_first_step_that_reads_it(machine: Machines, fake_registry: FakeRegistry) -> None:
    machine("one").build(KUBEFILE, FILES, both(fake_registry))
    edited = {**FILES, "c.txt": "C"}
    alone = machine("alone").build(KUBEFILE, edited)

    found = machine("two").build(KUBEFILE, edited, only_from(fake_registry))

    assert [step.cached for step in found.steps] == [True, True, False, False]
    assert found.image.id == alone.image.id


def test_of_a_whole_project_the_last_step_is_asked_for_first(machine: Machines, fake_registry: FakeRegistry) -> None:
    many = "FROM scratch\n" + "".join(f"COPY a.txt {n}.txt\n" for n in range(20))
    machine("one").build(many, FILES, both(fake_registry))
    fake_registry.forget()

    found = machine("two").build(many, FILES, only_from(fake_registry))

    assert found.cache_hits == 20
    asked = [call for call in fake_registry.calls() if "/manifests/step-" in call]
    assert len(asked) == 8, "the last eight, at once"


def test_caches_are_asked_in_order(machine: Machines, fake_registry: FakeRegistry) -> None:
    machine("one").build(KUBEFILE, FILES, both(fake_registry, "team/first"))
    machine("other").build(KUBEFILE + "RUN echo > e.txt\n", FILES, both(fake_registry, "team/second"))
    places = (f"{fake_registry.host}/team/first", f"{fake_registry.host}/team/second")

    found = machine("two").build(KUBEFILE + "RUN echo > e.txt\n", FILES, SharedCache(places))

    assert found.cache_hits == 5


def test_a_record_is_an_oci_artifact(machine: Machines, fake_registry: FakeRegistry) -> None:
    machine("one").build(COPIES, FILES, both(fake_registry))

    tags = fake_registry.content.tags("team/cache")
    assert len(tags) == 2
    assert all(tag.startswith("step-") and len(tag) == len("step-") + 64 for tag in tags)
    for tag in tags:
        manifest = json.loads(fake_registry.content.manifest("team/cache", tag).data)
        assert manifest["artifactType"] == "application/vnd.kubeimage.cache.step.v1+json"
        record = json.loads(fake_registry.content.blob("team/cache", Digest.parse(manifest["config"]["digest"])))
        assert record["key"] == f"sha256:{tag.removeprefix('step-')}"
        for step in record["steps"]:
            assert set(step["layer"]) == {"digest", "diff_id", "size", "type", "tar_size"}


class TestPush:
    """``build --push``: what the cache has goes from registry to registry."""

    def test_a_fully_cached_project_moves_no_layer(
        self, machine: Machines, fake_registry: FakeRegistry, keys: Keys
    ) -> None:
        private, public = keys("ours")
        machine("one").build(KUBEFILE, FILES, both(fake_registry, key=private, trusted=(public,)))
        fake_registry.forget()
        name = f"{fake_registry.host}/team/app:v1"

        machine("two").push(KUBEFILE, FILES, only_from(fake_registry, "team/cache", public), name)

        assert fetched_layers(fake_registry) == []
        mounts = [one for one in fake_registry.requests if "mount" in one.query]
        assert len(mounts) == 4, "the layers; nobody has the config"
        assert not list(machine("two").store.glob("blobs/sha256/*"))

    def test_the_image_is_the_one_that_any_push_sends(self, machine: Machines, fake_registry: FakeRegistry) -> None:
        machine("one").build(KUBEFILE, FILES, both(fake_registry))
        far, near = f"{fake_registry.host}/team/far:v1", f"{fake_registry.host}/team/near:v1"

        machine("two").push(KUBEFILE, FILES, only_from(fake_registry), far)
        machine("one").push(KUBEFILE, FILES, SharedCache(), near)

        sent = [fake_registry.content.manifest(f"team/{one}", "v1").data for one in ("far", "near")]
        assert sent[0] == sent[1]

    def test_to_another_registry_blobs_are_copied(self, machine: Machines, fake_registry: FakeRegistry) -> None:
        machine("one").build(COPIES, FILES, both(fake_registry))
        with FakeRegistry() as other:
            shared = only_from(fake_registry)
            two = Machine(machine("two").folder, other)
            two.settings = two.settings.with_insecure([f"http://{fake_registry.host}"])

            two.push(COPIES, FILES, shared, f"{other.host}/team/app:v1")

            assert len(json.loads(other.content.manifest("team/app", "v1").data)["layers"]) == 2


class TestTrust:
    """Signed records, and lies."""

    def test_what_nobody_signed_is_a_miss(self, machine: Machines, fake_registry: FakeRegistry, keys: Keys) -> None:
        _, public = keys("ours")
        machine("one").build(COPIES, FILES, both(fake_registry))

        found = machine("two").build(COPIES, FILES, only_from(fake_registry, "team/cache", public))

        assert found.cache_hits == 0
        assert ["nobody has signed it" in text for text in machine("two").said] == [True]

    def test_what_another_key_signed_is_a_miss(
        self, machine: Machines, fake_registry: FakeRegistry, keys: Keys
    ) -> None:
        theirs, _ = keys("theirs")
        _, public = keys("ours")
        machine("one").build(COPIES, FILES, both(fake_registry, key=theirs))

        found = machine("two").build(COPIES, FILES, only_from(fake_registry, "team/cache", public))

        assert found.cache_hits == 0
        assert "none of the trusted keys" in machine("two").said[0]

    def test_one_of_several_keys_is_enough(self, machine: Machines, fake_registry: FakeRegistry, keys: Keys) -> None:
        private, public = keys("ours")
        machine("one").build(COPIES, FILES, both(fake_registry, key=private))

        shared = only_from(fake_registry, "team/cache", keys("theirs")[1], public)

        assert machine("two").build(COPIES, FILES, shared).cache_hits == 2

    def test_a_record_of_another_repository_is_a_miss(
        self, machine: Machines, fake_registry: FakeRegistry, keys: Keys
    ) -> None:
        private, public = keys("ours")
        machine("one").build(COPIES, FILES, both(fake_registry, key=private))
        lies.copy_records(fake_registry, "team/cache", "strangers/cache")

        found = machine("two").build(COPIES, FILES, only_from(fake_registry, "strangers/cache", public))

        assert found.cache_hits == 0
        assert f"it was made for {fake_registry.host}/team/cache" in machine("two").said[0]

    @pytest.mark.needs("openssl")
    def test_an_ecdsa_key_signs(self, machine: Machines, fake_registry: FakeRegistry, tmp_path: Path) -> None:
        private, public = tmp_path / "ec.pem", tmp_path / "ec.pub"
        make = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(private)]
        subprocess.run(make, check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)], check=True)
        machine("one").build(COPIES, FILES, both(fake_registry, key=str(private)))

        shared = only_from(fake_registry, "team/cache", str(public))

        assert machine("two").build(COPIES, FILES, shared).cache_hits == 2

    def test_a_copy_is_checked_against_the_context(self, machine: Machines, fake_registry: FakeRegistry) -> None:
        """Somebody has put another layer under the key of a COPY."""
        machine("liar").build(COPIES, {**FILES, "a.txt": "evil"}, both(fake_registry, "liars/cache"))
        machine("one").build(COPIES, FILES, both(fake_registry))
        lies.take_over(fake_registry, "liars/cache", "team/cache")

        found = machine("two").build(COPIES, FILES, only_from(fake_registry))

        assert found.image.id == machine("alone").build(COPIES, FILES).image.id
        assert "it is not believed" in machine("two").warned[0]

    def test_a_blob_that_holds_another_layer_is_found_out(self, machine: Machines, fake_registry: FakeRegistry) -> None:
        """Of a RUN, which nobody does again to see."""
        machine("one").build(KUBEFILE, FILES, both(fake_registry))

        def lie(record: lies.Json) -> None:
            record["steps"][-1]["layer"]["diff_id"] = f"sha256:{'0' * 64}"

        lies.rewrite(fake_registry, "team/cache", lies.tags(fake_registry, "team/cache")[-1], lie)

        found = machine("two").build(KUBEFILE, FILES, only_from(fake_registry))

        assert found.image.id == machine("alone").build(KUBEFILE, FILES).image.id
        assert "its blob holds another layer" in machine("two").said[0]

    @pytest.mark.parametrize("text", ["no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
    def test_a_file_that_is_no_key_is_told(self, machine: Machines, fake_registry: FakeRegistry, text: str) -> None:
        machine("one").folder.mkdir()
        path = machine("one").folder / "key.pem"
        path.write_text(text)

        with pytest.raises(UsageError, match="holds no private key"):
            machine("one").build(COPIES, FILES, both(fake_registry, key=str(path)))


class TestContinuity:
    """What was made on top of one result does not fit another one."""

    def test_a_record_on_top_of_another_result_is_a_miss(self, machine: Machines, fake_registry: FakeRegistry) -> None:
        kubefile = "FROM scratch\nRUN date +%s%N > now\nRUN cat now > copy\n"
        machine("two").build("FROM scratch\nRUN date +%s%N > now\n", {})
        machine("one").build(kubefile, {}, both(fake_registry))

        found = machine("two").build(kubefile, {}, only_from(fake_registry))

        assert [step.cached for step in found.steps] == [True, False], "its own first, and what stands on that"
        assert "on top of another result" in machine("two").said[0]
        first, second = found.image.layers
        assert read(machine("two"), first.diff_id, "now") == read(machine("two"), second.diff_id, "copy")


class TestWeather:
    """A cache that is down, slow or wrong makes a build slower, never red."""

    def test_no_registry_at_all(self, machine: Machines, fake_registry: FakeRegistry) -> None:
        shared, one = both(fake_registry), machine("one")
        fake_registry.stop()

        found = one.build(COPIES, FILES, shared)

        assert found.cache_misses == 2
        assert len(one.said) == 2, "once for reading, once for writing"
        fake_registry.start()

    @pytest.mark.parametrize("what", ["GET */manifests/*", "HEAD */blobs/*", "GET */blobs/*"])
    @pytest.mark.parametrize("status", [500, 403, 404, 429])
    def test_answers_that_are_none(
        self, machine: Machines, fake_registry: FakeRegistry, what: str, status: int
    ) -> None:
        # One RUN for each call is enough.
        kubefile = KUBEFILE if status == 500 else COPIES
        machine("one").build(kubefile, FILES, both(fake_registry))
        fake_registry.on(what, Status(status), times=None)

        found = machine("two").build(kubefile, FILES, only_from(fake_registry))

        assert found.image.id == machine("alone").build(kubefile, FILES).image.id
        assert len(machine("two").said) <= 2

    @pytest.mark.parametrize("what", ["POST */blobs/uploads/*", "PUT */blobs/uploads/*", "PUT */manifests/*"])
    @pytest.mark.parametrize("status", [500, 403, 507])
    def test_half_a_push(self, machine: Machines, fake_registry: FakeRegistry, what: str, status: int) -> None:
        fake_registry.on(what, Status(status), times=None)

        machine("one").build(COPIES, FILES, both(fake_registry))

        assert ["is not written any more" in text for text in machine("one").said] == [True]
        fake_registry.forget()
        assert machine("two").build(COPIES, FILES, both(fake_registry)).cache_hits == 0

    def test_two_writers_of_one_key(self, machine: Machines, fake_registry: FakeRegistry) -> None:
        """A RUN that makes another layer each time: what came after one result does not fit the other."""
        kubefile = "FROM scratch\nRUN date +%s%N > now\nRUN cat now > copy\n"
        shared = both(fake_registry)
        machine("one").build(kubefile, {}, shared)
        machine("two").build(kubefile, {}, SharedCache(targets=shared.targets), use_cache=False)

        found = machine("three").build(kubefile, {}, only_from(fake_registry))

        assert found.cache_hits == 2
        one = found.image.layers
        assert read(machine("three"), one[0].diff_id, "now") == read(machine("three"), one[1].diff_id, "copy")


def read(machine: Machine, diff_id: Digest, path: str) -> bytes:
    with (
        machine.backends(None, "read") as backends,
        backends.layers.open(diff_id) as layer,
        tarfile.open(fileobj=layer) as tar,
    ):
        member = tar.extractfile(path)
        assert member is not None
        return member.read()


def test_plan_says_why_against_the_records_of_others(machine: Machines, fake_registry: FakeRegistry) -> None:
    machine("one").build(KUBEFILE, FILES, both(fake_registry))
    fake_registry.forget()

    found = machine("two").plan(KUBEFILE, {**FILES, "c.txt": "C"}, only_from(fake_registry))

    assert [one.outcome for one in found] == ["hit", "hit", "run", "run"]
    assert found[2].why_missed == "file etc/c.txt changed"
    assert not machine("two").store.exists()
    assert written(fake_registry) == []


class TestPrune:
    """Old records go."""

    @pytest.mark.parametrize("place", ["registry", "folder"])
    def test_records_go_by_their_age(
        self, machine: Machines, fake_registry: FakeRegistry, tmp_path: Path, place: str
    ) -> None:
        ref = f"{fake_registry.host}/team/cache" if place == "registry" else f"oci:{tmp_path}/cache"
        machine("one").build(COPIES, FILES, SharedCache((ref,), (ref,)))
        with machine("two").backends(None, "look") as backends:
            assert prune_shared_cache(ref, backends, older_than=3600).removed == 0
            dry = prune_shared_cache(ref, backends, older_than=-5, dry_run=True)
            wet = prune_shared_cache(ref, backends, older_than=-5)
            after = prune_shared_cache(ref, backends, older_than=-5)

        assert (dry.removed, wet.removed, after.removed) == (2, 2, 0)
        assert machine("three").build(COPIES, FILES, SharedCache((ref,))).cache_hits == 0
        if place == "folder":
            assert list((tmp_path / "cache/blobs/sha256").iterdir()) == []

    def test_a_registry_that_allows_no_deletion(self, machine: Machines, fake_registry: FakeRegistry) -> None:
        machine("one").build(COPIES, FILES, both(fake_registry))
        fake_registry.on("DELETE *", Status(405), times=None)

        with machine("two").backends(None, "look") as backends, pytest.raises(RegistryError) as caught:
            prune_shared_cache(f"{fake_registry.host}/team/cache", backends, older_than=-5)

        assert "allows no deletion" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("ref", "why"),
    [
        ("", "not a build cache"),
        ("oci:", "names no folder"),
        ("example.com/cache:v1", "has a tag"),
        (f"example.com/cache@sha256:{'0' * 64}", "has a tag or a digest"),
        ("EXAMPLE.com/Upper", "not a build cache"),
    ],
)
def test_what_names_no_cache_is_refused(machine: Machines, ref: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        machine("one").build(COPIES, FILES, SharedCache((ref,)))

    assert not machine("one").store.exists()


def test_push_of_an_image_that_is_here(machine: Machines, fake_registry: FakeRegistry) -> None:
    name = f"{fake_registry.host}/team/app:v1"

    machine("one").push(COPIES, FILES, SharedCache(), name)

    with machine("one").backends(None, "read") as backends:
        assert str(push_image(name, backends)) == str(fake_registry.content.manifest("team/app", "v1").digest)


class TestBases:
    """A base image that is in a registry stays there."""

    KUBEFILE = "FROM {host}/team/base:v1\nCOPY a.txt etc/a.txt\nRUN cat etc/a.txt > b.txt\nCOPY c.txt srv/c.txt\n"

    @pytest.fixture
    def kubefile(self, machine: Machines, fake_registry: FakeRegistry) -> str:
        """Return a Kubefile on a base image that is in the registry."""
        machine("before").push(COPIES, FILES, SharedCache(), f"{fake_registry.host}/team/base:v1")
        return self.KUBEFILE.format(host=fake_registry.host)

    def push(
        self, machine: Machine, kubefile: str, registry: FakeRegistry, shared: SharedCache, **options: str
    ) -> Digest:
        return machine.push(kubefile, FILES, shared, f"{registry.host}/team/app:v1", **options).image.id

    def test_none_of_its_layers_comes_where_every_step_is_known(
        self, machine: Machines, fake_registry: FakeRegistry, kubefile: str, keys: Keys
    ) -> None:
        private, public = keys("ci")
        one = machine("one").build(kubefile, FILES, both(fake_registry, key=private)).image.id
        fake_registry.forget()

        two = self.push(machine("two"), kubefile, fake_registry, only_from(fake_registry, "team/cache", public))

        configs = [one for one in fetched_layers(fake_registry) if "/team/base/" in one]
        assert two == one
        assert len(configs) == 1, "the base's config, and none of its layers"
        assert fetched_layers(fake_registry) == configs
        mounts = {one.query["from"][0] for one in fake_registry.requests if "mount" in one.query}
        assert mounts == {"team/base", "team/cache"}

    def test_a_step_that_is_done_here_has_it_here(
        self, machine: Machines, fake_registry: FakeRegistry, kubefile: str
    ) -> None:
        """What a RUN sees is fetched, and the image is the one that is built without any cache."""
        alone = machine("alone").build(kubefile, FILES).image.id

        two = self.push(machine("two"), kubefile, fake_registry, only_from(fake_registry))

        assert two == alone
        assert machine("three").build(f"FROM {fake_registry.host}/team/app:v1\n", {}).image.id is not None

    def test_a_base_that_lost_a_layer_is_an_error(
        self, machine: Machines, fake_registry: FakeRegistry, kubefile: str
    ) -> None:
        base = json.loads(fake_registry.content.manifest("team/base", "v1").data)
        fake_registry.content.delete_blob("team/base", Digest.parse(base["layers"][0]["digest"]))

        with pytest.raises(RegistryError, match="team/base"):
            self.push(machine("two"), kubefile, fake_registry, only_from(fake_registry))

        assert any("is fetched whole" in text for text in machine("two").said)

    def test_a_layer_that_came_wrong_comes_with_the_whole_base(
        self, machine: Machines, fake_registry: FakeRegistry, kubefile: str
    ) -> None:
        alone = machine("alone").build(kubefile, FILES).image.id
        base = json.loads(fake_registry.content.manifest("team/base", "v1").data)
        fake_registry.on(f"GET /v2/team/base/blobs/{base['layers'][0]['digest']}", WrongBytes(), times=1)

        two = self.push(machine("two"), kubefile, fake_registry, only_from(fake_registry))

        assert two == alone
        assert any("is fetched whole" in text for text in machine("two").said)

    def test_a_base_may_be_named_by_its_digest(
        self, machine: Machines, fake_registry: FakeRegistry, kubefile: str
    ) -> None:
        digest = fake_registry.content.manifest("team/base", "v1").digest
        pinned = kubefile.replace("base:v1", f"base@{digest}")

        assert self.push(machine("two"), pinned, fake_registry, only_from(fake_registry)) == self.push(
            machine("three"), pinned, fake_registry, SharedCache()
        )
