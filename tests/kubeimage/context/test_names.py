"""What names alone say about files."""

import pytest

from kubeimage.context.names import are_plain, check_name, is_lock, is_text, looks_secret, secret_warnings
from kubeimage.errors import UnsupportedSourceError
from kubeimage.lock.lockfile import FIRST_LINE


@pytest.mark.parametrize(
    "name", ["id_rsa", ".npmrc", ".dockerconfigjson", "admin.conf", "ca.key", "server-key.pem", "kubeconfig", "my.p12"]
)
def test_names_of_keys_and_credentials_are_known(name: str) -> None:
    assert looks_secret(name)
    assert not are_plain(["a", name])


@pytest.mark.parametrize("name", ["id_rsa.pub", "ca.pem", "ca.crt", "monkey", "keys", "conf", "admin.conf.md", "key"])
def test_harmless_names_are_no_secrets(name: str) -> None:
    assert not looks_secret(name)
    assert are_plain(["a", name])


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("Kubefile.lock", b"", True),
        ("Sealfile.lock", b"anything", True),
        ("Other.lock", f"{FIRST_LINE}\nversion = 1\n".encode(), True),
        ("Other.lock", b"# The lock of something else", False),
        ("Cargo.lock", b"version = 3\n", False),
        ("Kubefile.lock.bak", FIRST_LINE.encode(), False),
        ("notes.txt", FIRST_LINE.encode(), False),
    ],
)
def test_a_lock_is_known_by_its_name_or_by_its_first_line(name: str, text: bytes, expected: bool) -> None:
    assert is_lock(name, text.startswith) is expected


@pytest.mark.parametrize(
    "name", ["Kubefile.lock", "x.lock", "imageListWithAuth.yaml", ".wh.a", ".wh..wh..opq", "é", "\udcff"]
)
def test_names_that_need_a_second_look_are_not_plain(name: str) -> None:
    assert not are_plain([name])
    assert not are_plain(["a", name, "z"])


@pytest.mark.parametrize(("name", "why"), [(".wh.a", "marks a deletion"), ("\udcff", "UTF-8")])
def test_names_that_no_layer_can_hold_are_refused(name: str, why: str) -> None:
    with pytest.raises(UnsupportedSourceError, match=why) as caught:
        check_name(name, f"dir/{name}")

    assert repr(f"dir/{name}") in caught.value.message


@pytest.mark.parametrize("name", ["é", "日本", "a b", ".whx", "new\nline"])
def test_all_other_names_are_fine(name: str) -> None:
    check_name(name, name)

    assert is_text(name)


def test_a_crowd_of_secrets_is_counted() -> None:
    warnings = secret_warnings(f"{number}.key" for number in range(14))

    assert len(warnings) == 11
    assert warnings[-1] == "… and so do 4 more files"
