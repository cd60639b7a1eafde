"""Entries are found by the names in them, of which few are parsed."""

from hypothesis import given
from hypothesis import strategies as st

from kubeimage.image.oci import ANNOTATION_FULL_NAME, ANNOTATION_REF_NAME
from kubeimage.image.reference import Reference
from kubeimage.store import index

PARTS = st.sampled_from(["app", "my-app", "v1", "latest", "x"])
DOMAINS = st.sampled_from(["", "example.com/", "example.com/team/", "localhost:5000/"])
TAGS = st.one_of(st.just(""), PARTS.map(":{}".format))
ENDS = st.sampled_from(["", f"@sha256:{'0' * 64}", f"@sha256:{'1' * 64}"])
names = st.builds("{}{}{}{}".format, DOMAINS, PARTS, TAGS, ENDS)


@given(short=st.one_of(names, PARTS, st.just("")), full=st.one_of(names, st.just("")), wanted=names)
def test_an_entry_has_a_name_where_what_it_says_is_that_name(short: str, full: str, wanted: str) -> None:
    entry = {"annotations": {ANNOTATION_REF_NAME: short, ANNOTATION_FULL_NAME: full}}
    reference = Reference.parse(wanted)

    for one in (entry, {"annotations": {ANNOTATION_REF_NAME: wanted, ANNOTATION_FULL_NAME: full}}):
        assert index.is_named(one, reference) == (index.reference_of(one) == reference)
