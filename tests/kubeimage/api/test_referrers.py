"""Signatures, SBOMs and attestations travel with their image, byte for byte, over registries of all kinds and files."""

import json
import shutil
import tarfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.fakes.registry import FakeRegistry, Status, Truncated, WrongBytes
from kubeimage.api import archives, distribution, loading
from kubeimage.api.backends import open_backends
from kubeimage.api.inventories import take_inventory
from kubeimage.errors import ArchiveError, KubeimageError, RegistryContentError, RegistryError, UsageError
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import ALL_REFERRERS, NO_REFERRERS, ReferrerChoice, fallback_tag
from kubeimage.registry.events import ReferrerFinished, TransferEvent, TransferWarned
from kubeimage.registry.referrers import RepositoryReferrers
from kubeimage.registry.registries import Registries
from kubeimage.settings import HostSettings, Settings
from tests.artefacts import NOTATION, SPDX, Made, cosign_artifact, oras_artifact
from tests.kubeimage.store.foreign import Foreign, make_foreign, tar_of
from tests.registries import docker_registry

IMAGE = make_foreign(tar_of({"etc/a": b"one"}))
SUBJECT = IMAGE.descriptor.digest
SBOM, SIGNATURE = oras_artifact(IMAGE.manifest), cosign_artifact(IMAGE.manifest)
ATTESTATION = cosign_artifact(IMAGE.manifest, "att", b'{"payload": "e30="}', "application/vnd.dsse.envelope.v1+json")
NOTE = oras_artifact(SBOM.data, b"a signature of the SBOM", NOTATION)
ALL = (SBOM, SIGNATURE, ATTESTATION, NOTE)
KINDS = [
    "lists",
    "tags alone",
    pytest.param("docker-registry", marks=pytest.mark.needs("docker-registry")),
]


