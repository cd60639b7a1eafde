"""Each difference between a lock and a project is told by its name."""

from dataclasses import replace
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.lock.drift import Drift, compare_locks
from kubeimage.lock.lockfile import Lock, LockedChart, LockedImage
from tests.kubeimage.lock.locks import AMD64, ARM64, locks
from tests.properties.examples import examples

LISTS = ("bases", "images", "charts", "urls")
ELSE = Digest.of(b"something else")


@examples(0.4)
@given(locks())
def test_a_lock_does_not_differ_from_itself(lock: Lock) -> None:
    assert compare_locks(lock, lock) == ()


@examples(0.4)
@given(locks(), st.data())
def test_one_entry_that_is_changed_removed_or_renamed_is_named_and_no_other(lock: Lock, data: st.DataObject) -> None:
    entries = [(kind, number) for kind in LISTS for number in range(len(getattr(lock, kind)))]
    assume(entries)
    kind, number = data.draw(st.sampled_from(entries))
    before = getattr(lock, kind)
    one = before[number]
    rest = (*before[:number], *before[number + 1 :])
    how = data.draw(st.sampled_from(["changed", "removed", "renamed"]))
    after: dict[str, Any] = {
        "changed": (*rest, replace(one, digest=ELSE)),
        "removed": rest,
        "renamed": (*rest, _renamed(one)),
    }
    word = kind.removesuffix("s")

    found = compare_locks(lock, replace(lock, **{kind: after[how]}))

    wanted = {
        "changed": {(word, one.key, "changed")},
        "removed": {(word, one.key, "unused")},
        "renamed": {(word, one.key, "unused"), (word, _renamed(one).key, "new")},
    }
    assert {each[:3] for each in found} == wanted[how]
    assert all(each.name in str(each) for each in found)


def _renamed(one: Any) -> Any:
    if isinstance(one, LockedImage):
        return replace(one, name=replace(one.name, repository=f"{one.name.repository}/other"))
    field = "path" if isinstance(one, LockedChart) else "url"
    return replace(one, **{field: f"{one.key}-other"})


def test_a_platform_s_manifest_that_has_changed_is_a_difference() -> None:
    name = Reference("docker.io", "library/nginx", "1.25")
    old = LockedImage(name, ELSE, {AMD64: ELSE})
    new = LockedImage(name, ELSE, {AMD64: ELSE, ARM64: ELSE})

    (found,) = compare_locks(Lock((AMD64,), images=(old,)), Lock((AMD64,), images=(new,)))

    assert str(found) == (
        f"the image docker.io/library/nginx:1.25 has changed: linux/arm64 nothing in the lock, linux/arm64 {ELSE} now"
    )


def test_a_platform_by_its_usual_variant_is_the_same_platform() -> None:
    assert compare_locks(Lock((ARM64,)), Lock((Platform("linux", "arm64", "v8"),))) == ()
    assert compare_locks(Lock((ARM64,)), Lock((AMD64,))) == (
        Drift("platform", "linux/amd64", "new"),
        Drift("platform", "linux/arm64", "unused"),
    )
