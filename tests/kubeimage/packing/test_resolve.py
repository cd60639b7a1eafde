"""Which digest a name leads to: whoever says it, one order of those who may."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.discovery.references import parse_image
from kubeimage.discovery.search import PullImages
from kubeimage.errors import PackingError
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.packing.resolve import check_collisions, resolve_images
from tests.properties.examples import examples

PLAIN = [parse_image(f"r.io/team/{name}:{tag}") for name in "ab" for tag in ("v1", "v2")]
OWN = [parse_image(f"{name}@{Digest.of(b'own')}") for name in PLAIN[:2]]
IMAGES = [*PLAIN, *OWN]


class Remembered:
    """Names in memory."""

    def __init__(self, known: Mapping[Reference, Digest]) -> None:
        self.known = dict(known)

    def get(self, image: Reference) -> Digest | None:
        return self.known.get(image)

    def put(self, image: Reference, digest: Digest) -> None:
        self.known[image] = digest


def said_by(who: str) -> st.SearchStrategy[dict[Reference, Digest]]:
    return st.lists(st.sampled_from(IMAGES), unique=True).map(
        lambda found: dict.fromkeys(found, Digest.of(who.encode()))
    )


@examples(1)
@given(
    st.lists(st.sampled_from(IMAGES), unique=True),
    st.sampled_from(["missing", "always", "never"]),
    said_by("the base"),
    said_by("memory"),
    said_by("the registry"),
)
def test_a_digest_is_the_name_s_own_the_base_s_the_remembered_one_or_the_registry_s(
    images: list[Reference],
    policy: PullImages,
    below: dict[Reference, Digest],
    remembered: dict[Reference, Digest],
    online: dict[Reference, Digest],
) -> None:
    names: Any = Remembered(remembered)
    asked: list[Reference] = []

    def ask(wanted: Sequence[Reference], _get: Callable[[Reference], Digest | None]) -> dict[Reference, Digest]:
        asked.extend(wanted)
        return {one: online[one] for one in wanted if one in online}

    known = {} if policy == "always" else remembered | below
    known |= {one: one.digest for one in images if one.digest is not None}
    missing = [one for one in images if one not in known]

    if policy == "never" and missing:
        with pytest.raises(PackingError):
            resolve_images(images, policy, names, below, ask)
        return
    found = resolve_images(images, policy, names, below, ask)

    assert found == {
        one: known[one] if one in known else online[one] for one in images if one in known or one in online
    }
    assert asked == missing
    assert names.known == remembered | {one: online[one] for one in missing if one in online}


@examples(1)
@given(st.lists(st.tuples(st.sampled_from("rs"), st.sampled_from("ab"), st.sampled_from(["v1", "v2"])), unique=True),
       st.data())  # fmt: skip
def test_one_place_holds_one_content(named: list[tuple[str, str, str]], data: st.DataObject) -> None:
    resolved = {
        parse_image(f"{host}.io/{name}:{tag}"): Digest.of(data.draw(st.sampled_from([b"1", b"2"])))
        for host, name, tag in named
    }
    places: dict[tuple[str, str], set[Digest]] = {}
    for image, digest in resolved.items():
        places.setdefault((image.repository, image.tag), set()).add(digest)

    if any(len(found) > 1 for found in places.values()):
        with pytest.raises(PackingError, match="one place for both"):
            check_collisions(resolved)
    else:
        check_collisions(resolved)
