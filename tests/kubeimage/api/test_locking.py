"""A project and its lock: what is locked, what a locked build uses, and what it is told by name."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.fakes.registry import FakeRegistry
from kubeimage.api.building import build_image
from kubeimage.api.locking import check_lock, find_lock, lock_project, read_lock, write_lock
from kubeimage.builder.plan import BuildOptions
from kubeimage.errors import (
    LockFileError,
    LockStaleError,
    PackingError,
    RegistryNotFoundError,
    UsageError,
)
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.kubefile import parse
from kubeimage.lock.drift import Drift
from kubeimage.lock.lockfile import Lock, LockedChart, LockedImage
from tests.containers import small_image
from tests.kubeimage.packing.conftest import AMD64, Workshop, listing, publish

ARM64 = Platform("linux", "arm64")
ELSE = Digest.of(b"something else")
EDITS = ("removed", "name", "tag", "digest", "manifest")
CHART = {"charts/db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.2.3\n"}


class Project:
    """A project in a folder, with what it names in registries."""

    def __init__(self, workshop: Workshop, files: dict[str, str], kubefile: str = "FROM scratch\nCOPY . .\n") -> None:
        self.workshop = workshop
        self.kubefile = kubefile
        self.folder = workshop.context({".kubeignore": ".kubeignore\nKubefile\n", **files})
        (self.folder / "Kubefile").write_text(kubefile)

    def options(self, **options: Any) -> BuildOptions:
        return BuildOptions(**{"platform": AMD64, "pull_images": "missing", **options})

    def lock(self, *platforms: Platform, **wishes: Any) -> Lock:
        options = self.options(pull_images=wishes.pop("policy", "always"))
        with self.workshop.open() as backends:
            parsed = parse(self.kubefile, file="Kubefile")
            return lock_project(parsed, str(self.folder), backends, platforms=platforms, options=options, **wishes)

    def check(self, lock: Lock, policy: str = "always") -> tuple[Drift, ...]:
        with self.workshop.open() as backends:
            parsed = parse(self.kubefile, file="Kubefile")
            return check_lock(lock, parsed, str(self.folder), backends, options=self.options(pull_images=policy))

    def build(self, lock: Lock | None = None, **options: Any) -> Digest:
        with self.workshop.open() as backends:
            wanted = self.options(lock=lock, **options)
            return build_image(
                parse(self.kubefile, file="Kubefile"), str(self.folder), backends, options=wanted
            ).image.id

    def forget(self) -> None:
        """Lose the store, as on another machine."""
        shutil.rmtree(self.workshop.root)


def base(workshop: Workshop, name: str, content: str) -> Digest:
    """Put a base into the store under a name, and give its manifest's digest."""
    return workshop.build({"base": content}, "off", name=name, kubefile="FROM scratch\nCOPY base .\n").manifest


def test_a_lock_has_bases_images_for_each_platform_and_charts(registry: FakeRegistry, workshop: Workshop) -> None:
    ours, theirs = small_image("ours"), small_image("theirs", architecture="arm64")
    index = publish(registry, "team/app:v1", {"amd64": ours, "arm64": theirs})
    alone = publish(registry, "alone:v1", small_image("alone"))
    manifest = base(workshop, "base:v1", "old")
    images = [f"{registry.host}/{one}" for one in ("team/app:v1", "alone:v1")]

    lock = Project(workshop, {**listing(*images), **CHART}, "FROM base:v1\nCOPY . .\n").lock()

    manifests = {AMD64: Digest.of(ours.manifest), ARM64: Digest.of(theirs.manifest)}
    assert lock.platforms == (AMD64,)
    assert lock.bases == (LockedImage(Reference.parse("base:v1"), manifest, {AMD64: manifest}),)
    assert lock.images == (
        LockedImage(Reference(registry.host, "alone", "v1"), alone, {AMD64: alone}),
        LockedImage(Reference(registry.host, "team/app", "v1"), index, manifests),
    )
    assert [(one.path, one.name, one.version) for one in lock.charts] == [("charts/db", "db", "1.2.3")]


