"""From images to what refers to them, where those who list it may lie."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.referrers import Referrer
from kubeimage.image.referring import DEEPEST, MOST_REFERRERS, FoundReferrer, walk_referrers


def digest_of(number: int) -> Digest:
    return Digest.of(str(number).encode())


def refers(digest: Digest, subject: Digest) -> FoundReferrer:
    return FoundReferrer(Referrer(Descriptor("a/b", digest, 1), subject, "c/d"), b"", ())


def walk(listed: Mapping[Digest, Sequence[Digest]], *subjects: int) -> list[FoundReferrer]:
    return walk_referrers(
        [digest_of(one) for one in subjects],
        lambda level: [refers(one, subject) for subject in level for one in listed.get(subject, ())],
    )


@given(st.dictionaries(st.integers(0, 9), st.lists(st.integers(0, 9), max_size=3), max_size=10))
def test_a_walk_ends_whatever_refers_to_what(edges: dict[int, list[int]]) -> None:
    """Each is found once, behind its subject; or the walk says that it goes in a circle, or too deep."""
    listed = {digest_of(subject): [digest_of(one) for one in found] for subject, found in edges.items()}
    try:
        found = walk(listed, 0)
    except ValueError as error:
        told = str(error)
        assert "refers to itself" in told or "in a row" in told
        return
    seen = {digest_of(0)}
    for one in found:
        assert one.referrer.subject in seen
        seen.add(one.referrer.digest)
    assert len({(one.referrer.digest, one.referrer.subject) for one in found}) == len(found)
    assert {(one.referrer.digest, one.referrer.subject) for one in found} == {
        (one, subject) for subject in seen for one in listed.get(subject, ())
    }


@pytest.mark.parametrize("length", range(1, 5))
def test_a_circle_is_told(length: int) -> None:
    listed = {digest_of(one): [digest_of((one + 1) % length)] for one in range(length)}

    with pytest.raises(ValueError, match="refers to itself"):
        walk(listed, 0)


def test_a_row_has_an_end() -> None:
    listed = {digest_of(one): [digest_of(one + 1)] for one in range(100)}

    assert len(walk(dict(list(listed.items())[:DEEPEST]), 0)) == DEEPEST
    with pytest.raises(ValueError, match="in a row"):
        walk(listed, 0)


def test_a_crowd_has_an_end() -> None:
    most = [digest_of(one) for one in range(1, MOST_REFERRERS + 1)]

    assert len(walk({digest_of(0): most}, 0)) == MOST_REFERRERS
    with pytest.raises(ValueError, match="more than"):
        walk({digest_of(0): [*most, digest_of(-1)]}, 0)
