from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.image.digest import Digest
from kubeimage.protocols.cachekey import CacheKey

texts = st.text(max_size=4)
fields = st.lists(st.tuples(texts, texts), max_size=4).map(tuple)
keys = st.builds(CacheKey, st.none() | st.binary(max_size=1).map(Digest.of), fields, fields)


@given(keys, keys)
def test_keys_are_equal_exactly_if_all_they_name_is(one: CacheKey, other: CacheKey) -> None:
    assert (one.digest == other.digest) == (one == other)


def test_no_two_lists_of_fields_feed_the_hash_the_same_bytes() -> None:
    joined = CacheKey(None, (("a", "b1:c"),))
    parted = CacheKey(None, (("a", "b"), ("c", "")))
    moved = CacheKey(None, (("a", ""), ("b1:c", "")))

    assert len({joined.digest, parted.digest, moved.digest}) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fields": (("kind", "RUN"), ("arg VERSION", "2.2"))}, "arg VERSION: 2.1 -> 2.2"),
        ({"fields": (("kind", "RUN"),)}, "arg VERSION 2.1 is gone"),
        ({"fields": (("kind", "RUN"), ("arg VERSION", "2.1"), ("arg X", "1"))}, "arg X 1 is new"),
        ({"sources": (("a", "file 644 1 00"), ("conf/a.yaml", "file 644 2 22"))}, "file conf/a.yaml changed"),
        ({"sources": (("a", "file 644 1 00"),)}, "file conf/a.yaml removed"),
        ({"sources": (("a", "file 644 1 00"), ("b", ""), ("conf/a.yaml", "file 644 2 11"))}, "file b added"),
        ({}, None),
    ],
)
def test_a_key_says_which_field_parts_it_from_an_earlier_one(change: dict[str, Any], said: str | None) -> None:
    earlier = CacheKey(
        None, (("kind", "RUN"), ("arg VERSION", "2.1")), (("a", "file 644 1 00"), ("conf/a.yaml", "file 644 2 11"))
    )

    assert replace(earlier, **change).difference(earlier) == said