def test_what_a_run_writes_is_locked_and_no_image_is_shown(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "app:v2", small_image("two"))
    project = Project(
        workshop,
        listing(f"{registry.host}/app:TAG"),
        "FROM scratch\nCOPY . .\nRUN sed -i s/TAG/v2/ manifests/imageList\n",
    )

    lock = project.lock()

    assert [str(one.name) for one in lock.images] == [f"{registry.host}/app:v2"]
    with workshop.open() as backends:
        assert backends.images.records() == []


def test_a_locked_build_on_another_day_gives_the_same_image_and_asks_for_digests_alone(
    registry: FakeRegistry, workshop: Workshop
) -> None:
    publish(registry, "app:v1", small_image("old"))
    project = Project(workshop, listing(f"{registry.host}/app:v1"))
    lock = project.lock()
    first = project.build(lock)
    publish(registry, "app:v1", small_image("new"))
    registry.forget()

    project.forget()
    again = project.build(lock)
    asked = registry.calls()
    unlocked = project.build(pull_images="always")

    assert again == first != unlocked
    assert len(asked) > 0
    assert all("/sha256:" in call for call in asked)


@pytest.mark.parametrize("policy", ["missing", "always", "never", "off"])
def test_a_locked_build_names_what_is_new_and_what_is_not_used_whether_it_packs_or_not(
    policy: str, registry: FakeRegistry, workshop: Workshop
) -> None:
    for name in ("old:v1", "new:v1"):
        publish(registry, name, small_image(name))
    lock = Project(workshop, listing(f"{registry.host}/old:v1")).lock()

    with pytest.raises(LockStaleError) as caught:
        Project(workshop, listing(f"{registry.host}/new:v1")).build(lock, pull_images=policy)

    assert caught.value.differences == (
        f"the image {registry.host}/new:v1 is not in the lock",
        f"the image {registry.host}/old:v1 is in the lock, and nothing names it",
    )


def test_a_chart_that_has_changed_is_named(workshop: Workshop) -> None:
    lock = Project(workshop, CHART).lock()
    changed = {path: text.replace("1.2.3", "1.2.4") for path, text in CHART.items()}

    for policy in ("missing", "off"):
        with pytest.raises(LockStaleError, match=r"the chart charts/db has changed: db 1\.2\.3 .* db 1\.2\.4 .* now"):
            Project(workshop, changed).build(lock, pull_images=policy)


def test_a_base_whose_name_has_moved_is_an_error_that_names_it(workshop: Workshop) -> None:
    old = base(workshop, "base:v1", "old")
    project = Project(workshop, {"a": "1"}, "FROM base:v1\nCOPY a .\n")
    lock = project.lock()
    project.build(lock, pull="never")
    new = base(workshop, "base:v1", "new")

    with pytest.raises(LockStaleError, match=rf"the base .*/base:v1 has changed: {old} in the lock, {new} now"):
        project.build(lock, pull="never")
    assert [one[:3] for one in project.check(lock)] == [("base", str(Reference.parse("base:v1")), "changed")]


def test_a_base_whose_tag_has_moved_in_its_registry_is_fetched_by_digest(
    registry: FakeRegistry, workshop: Workshop
) -> None:
    publish(registry, "base:v1", {"amd64": small_image("old"), "arm64": small_image("a", architecture="arm64")})
    project = Project(workshop, {"a": "1"}, f"FROM {registry.host}/base:v1\nCOPY a .\n")
    lock = project.lock()
    first = project.build(lock)
    publish(registry, "base:v1", small_image("new"))

    project.forget()
    again = project.build(lock)
    project.forget()
    unlocked = project.build()
    after = project.build(lock)

    assert first == again == after != unlocked
    (entry,) = lock.bases
    assert entry.platforms.keys() == {AMD64, ARM64}
    registry.remove("base")
    project.forget()
    with pytest.raises(LockStaleError, match="in the lock, gone from its registry now"):
        project.build(lock)


