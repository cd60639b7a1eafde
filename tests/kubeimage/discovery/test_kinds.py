"""Files that say where kinds name images."""

import pytest

from kubeimage.discovery.kinds import Kind, known_kinds, merged_kinds, parse_kinds
from kubeimage.errors import SettingsError


def test_what_a_file_says_of_a_kind_is_added_to_what_is_known() -> None:
    name, known = next((name, kind) for name, kind in known_kinds().items() if kind.images)
    text = f'["{name}"]\nimages = ["spec.more"]\n["example.com/New"]\ncomposed = ["{{a}}:{{b}}"]\n'.encode()

    merged = merged_kinds((text,))

    assert merged[name] == Kind((*known.images, "spec.more"), known.composed)
    assert merged["example.com/New"] == Kind((), ("{a}:{b}",))
    assert {one: kind for one, kind in merged.items() if one in known_kinds()} == {**known_kinds(), name: merged[name]}


BAD = {
    b"a b": r"f: it is not TOML: .*\(at line 1, column 3\)$",
    b"a = '\xff'": "f: it is not UTF-8 at byte 5$",
    b"a = 1": r'f: \["a"\] is not a table$',
    b"[a]\nimage = []": r"""f: \["a"\] has a key that means nothing: 'image'$""",
    b"[a]\nimages = 'x'": r'f: \["a"\] images is not a list of texts$',
    b"[a]\nimages = ['x', 1]": r'f: \["a"\] images is not a list of texts$',
    b"[a]\ncomposed = ['']": r'f: \["a"\] composed is not a list of texts$',
}


@pytest.mark.parametrize(("data", "message"), BAD.items(), ids=map(repr, BAD))
def test_a_file_that_is_none_is_refused_with_the_kind(data: bytes, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_kinds(data, file="f")
