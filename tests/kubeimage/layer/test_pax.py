import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.errors import LayerFormatError
from kubeimage.layer.pax import parse_records, render_records

keys = st.text(st.characters(exclude_characters="=\0", exclude_categories=["Cs"]), min_size=1)


@given(st.dictionaries(keys, st.binary() | st.integers(80, 110).map(bytes) | st.integers(980, 1010).map(bytes)))
def test_records_are_read_as_they_were_written(records: Mapping[str, bytes]) -> None:
    assert parse_records(render_records(records.items())) == records


def test_a_record_counts_the_digits_of_its_own_length() -> None:
    assert render_records([("path", b"a" * 89)]) == b"98 path=" + b"a" * 89 + b"\n"
    assert render_records([("path", b"a" * 90)]) == b"99 path=" + b"a" * 90 + b"\n"
    assert render_records([("path", b"a" * 91)]) == b"101 path=" + b"a" * 91 + b"\n"


@pytest.mark.parametrize(
    "data",
    [
        b"6 a=bc\n",
        b"99 a=b\n",
        b"5 a=b\n",
        b"0 a=b\n",
        b"-6 a=b\n",
        b"+6 a=b\n",
        b"6_0 a=b\n",
        b"a=b\n",
        b"6 a=b",
        b"6 ab\n",
        b"6 =ab\n",
        b"6 a=b\n\0\0",
        b"99999999999999999999999 a=b\n",
        b"7 \xff=ab\n",
    ],
    ids=repr,
)
def test_records_that_lie_are_refused(data: bytes) -> None:
    with pytest.raises(LayerFormatError, match=re.escape("PAX record")):
        parse_records(data)