def test_an_image_whose_locked_digest_is_gone_is_named(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "app:v1", small_image("old"))
    project = Project(workshop, listing(f"{registry.host}/app:v1"))
    lock = project.lock()
    registry.remove("app")
    publish(registry, "app:v1", small_image("new"))
    project.forget()

    with pytest.raises(RegistryNotFoundError, match=f"{registry.host}/app:v1"):
        project.build(lock)


def test_for_another_platform_than_it_was_locked_for_is_an_error(registry: FakeRegistry, workshop: Workshop) -> None:
    lock = Project(workshop, {"a": "1"}).lock(AMD64)

    with pytest.raises(LockStaleError, match="the platform linux/arm64 is not in the lock"):
        Project(workshop, {"a": "1"}).build(lock, platform=ARM64)


def test_what_is_named_for_one_platform_alone_says_so(registry: FakeRegistry, workshop: Workshop) -> None:
    for name in ("both:v1", "one:v1"):
        images = {one: small_image(f"{name} {one}", architecture=one) for one in ("amd64", "arm64")}
        publish(registry, name, images)
    both, one = f"{registry.host}/both:v1", f"{registry.host}/one:v1"
    project = Project(
        workshop,
        {"amd64/imageList": f"{both}\n", "arm64/imageList": f"{both}\n{one}\n"},
        "FROM scratch\nCOPY ${ARCH}/imageList manifests\n",
    )

    lock = project.lock(AMD64, ARM64)

    assert {str(each.name): each.only for each in lock.images} == {both: (), one: (ARM64,)}
    for platform in (AMD64, ARM64):
        project.build(lock, platform=platform)
    assert project.check(lock) == ()


def test_check_says_what_has_moved_and_what_is_gone_and_offline_only_what_is_named(
    registry: FakeRegistry, workshop: Workshop
) -> None:
    for name in ("moved:v1", "gone:v1", "same:v1"):
        publish(registry, name, small_image(name))
    names = [f"{registry.host}/{one}" for one in ("moved:v1", "gone:v1", "same:v1")]
    project = Project(workshop, listing(*names))
    lock = project.lock()
    publish(registry, "moved:v1", small_image("other"))
    registry.remove("gone")
    registry.forget()

    found = project.check(lock)

    assert [(one.name, one.what, one.found[:4]) for one in found] == [
        (names[0], "changed", "sha2"),
        (names[1], "changed", "gone"),
    ]
    assert sum("/blobs/" in call for call in registry.calls()) <= 1, "what has not moved is not looked at"
    assert project.check(lock, "never") == ()
    (project.folder / "manifests/imageList").write_text("\n".join([*names, f"{registry.host}/new:v1"]))
    assert project.check(lock, "never") == (Drift("image", f"{registry.host}/new:v1", "new"),)


def test_update_looks_up_those_names_alone(registry: FakeRegistry, workshop: Workshop) -> None:
    for name in ("a:v1", "b:v1"):
        publish(registry, name, small_image(name))
    names = [f"{registry.host}/{one}" for one in ("a:v1", "b:v1")]
    project = Project(workshop, listing(*names))
    old = project.lock()
    for name in ("a:v1", "b:v1"):
        publish(registry, name, small_image(f"new {name}"))
    registry.forget()

    new = project.lock(known=old, update=[names[1]])

    assert new.images[0] == old.images[0]
    assert new.images[1] != old.images[1]
    assert [call for call in registry.calls() if "/a/" in call] == []
    with pytest.raises(UsageError, match="--update c:v1: the project names nothing of that name"):
        project.lock(known=old, update=["c:v1"])


def test_update_keeps_a_base_that_has_moved_unless_it_is_named(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "base:v1", small_image("old"))
    publish(registry, "a:v1", small_image("a"))
    project = Project(workshop, listing(f"{registry.host}/a:v1"), f"FROM {registry.host}/base:v1\nCOPY . .\n")
    old = project.lock()
    publish(registry, "base:v1", small_image("new"))
    project.forget()

    kept = project.lock(known=old, update=[f"{registry.host}/a:v1"])
    updated = project.lock(known=old, update=[f"{registry.host}/base:v1"])

    assert kept == old
    assert updated.bases != old.bases
    assert updated.images == old.images


