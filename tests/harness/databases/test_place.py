"""How databases are written down: what is wrong is said before anything is opened."""

import re

import pytest

from harness.databases.place import Kind, parse_place


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("redis://127.0.0.1:6379/0", Kind.REDIS, "redis://127.0.0.1:6379/0"),
        ("redis://me:secret@example.com", Kind.REDIS, "redis://example.com"),
        ("rediss://:secret@example.com:1/2?password=secret", Kind.REDIS, "rediss://example.com:1/2"),
        ("redis://[::1]:6379", Kind.REDIS, "redis://[::1]:6379"),
        ("unix:///run/redis.sock?password=secret", Kind.REDIS, "unix:///run/redis.sock"),
        ("github://team/app", Kind.GITHUB, "github://team/app"),
        ("github://team/app/examples", Kind.GITHUB, "github://team/app/examples"),
        ("examples", Kind.FOLDER, "examples"),
        ("a:b", Kind.FOLDER, "a:b"),
    ],
)
def test_a_place_is_a_server_an_artifact_or_a_folder(text: str, kind: Kind, shown: str) -> None:
    place = parse_place(text)

    assert (place.kind, place.text, place.shown) == (kind, text, shown)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has a name"),
        ("mysql://host/0", "redis://HOST:PORT/NUMBER, github://OWNER/REPO or a folder"),
        ("redis://", "a server is named"),
        ("redis://:6379", "a server is named"),
        ("redis://host:port", "a number up to 65535"),
        ("redis://host:99999", "a number up to 65535"),
        ("redis://host/examples", "a server is named"),
        ("github://team", "an artifact is named"),
        ("github://team/", "an artifact is named"),
        ("github://a/b/c/d", "an artifact is named"),
        (__file__, "is no folder"),
        (f"{__file__}/below", f"{__file__} is no folder"),
    ],
)
def test_anything_else_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_place(text)
