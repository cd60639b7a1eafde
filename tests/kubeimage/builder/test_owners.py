"""Owners: whose files COPY --chown, WORKDIR and ADD make, by the image's own lists."""

import io
import tarfile

import pytest

from kubeimage.errors import BuildError
from tests.kubeimage.builder.conftest import World

PASSWD = b"root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\nbroken\nodd:x:x:1::/:/bin/sh\n"
GROUP = b"root:x:0:\nextra:x:2000:app\n"
FILES = {"passwd": PASSWD, "group": GROUP, "a": b"1", "d/b": b"2"}
HEAD = "# syntax=sealos\nFROM scratch\nCOPY passwd group /etc/\n"


def owners(world: World, text: str) -> dict[str, tuple[int, int]]:
    image = world.build(text, FILES).image
    return {entry.path: entry.owner for layer in image.layers for entry in world.layers.entries(layer.diff_id)}


@pytest.mark.parametrize(
    ("chown", "expected"),
    [
        ("app", (1000, 1001)),
        ("app:extra", (1000, 2000)),
        ("app:7", (1000, 7)),
        ("1000", (1000, 1000)),
        ("7", (7, 7)),
        (":extra", (0, 2000)),
        ("root", (0, 0)),
        ("0:5", (0, 5)),
        ("4294967294", (4294967294, 4294967294)),
        ("$WHO", (1000, 1001)),
    ],
)
def test_names_and_numbers_are_those_of_the_image(world: World, chown: str, expected: tuple[int, int]) -> None:
    found = owners(world, f"{HEAD}ENV WHO=app\nCOPY --chown={chown} a /new/x\nCOPY --chown={chown} d /d\n")

    assert {found[path] for path in ("new", "new/x", "d", "d/b")} == {expected}


@pytest.mark.parametrize(
    ("chown", "message", "hint"),
    [
        ("ap", "no user 'ap' in its /etc/passwd", "did you mean app?"),
        ("app:extr", "no group 'extr' in its /etc/group", "did you mean extra?"),
        ("nobody", "no user 'nobody'", "add it before this line, or use its number"),
        ("4294967295", "no user or group has the number", "the largest is 4294967294"),
    ],
)
def test_a_name_that_the_image_has_not_is_an_error(world: World, chown: str, message: str, hint: str) -> None:
    with pytest.raises(BuildError, match=message) as caught:
        owners(world, f"{HEAD}COPY --chown={chown} a /x\n")
    assert caught.value.hint == hint
    assert caught.value.location is not None


def test_a_workdir_is_the_user_s(world: World) -> None:
    found = owners(world, f"{HEAD}WORKDIR /r\nUSER app\nWORKDIR /a/b\nUSER 7\nWORKDIR /r/c\nWORKDIR /a\n")

    assert found["r"] == (0, 0)
    assert found["a"] == found["a/b"] == (1000, 1001)
    assert found["r/c"] == (7, 7)


def test_another_owner_is_a_change_and_the_same_is_none(world: World) -> None:
    image = world.build(f"{HEAD}COPY a /a\nCOPY a /a\nCOPY --chown=5 a /a\nCOPY --chown=5 a /a\n", FILES).image

    assert [layer.value for layer in image.layers] == ["passwd group /etc/", "a /a", "--chown=5 a /a"]


def test_a_key_holds_the_numbers_that_a_name_comes_to(world: World) -> None:
    text = f"{HEAD}COPY --chown=app a /a\n"
    world.build(text, FILES)

    again = world.build(text, {**FILES, "passwd": PASSWD.replace(b"1000", b"1002")})
    foreseen = world.forecast(text, FILES)

    assert [one.cached for one in again.steps] == [False, False]
    assert [one.outcome for one in foreseen] == ["hit", "hit"]


def test_an_archive_is_looked_up_without_unpacking_it(world: World) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("sub/x")
        member.uid, member.gid = 5, 6
        archive.addfile(member)
    files = {"a.tar": stream.getvalue()}
    text = "# syntax=sealos\nFROM scratch\nADD a.tar /opt/\n"

    first = world.build(text, files)

    assert world.tree(first.image) == {
        "opt": "directory 755",
        "opt/sub": "directory 755",
        "opt/sub/x": "file 644",
    }
    assert [one.outcome for one in world.forecast(text, files)] == ["hit"]
    assert [one.cached for one in world.build(text, files).steps] == [True]
    copied = world.build(text.replace("ADD", "COPY"), files)
    assert [one.cached for one in copied.steps] == [False]
    assert set(world.tree(copied.image)) == {"opt", "opt/a.tar"}
