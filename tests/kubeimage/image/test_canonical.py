"""JSON as it is digested: what is read can be written again."""

import pytest

from kubeimage.image import canonical


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"b":1,"a":[1.5,null]}', {"a": [1.5, None], "b": 1}),
        ('"gr\\u00f6\\u00dfe"', "größe"),
        ('"\\ud83d\\ude00"', "😀"),
        (b"\xef\xbb\xbf{}", {}),
    ],
    ids=["an object", "an escape", "a pair of escapes", "a byte order mark"],
)
def test_json_is_read(data: str | bytes, value: object) -> None:
    assert canonical.loads(data) == value


@pytest.mark.parametrize(
    "data",
    ["", "{", b"\xff", '"\\ud800"', '{"\\udc00a":1}', "NaN", "-Infinity", "1e999", "[" * 100_000, "9" * 5_000],
    ids=[
        "nothing",
        "half",
        "not UTF-8",
        "half a character",
        "half a key",
        "NaN",
        "infinite",
        "too large",
        "deep",
        "long",
    ],
)
def test_what_could_not_be_written_again_is_refused(data: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"[a-zA-Z]"):
        canonical.loads(data)


def test_an_object_is_wanted() -> None:
    with pytest.raises(ValueError, match="it is no JSON object, but a list"):
        canonical.decode(b"[]")


def test_equal_objects_give_equal_bytes() -> None:
    assert canonical.encode({"b": "ö", "a": 1}) == canonical.encode({"a": 1, "b": "ö"}) == '{"a":1,"b":"ö"}'.encode()