@dataclass(frozen=True)
class Place:
    """A registry of any kind, spoken to as by any client. Shape: ``lists`` says that it lists referrers itself."""

    host: str
    lists: bool
    fake: FakeRegistry | None = None

    @property
    def settings(self) -> Settings:
        return Settings(hosts={self.host: HostSettings(plain_http=True)})

    def name(self, tag: str = "v1") -> Reference:
        return Reference.parse(f"{self.host}/team/app:{tag}")

    def send(self, method: str, path: str, data: bytes = b"", media_type: str = "") -> tuple[bytes, Any]:
        url = path if path.startswith("http") else f"http://{self.host}/v2/team/app/{path}"
        headers = {
            "Content-Type": media_type or "application/octet-stream",
            "Accept": f"{INDEX}, {IMAGE.media_type}, */*",
        }
        request = urllib.request.Request(url, data if method in ("PUT", "POST") else None, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read(), answer.headers

    def put_blob(self, data: bytes) -> None:
        if self.fake is not None:
            self.fake.put_blob("team/app", data)
            return
        location = self.send("POST", "blobs/uploads/")[1]["Location"]
        self.send("PUT", f"{location}{'&' if '?' in location else '?'}digest={Digest.of(data)}", data)

    def put_manifest(self, tag: str, data: bytes, media_type: str = IMAGE.media_type) -> None:
        if self.fake is not None:
            self.fake.put_manifest("team/app", tag, data, media_type)
        else:
            self.send("PUT", f"manifests/{tag}", data, media_type)

    def publish(self, image: Foreign, *artefacts: Made) -> None:
        for blobs in (image.blobs, *(one.blobs for one in artefacts)):
            for data in blobs.values():
                self.put_blob(data)
        self.put_manifest("v1", image.manifest)
        by_subject: dict[Digest, list[Made]] = {}
        for one in artefacts:
            self.put_manifest(one.tag or str(one.digest), one.data)
            if one.tag is None:
                by_subject.setdefault(one.subject, []).append(one)
        for subject, found in by_subject.items() if not self.lists else ():
            listed = [
                {"mediaType": image.media_type, "digest": str(one.digest), "size": len(one.data)} for one in found
            ]
            index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
            self.put_manifest(fallback_tag(subject), json.dumps(index).encode(), INDEX)

    def has(self, *artefacts: Made) -> bool:
        """Whether every artefact is there with equal bytes, and is found by those who look for it."""
        for one in artefacts:
            assert self.send("GET", f"manifests/{one.tag or one.digest}")[0] == one.data
            for digest, data in one.blobs.items():
                assert self.send("GET", f"blobs/{digest}")[0] == data
            if one.tag is None:
                listing = f"referrers/{one.subject}" if self.lists else f"manifests/{fallback_tag(one.subject)}"
                listed = json.loads(self.send("GET", listing)[0])["manifests"]
                assert str(one.digest) in {found["digest"] for found in listed}
        return True


INDEX = "application/vnd.oci.image.index.v1+json"


@contextmanager
def open_place(kind: str, folder: Path) -> Iterator[Place]:
    if kind == "docker-registry":
        folder.mkdir()
        with docker_registry(folder) as url:
            yield Place(url.removeprefix("http://"), lists=False)
        return
    with FakeRegistry(referrers=kind == "lists") as registry:
        yield Place(registry.host, kind == "lists", registry)


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


class Site:
    """A store, and what was told of what happened there."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.events: list[TransferEvent] = []
        self.notes: list[str] = []

    def pull(
        self,
        place: Place,
        referrers: ReferrerChoice | None = ALL_REFERRERS,
        *,
        setting: ReferrerChoice | None = None,
    ) -> None:
        chosen = Settings(hosts=place.settings.hosts, referrers=setting)
        with open_backends(self.root, chosen) as backends:
            distribution.pull_image(place.name(), backends, referrers=referrers, observe=self.events.append)

    def push(self, name: str | Reference, place: Place, **how: Any) -> None:
        with open_backends(self.root, place.settings, access="read") as backends:
            distribution.push_image(name, backends, observe=self.events.append, **how)

    def save(self, name: str | Reference, output: Path, **how: Any) -> archives.Saved:
        with open_backends(self.root, Settings(), access="read") as backends:
            return archives.save_image(name, str(output), backends, **how)

    def load(self, *sources: Path, **how: Any) -> None:
        with open_backends(self.root, Settings()) as backends:
            loading.load_images([str(one) for one in sources], backends, notice=self.notes.append, **how)

    def tag(self, source: Reference, target: Reference) -> None:
        with open_backends(self.root, Settings()) as backends:
            backends.images.tag(source, target)

    def listed(self) -> set[Digest]:
        with open_backends(self.root, Settings(), access="read") as backends:
            return {one.digest for one in backends.store_on_disk("read").referrers.list_all()}

    def shown(self) -> set[str]:
        with open_backends(self.root, Settings(), access="read") as backends:
            return {str(one.reference) for one in backends.images.records()}

    def is_sound(self) -> bool:
        with open_backends(self.root, Settings(), access="look") as backends:
            return not any(one.damage for one in backends.store_on_disk("look").check())


@pytest.fixture
def site(tmp_path: Path) -> Callable[[str], Site]:
    return lambda name: Site(tmp_path / name)


@pytest.mark.parametrize("kind", KINDS)
def test_all_that_refers_to_an_image_survives_the_trip(kind: str, tmp_path: Path, site: Callable[[str], Site]) -> None:
    """Out of a registry, into a file, into another store, into another registry: each byte as it was."""
    here, there = site("here"), site("there")
    with open_place(kind, tmp_path / "from") as source, open_place(kind, tmp_path / "to") as target:
        source.publish(IMAGE, *ALL)

        here.pull(source)
        saved = here.save(source.name(), tmp_path / "app.tar")
        there.load(tmp_path / "app.tar")
        there.tag(source.name(), target.name())
        there.push(target.name(), target)

        assert {one.digest for one in saved.referrers} == {one.digest for one in ALL}
        assert here.listed() == there.listed() == {one.digest for one in ALL}
        assert target.send("GET", "manifests/v1")[0] == IMAGE.manifest
        assert target.has(*ALL)
    assert here.is_sound()
    assert there.is_sound()
    told = [event for event in here.events if isinstance(event, ReferrerFinished)]
    assert {(one.direction, one.label, one.digest, one.subject) for one in told} == {
        ("pull", "sbom", SBOM.digest, SUBJECT),
        ("pull", "signature", SIGNATURE.digest, SUBJECT),
        ("pull", "attestation", ATTESTATION.digest, SUBJECT),
        ("pull", "signature", NOTE.digest, SBOM.digest),
    }


@pytest.mark.parametrize(
    ("given", "setting", "wanted"),
    [
        (None, None, set()),
        (None, ALL_REFERRERS, {one.digest for one in ALL}),
        (NO_REFERRERS, ALL_REFERRERS, set()),
        (ReferrerChoice(("sbom",)), NO_REFERRERS, {SBOM.digest}),
    ],
)
def test_the_option_comes_before_the_setting(
    given: ReferrerChoice | None, setting: ReferrerChoice | None, wanted: set[Digest], site: Callable[[str], Site]
) -> None:
    here = site("here")
    with FakeRegistry() as registry:
        place = Place(registry.host, True, registry)
        place.publish(IMAGE, *ALL)
        registry.forget()

        here.pull(place, given, setting=setting)

        assert here.listed() == wanted
        assert any("/referrers/" in call for call in registry.calls()) is bool(wanted)


@pytest.mark.parametrize(
    ("choice", "kept"),
    [
        (None, {one.digest for one in ALL}),
        (NO_REFERRERS, set()),
        (ReferrerChoice((SPDX,)), {SBOM.digest}),
        (ReferrerChoice(("attestation",)), {ATTESTATION.digest}),
    ],
)
@pytest.mark.parametrize("way", ["save", "load", "push"])
def test_each_way_out_takes_what_is_wanted(
    way: str, choice: ReferrerChoice | None, kept: set[Digest], tmp_path: Path, site: Callable[[str], Site]
) -> None:
    here, there = site("here"), site("there")
    with FakeRegistry() as registry, FakeRegistry() as other:
        source, target = Place(registry.host, True, registry), Place(other.host, True, other)
        source.publish(IMAGE, *ALL)
        here.pull(source)
        if way == "push":
            here.tag(source.name(), target.name())
            here.push(target.name(), target, referrers=choice)
            found = set(other.content.repository("team/app").manifests) - {SUBJECT}
        else:
            here.save(source.name(), tmp_path / "app.tar", referrers=choice if way == "save" else None)
            there.load(tmp_path / "app.tar", referrers=choice if way == "load" else None)
            found = there.listed()
    assert found == kept


def test_the_tag_comes_last(site: Callable[[str], Site]) -> None:
    """Who finds the image finds its signatures, also where a push was broken off."""
    here = site("here")
    with FakeRegistry() as registry, FakeRegistry() as other:
        source, target = Place(registry.host, True, registry), Place(other.host, True, other)
        source.publish(IMAGE, *ALL)
        here.pull(source)
        here.tag(source.name(), target.name())
        other.on(f"PUT */manifests/{NOTE.digest}", Status(403), times=None)

        with pytest.raises(RegistryError):
            here.push(target.name(), target)

        assert "v1" not in other.content.tags("team/app")
        other.forget()
        here.push(target.name(), target)
        assert target.has(*ALL)


@pytest.mark.parametrize("fault", [Status(500), WrongBytes(b"<html>"), Truncated(20)])
@pytest.mark.parametrize("what", ["GET */referrers/*", f"GET */manifests/{SBOM.digest}", "GET */blobs/*"])
def test_a_pull_that_breaks_off_shows_nothing(what: str, fault: Any, site: Callable[[str], Site]) -> None:
    here = site("here")
    blob = next(digest for digest, data in SBOM.blobs.items() if len(data) > 2)
    with FakeRegistry() as registry:
        place = Place(registry.host, True, registry)
        place.publish(IMAGE, *ALL)
        registry.on(what if "blobs" not in what else f"GET */blobs/{blob}", fault, times=None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Registries, "_sleep", lambda *_: None)
            with pytest.raises(RegistryError):
                here.pull(place)
        assert here.shown() == set()
        assert here.listed() == set()
        registry.forget()

        here.pull(place)

    assert here.listed() == {one.digest for one in ALL}
    assert here.is_sound()


def test_what_is_lost_is_named(site: Callable[[str], Site]) -> None:
    with FakeRegistry(referrers=False) as registry:
        place = Place(registry.host, False, registry)
        place.publish(IMAGE, SBOM)
        registry.content.delete_manifest("team/app", str(SBOM.digest))

        with pytest.raises(
            RegistryContentError, match=f"{SBOM.digest} is listed as referring to {SUBJECT}, and is not"
        ):
            site("here").pull(place)


def test_archives_list_them_as_oras_does(tmp_path: Path, site: Callable[[str], Site]) -> None:
    here = site("here")
    with FakeRegistry() as registry:
        place = Place(registry.host, True, registry)
        place.publish(IMAGE, *ALL)
        here.pull(place)
        here.save(place.name(), tmp_path / "app.tar")
        alone = here.save(place.name(), tmp_path / "alone.tar", referrers=NO_REFERRERS)
    with tarfile.open(tmp_path / "app.tar") as tar:
        members = {one.name: one for one in tar.getmembers()}
        index = json.loads(tar.extractfile("index.json").read())  # type: ignore[union-attr]
        for made in ALL:
            for digest, data in {made.digest: made.data, **made.blobs}.items():
                assert tar.extractfile(members[f"blobs/sha256/{digest.hex}"]).read() == data  # type: ignore[union-attr]
    first, *others = index["manifests"]
    assert first["digest"] == str(SUBJECT)
    assert {(one["digest"], one["artifactType"], one.get("annotations", {}).get(REF_NAME)) for one in others} == {
        (str(SBOM.digest), SPDX, None),
        (str(NOTE.digest), NOTATION, None),
        (str(SIGNATURE.digest), "application/vnd.dev.cosign.simplesigning.v1+json", SIGNATURE.tag),
        (str(ATTESTATION.digest), "application/vnd.dsse.envelope.v1+json", ATTESTATION.tag),
    }
    assert alone.referrers == alone.stayed == ()
    with tarfile.open(tmp_path / "alone.tar") as tar:
        assert len(json.loads(tar.extractfile("index.json").read())["manifests"]) == 1  # type: ignore[union-attr]


REF_NAME = "org.opencontainers.image.ref.name"


def test_docker_archives_have_no_room_and_say_so(tmp_path: Path, site: Callable[[str], Site]) -> None:
    here = site("here")
    with FakeRegistry() as registry:
        place = Place(registry.host, True, registry)
        place.publish(IMAGE, SBOM)
        here.pull(place)
        saved = here.save(place.name(), tmp_path / "app.tar", form="docker-archive")
        assert [one.digest for one in saved.stayed] == [SBOM.digest]
        with pytest.raises(UsageError, match="no room"):
            here.save(place.name(), tmp_path / "other.tar", form="docker-archive", referrers=ALL_REFERRERS)


@pytest.mark.parametrize("way", ["push", "save"])
def test_what_refers_to_another_form_stays_and_is_named(way: str, tmp_path: Path, site: Callable[[str], Site]) -> None:
    from kubeimage.layer.compression import Coding

    here = site("here")
    with FakeRegistry() as registry:
        place = Place(registry.host, True, registry)
        place.publish(IMAGE, SBOM)
        here.pull(place)
        here.events.clear()
        if way == "save":
            saved = here.save(place.name(), tmp_path / "app.tar", coding=Coding("zstd"))
            assert [one.digest for one in saved.stayed] == [SBOM.digest]
        else:
            here.push(place.name(), place, form="docker")
            warnings = [event.message for event in here.events if isinstance(event, TransferWarned)]
            assert any(str(SBOM.digest) in message for message in warnings)


@pytest.mark.parametrize("style", ["oras", "regclient", "skopeo", "cosign"])
def test_layouts_of_other_tools_are_taken_with_what_they_hold(
    style: str, tmp_path: Path, site: Callable[[str], Site]
) -> None:
    """As a folder, as it is: nobody has to pack it first."""
    here, layout = site("here"), tmp_path / "layout"
    chosen = {"oras": [SBOM, NOTE], "regclient": [SBOM], "skopeo": [SIGNATURE], "cosign": [SIGNATURE]}[style]
    write_layout(layout, style, *chosen)

    here.load(layout)

    assert here.listed() == {one.digest for one in chosen}
    assert here.shown() == {str(Reference.parse("app:v1"))}
    assert here.is_sound()


def write_layout(folder: Path, style: str, *artefacts: Made) -> None:
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    entries: list[dict[str, Any]] = [{**IMAGE.descriptor.to_json(), "annotations": {REF_NAME: "app:v1"}}]
    if style == "cosign":
        entries[0]["annotations"]["kind"] = "dev.cosignproject.cosign/image"
    contents = dict(IMAGE.blobs) | {SUBJECT: IMAGE.manifest}
    for one in artefacts:
        contents |= {**one.blobs, one.digest: one.data}
        listed = {"mediaType": IMAGE.media_type, "digest": str(one.digest), "size": len(one.data)}
        if style == "regclient":
            index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [listed]}).encode()
            contents[Digest.of(index)] = index
            listed = {"mediaType": INDEX, "digest": str(Digest.of(index)), "size": len(index)}
            listed["annotations"] = {REF_NAME: fallback_tag(one.subject)}
        elif style == "skopeo":
            listed["annotations"] = {REF_NAME: one.tag}
        elif style == "cosign":
            listed["annotations"] = {"kind": "dev.cosignproject.cosign/sigs"}
        entries.append(listed)
    for digest, data in contents.items():
        (blobs / digest.hex).write_bytes(data)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def test_an_artefact_without_its_image_is_left_out_and_named(tmp_path: Path, site: Callable[[str], Site]) -> None:
    here = site("here")
    write_layout(tmp_path / "layout", "oras", SBOM, oras_artifact(b"an image that did not come"))

    here.load(tmp_path / "layout")

    assert here.listed() == {SBOM.digest}
    assert ["left out" in note for note in here.notes] == [True]


@pytest.mark.parametrize("damage", ["a byte", "a blob", "a manifest"])
def test_damage_in_an_archive_is_named_and_nothing_is_shown(
    damage: str, tmp_path: Path, site: Callable[[str], Site]
) -> None:
    here, layout = site("here"), tmp_path / "layout"
    write_layout(layout, "oras", SBOM)
    content = next(digest for digest, data in SBOM.blobs.items() if len(data) > 2)
    if damage == "a manifest":
        (layout / "blobs/sha256" / SBOM.digest.hex).write_bytes(b"{}")
    elif damage == "a byte":
        (layout / "blobs/sha256" / content.hex).write_bytes(SBOM.blobs[content][:-1] + b"!")
    else:
        (layout / "blobs/sha256" / content.hex).unlink()

    with pytest.raises(KubeimageError) as caught:
        here.load(layout)

    assert (SBOM.digest if damage == "a manifest" else content).hex in caught.value.message
    assert here.shown() == set()


def test_a_folder_that_lacks_its_index_is_told(tmp_path: Path, site: Callable[[str], Site]) -> None:
    write_layout(tmp_path / "layout", "oras")
    (tmp_path / "layout/index.json").unlink()

    with pytest.raises(ArchiveError):
        site("here").load(tmp_path / "layout")


def test_inventories_list_them(site: Callable[[str], Site]) -> None:
    here = site("here")
    with FakeRegistry() as registry:
        place = Place(registry.host, True, registry)
        place.publish(IMAGE, SBOM)
        here.pull(place)
        with open_backends(here.root, Settings(), access="read") as backends:
            rows = take_inventory(None, backends).rows

    assert {(row.kind, row.digest) for row in rows} >= {
        ("manifest", SBOM.digest),
        *(("blob", digest) for digest in SBOM.blobs),
    }


def test_parts_hold_them_too(tmp_path: Path, site: Callable[[str], Site]) -> None:
    here, there = site("here"), site("there")
    with FakeRegistry() as registry:
        place = Place(registry.host, True, registry)
        place.publish(IMAGE, *ALL)
        here.pull(place)
        here.save(place.name(), tmp_path / "parts", split=20000)
    there.load(tmp_path / "parts")

    assert there.listed() == {one.digest for one in ALL}


def test_the_store_can_be_read_as_a_layout(tmp_path: Path, site: Callable[[str], Site]) -> None:
    """The store is one itself: a copy of its files is loaded with all that refers to its images."""
    here, there = site("here"), site("there")
    with FakeRegistry() as registry:
        place = Place(registry.host, True, registry)
        place.publish(IMAGE, *ALL)
        here.pull(place)
    shutil.copytree(here.root, tmp_path / "copied")

    there.load(tmp_path / "copied")

    assert there.listed() == here.listed()


def test_a_registry_and_a_store_answer_alike(site: Callable[[str], Site]) -> None:
    here = site("here")
    with FakeRegistry() as registry, Registries(Place(registry.host, True, registry).settings) as registries:
        place = Place(registry.host, True, registry)
        place.publish(IMAGE, *ALL)
        here.pull(place)
        remote = RepositoryReferrers(registries.repository(place.name()))
        with open_backends(here.root, Settings(), access="read") as backends:
            local = backends.store_on_disk("read").referrers

            assert local.list_referrers(SUBJECT) == remote.list_referrers(SUBJECT)
            assert local.walk([SUBJECT]) == remote.walk([SUBJECT])


@pytest.mark.parametrize("where", ["docker", "oci", "oci-archive"])
@pytest.mark.parametrize("choice", [None, ALL_REFERRERS, NO_REFERRERS])
def test_images_elsewhere_are_saved_with_what_refers_to_them(
    where: str, choice: ReferrerChoice | None, tmp_path: Path, site: Callable[[str], Site]
) -> None:
    """Of a registry only if that is asked for; a file or a folder is here."""
    here, there = site("here"), site("there")
    with FakeRegistry() as registry:
        place = Place(registry.host, True, registry)
        place.publish(IMAGE, *ALL)
        name = f"docker://{place.name()}"
        if where == "oci":
            write_layout(tmp_path / "layout", "oras", SBOM, NOTE)
            name = f"oci:{tmp_path}/layout"
        elif where == "oci-archive":
            here.pull(place)
            here.save(place.name(), tmp_path / "app.tar")
            name = f"oci-archive:{tmp_path}/app.tar"
        with open_backends(here.root, place.settings, access="read") as backends:
            saved = archives.save_image(name, str(tmp_path / "copy.tar"), backends, referrers=choice)
    there.load(tmp_path / "copy.tar")

    wanted = {"docker": ALL, "oci": (SBOM, NOTE), "oci-archive": ALL}[where]
    is_wanted = choice if choice is not None else where != "docker"
    assert there.listed() == {one.digest for one in saved.referrers} == ({one.digest for one in wanted if is_wanted})


def test_no_name_in_a_folder_leads_out_of_it(tmp_path: Path, site: Callable[[str], Site]) -> None:
    """What docker save lists may be called anything."""
    (layout := tmp_path / "layout").mkdir()
    (tmp_path / "secret.json").write_bytes(IMAGE.blobs[IMAGE.config.digest])
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    for config in ("../secret.json", str(tmp_path / "secret.json")):
        listed = [{"Config": config, "RepoTags": ["app:v1"], "Layers": []}]
        (layout / "manifest.json").write_text(json.dumps(listed))
        with pytest.raises(ArchiveError, match="lacks"):
            site("here").load(layout)
