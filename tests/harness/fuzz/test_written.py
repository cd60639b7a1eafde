"""Values read back as they print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.fuzz.target import NAMES, find_target
from harness.fuzz.written import read, read_tuple
from harness.trees import File
from tests.properties.examples import examples


@pytest.mark.parametrize("value", [1, -1, 1.5, None, True, "a\n", b"\xff", (), (1,), [[]], {"a": {1: b""}}], ids=repr)
def test_a_literal_is_read_as_itself(
    value: object,
) -> None:
    assert read(repr(value), {}) == value


def test_what_is_known_is_called() -> None:
    assert read("[File('a' * 3, mode=0o755)]", {"File": File}) == [File("aaa", 0o755)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "open('a')",
        "File.data",
        "().__class__",
        "[a for a in ()]",
        "{**{}}",
        "1 - 1",
        "File(*())",
        "'a' + 1",
        "1;2",
    ],
)
def test_anything_else_is_refused_and_not_run(text: str) -> None:
    with pytest.raises(ValueError, match="no written value"):
        read(text, {"File": File})


@pytest.mark.parametrize("data", [b"1", b"(1, 'a')", b"[1]"])
def test_a_tuple_of_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no tuple of <class 'int'>"):
        read_tuple(data, {}, int)


@pytest.mark.parametrize("name", NAMES)
@examples(0.3)
@given(data=st.data())
def test_a_case_is_the_same_after_it_was_saved(name: str, data: st.DataObject) -> None:
    target = find_target(name)
    case = data.draw(target.cases)

    assert target.load(target.dump(case)) == case
