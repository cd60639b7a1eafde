"""Secrets are found in whatever form they are written, and told by no output."""

import base64
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.layer.disclosure import Redactor, Secrets, find_disclosed
from kubeimage.layer.entry import Entry, directory, file, symlink

VALUES = st.binary(min_size=16, max_size=40).filter(lambda value: len(value.rstrip(b"\r\n")) >= 16)
NOISE = st.binary(max_size=30)


def ways(value: bytes, before: bytes) -> dict[str, bytes]:
    """Return the texts that a program may write of a value, which stands behind ``before`` in what it encodes."""
    return {
        "plain": before + value,
        "hex": value.hex().encode(),
        "HEX": value.hex().upper().encode(),
        "base64": base64.b64encode(before + value + b"behind it"),
        "base64 for URLs": base64.urlsafe_b64encode(before + value),
        "escaped": quote_from_bytes(value, safe="").encode(),
        "escaped but for slashes": quote_from_bytes(value).encode(),
        **{f"base64 in {width} columns": in_lines(base64.b64encode(before + value), width) for width in (64, 76, 20)},
        "base64 for Windows": in_lines(base64.b64encode(before + value), 76, b"\r\n"),
        "base64 in YAML": in_lines(base64.b64encode(before + value), 64, b"\n        "),
        "hex as xxd -p": in_lines((before + value).hex().encode(), 60),
    }


def in_lines(text: bytes, width: int, end: bytes = b"\n") -> bytes:
    """Break a text into lines."""
    return end.join(text[at : at + width] for at in range(0, len(text), width)) + end


@given(VALUES, NOISE, NOISE)
def test_each_form_is_found(value: bytes, before: bytes, behind: bytes) -> None:
    secrets = Secrets({"token": value.rstrip(b"\r\n")})

    missed = [way for way, text in ways(value, before).items() if secrets.find(before + text + behind) is None]

    assert missed == []


def test_no_piece_tells_what_is_broken_into_many_lines() -> None:
    value = bytes(range(100, 140))
    secrets = Secrets({"token": value})
    text = in_lines(base64.b64encode(value), 16, b"\n" + b" " * 32)

    for cut in range(len(text)):
        redactor = Redactor(secrets)
        told = redactor.feed(text[:cut]) + redactor.feed(text[cut:]) + redactor.finish()
        assert told.startswith(b"[secret token]"), cut


@given(VALUES, NOISE, st.data())
def test_no_piece_tells_it(value: bytes, before: bytes, data: st.DataObject) -> None:
    """However what is printed is cut into pieces."""
    secrets = Secrets({"token": value})
    text = b"".join(before + way for way in ways(value, before).values())
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    redactor = Redactor(secrets)

    told = b"".join([*map(redactor.feed, pieces), redactor.finish()])

    assert secrets.find(told) is None
    assert b"[secret token]" in told


def test_no_piece_tells_a_form_that_is_cut_anywhere() -> None:
    value = bytes(range(100, 120))
    secrets = Secrets({"token": value})
    for way, text in ways(value, b"").items():
        for cut in range(len(text)):
            redactor = Redactor(secrets)
            told = redactor.feed(text[:cut]) + redactor.feed(text[cut:]) + redactor.finish()
            assert b"[secret token]" in told, (way, cut)


@given(st.lists(st.binary(max_size=20)))
def test_without_a_secret_everything_is_told_at_once(pieces: list[bytes]) -> None:
    redactor = Redactor(Secrets({}))

    assert [redactor.feed(piece) for piece in pieces] == pieces


def test_a_line_end_behind_the_value_is_none_of_it() -> None:
    assert Secrets({"token": b"0123456789\n"}).find(b"x=0123456789;") == "token"


@pytest.mark.parametrize("width", [64, 76])
def test_lines_are_found_where_two_pieces_of_a_file_part_them(width: int) -> None:
    """Wherever in the encoded text it begins, and wherever the file's pieces end."""
    value = bytes(range(100, 140))
    secrets = Secrets({"token": value})
    for shift in range(0, 160, 7):
        text = in_lines(base64.b64encode(b"k" * shift + value + b"e" * 50), width)
        for size in (1, 13, 64, len(text)):
            redactor = Redactor(secrets)
            told = b"".join(redactor.feed(text[at : at + size]) for at in range(0, len(text), size))
            assert b"[secret token]" in told + redactor.finish()
        assert find_disclosed([file("a", b"x" * (262_140 - shift) + text)], secrets) == ("a", "token")


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (file("a", b"x" * 300_000 + b"0123456789" + b"y"), ("a", "token")),
        (file("a-0123456789", b""), ("a-0123456789", "token")),
        (symlink("a", "to/0123456789"), ("a", "token")),
        (directory("a")._replace(xattrs=(("user.a", b"0123456789"),)), ("a", "token")),
        (file("a", b"012345678"), None),
    ],
    ids=["content", "name", "target", "attribute", "nearly"],
)
def test_a_changeset_is_searched_in_all_of_its_places(entry: Entry, found: tuple[str, str] | None) -> None:
    assert find_disclosed([entry], Secrets({"token": b"0123456789"})) == found