def test_never_locks_what_was_fetched_before_and_names_what_was_not(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "app:v1", small_image("one"))
    project = Project(workshop, listing(f"{registry.host}/app:v1"))
    with pytest.raises(PackingError, match=f"were never fetched: {registry.host}/app:v1"):
        project.lock(policy="never")
    lock = project.lock()
    registry.forget()

    assert project.lock(policy="never") == lock
    assert registry.calls() == []


def _without(lock: Lock, kind: str, number: int) -> tuple[Any, ...]:
    entries = getattr(lock, kind)
    return (*entries[:number], *entries[number + 1 :])


def _edit(entry: LockedImage | LockedChart, how: str) -> Any:
    """Change one thing of an entry; None where it is taken away."""
    if how == "removed":
        return None
    if how == "digest":
        return replace(entry, digest=ELSE)
    changes: dict[str, Any] = {}
    if isinstance(entry, LockedChart):
        field = {"name": "path", "tag": "version", "manifest": "name"}[how]
        changes[field] = f"{getattr(entry, field)}x"
        return replace(entry, **changes)
    if how == "manifest":
        return replace(entry, platforms={AMD64: ELSE})
    field = {"name": "repository", "tag": "tag"}[how]
    changes[field] = f"{getattr(entry.name, field)}x"
    return replace(entry, name=replace(entry.name, **changes))


def test_any_one_name_digest_or_tag_of_a_lock_that_is_changed_is_named(
    registry: FakeRegistry, workshop: Workshop
) -> None:
    """Twenty edits of a small lock, each found by the check and by the build."""
    for name in ("a:v1", "b:v1"):
        publish(registry, name, small_image(name))
    publish(registry, "base:v1", small_image("base"))
    names = [f"{registry.host}/{one}" for one in ("a:v1", "b:v1")]
    project = Project(workshop, {**listing(*names), **CHART}, f"FROM {registry.host}/base:v1\nCOPY . .\n")
    lock = project.lock()
    project.build(lock)
    spots = [(kind, number) for kind in ("bases", "images", "charts") for number in range(len(getattr(lock, kind)))]

    @given(st.sampled_from(spots), st.sampled_from(EDITS))
    @settings(max_examples=len(spots) * len(EDITS), deadline=None)
    def each(spot: tuple[str, int], edit: str) -> None:
        kind, number = spot
        entry = getattr(lock, kind)[number]
        changed = _edit(entry, edit)
        entries = sorted((*_without(lock, kind, number), *filter(None, (changed,))), key=lambda one: one.key)
        edited = replace(lock, **{kind: tuple(entries)})

        found = project.check(edited)
        with pytest.raises((LockStaleError, RegistryNotFoundError)) as caught:
            project.build(edited)

        assert any(one.name == entry.key for one in found), found
        assert entry.key in str(getattr(caught.value, "differences", caught.value.message))

    each()


def test_a_lock_is_written_whole_and_read_back_and_lies_beside_its_kubefile(tmp_path: Path) -> None:
    path = tmp_path / "Other.lock"
    lock = Lock((AMD64,), images=(LockedImage(Reference("docker.io", "library/a", "1"), ELSE, {AMD64: ELSE}),))

    write_lock(lock, str(path))
    before = path.stat().st_mtime_ns, path.stat().st_ino
    write_lock(lock, str(path))

    assert read_lock(find_lock(str(tmp_path / "Other"))) == lock
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert [one.name for one in tmp_path.iterdir()] == ["Other.lock"]
    with pytest.raises(LockFileError, match="there is no lock at"):
        read_lock(str(tmp_path / "Kubefile.lock"))
    with pytest.raises(UsageError, match="has no lock beside it"):
        find_lock("/dev/stdin")


@pytest.mark.parametrize("name", ["Kubefile", "Other"])
def test_a_lock_never_enters_a_layer_and_changes_no_image(name: str, workshop: Workshop) -> None:
    project = Project(workshop, {"a": "1", "Cargo.lock": "version = 3\n"})
    before = project.build()
    write_lock(project.lock(), str(project.folder / f"{name}.lock"))

    assert project.build() == before
