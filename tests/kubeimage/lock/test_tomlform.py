"""What is written into a lock is read out of it again, and what is no lock is said to be none."""

import re
import tomllib

import pytest
from hypothesis import given

from kubeimage.errors import LockFileError
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.lock.lockfile import Lock, LockedChart, LockedImage
from kubeimage.lock.tomlform import from_toml, to_toml
from tests.kubeimage.lock.locks import AMD64, ARM64, locks
from tests.properties.examples import examples

DIGEST = Digest.of(b"an image")
HEAD = 'version = 1\nplatforms = ["linux/amd64"]\n'


@examples(0.4)
@given(locks())
def test_a_lock_comes_back_as_it_was_written(lock: Lock) -> None:
    assert from_toml(to_toml(lock), "Kubefile.lock") == lock


def test_a_lock_is_what_the_page_shows() -> None:
    image = LockedImage(
        Reference("docker.io", "library/nginx", "1.25"), DIGEST, {ARM64: DIGEST, AMD64: DIGEST}, (AMD64,)
    )
    lock = Lock((AMD64,), images=(image,), charts=(LockedChart("charts/db", "db", "1.0", DIGEST),))

    assert tomllib.loads(to_toml(lock).decode()) == {
        "version": 1,
        "platforms": ["linux/amd64"],
        "images": [
            {
                "name": "docker.io/library/nginx:1.25",
                "digest": str(DIGEST),
                "platforms": {"linux/amd64": str(DIGEST), "linux/arm64": str(DIGEST)},
                "only": ["linux/amd64"],
            }
        ],
        "charts": [{"path": "charts/db", "name": "db", "version": "1.0", "digest": str(DIGEST)}],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(b"\xff", "is not UTF-8 at byte 0", id="bytes"),
        pytest.param("version = ", "is not TOML", id="no TOML"),
        pytest.param("", "it has version None where 1 is expected", id="empty"),
        pytest.param('version = "1"', "it has version '1' where 1 is expected", id="a text for a version"),
        pytest.param("version = true", "it has version True where 1 is expected", id="a truth for a version"),
        pytest.param("version = 2", "has version 2, written by a newer kubeimage", id="newer"),
        pytest.param("version = 1", "platforms is not a list of platforms", id="no platforms"),
        pytest.param("version = 1\nplatforms = []", "it is for no platform", id="for nothing"),
        pytest.param(f"{HEAD}color = 1", "the lock has a key that means nothing: 'color'", id="unknown key"),
        pytest.param(f"{HEAD}images = 1", "images is not a list of tables", id="no list"),
        pytest.param(f"{HEAD}[[images]]", "number 1 of images has no name", id="no name"),
        pytest.param(f'{HEAD}[[images]]\nname = "a"', "the repository is missing", id="half a name"),
        pytest.param(f'{HEAD}[[images]]\nname = "a/b"\ndigest = "sha1:0"', "not a digest: 'sha1:0'", id="no digest"),
        pytest.param(
            f'{HEAD}[[images]]\nname = "a/b"\ndigest = "{DIGEST}"\nplatforms = {{"a/b/c/d" = "{DIGEST}"}}',
            "not a platform: 'a/b/c/d'",
            id="no platform",
        ),
        pytest.param(
            f'{HEAD}[[urls]]\nurl = "x"\ndigest = "{DIGEST}"\n[[urls]]\nurl = "x"\ndigest = "{DIGEST}"',
            "'x' is twice in urls",
            id="twice",
        ),
    ],
)
def test_what_is_no_lock_is_an_error_that_says_why(text: str | bytes, message: str) -> None:
    data = text if isinstance(text, bytes) else text.encode()

    with pytest.raises(LockFileError, match=rf"^Kubefile\.lock .*{re.escape(message)}") as caught:
        from_toml(data, "Kubefile.lock")

    assert "kubeimage lock" in (caught.value.hint or "")
