"""Who a program runs as, by the image's own lists."""

from pathlib import Path

import pytest

from kubeimage.run.accounts import Account, UnknownUserError, find_account

PASSWD = """root:x:0:0:root:/root:/bin/sh
app:x:1000:100:An app:/home/app:/bin/sh
1001:x:7:8::/named/by/number:
bare:x:9:9
nohome:x:11:12:::
huge:x:99999999999999999999:1::/h:
"""
GROUP = """root:x:0:
users:x:100:other
more:x:1001:app,other
last:x:300:app
broken
"""


@pytest.fixture
def etc(tmp_path: Path) -> str:
    (tmp_path / "passwd").write_text(PASSWD)
    (tmp_path / "group").write_text(GROUP)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Account(0, 0, (), "/root")),
        ("root", Account(0, 0, (), "/root")),
        ("app", Account(1000, 100, (300, 1001), "/home/app")),
        ("1000", Account(1000, 100, (300, 1001), "/home/app")),
        ("app:more", Account(1000, 1001, (), "/home/app")),
        ("app:5", Account(1000, 5, (), "/home/app")),
        ("1000:0", Account(1000, 0, (), "/home/app")),
        ("1001", Account(7, 8, (), "/named/by/number")),
        ("4321", Account(4321, 0, (), "/")),
        ("4321:more", Account(4321, 1001, (), "/")),
        (":more", Account(0, 1001, (), "/root")),
        ("nohome", Account(11, 12, (), "/")),
    ],
)
def test_a_user_is_looked_up(etc: str, text: str, expected: Account) -> None:
    assert find_account(text, etc) == expected


@pytest.mark.parametrize("text", ["who", "bare", "-1", "99999999999999999999", "app:who", "\uff11"])
def test_a_user_or_group_that_is_unknown_is_refused(etc: str, text: str) -> None:
    with pytest.raises(UnknownUserError):
        find_account(text, etc)


def test_an_image_without_lists_has_numbers(tmp_path: Path) -> None:
    assert find_account("", str(tmp_path)) == Account(0, 0, (), "/")
    assert find_account("5:6", str(tmp_path)) == Account(5, 6, (), "/")
    with pytest.raises(UnknownUserError):
        find_account("root", str(tmp_path))
