"""A renewed copy is what a new copy would be, whatever was done to it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.renewing import Entry, RenewedCopy, read_entry, walk


@pytest.fixture
def template(tmp_path: Path) -> Path:
    folder = tmp_path / "template"
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/c").write_text("1")
    (folder / "a/d").write_text("2")
    (folder / "a/d").chmod(0o440)
    (folder / "l").symlink_to("a/d")
    for path in ("a/b/c", "a/d", "a/b", "a"):
        os.utime(folder / path, ns=(5, 5))
    return folder


def entries(folder: Path) -> dict[str, object]:
    return {path: read_entry(folder / path, status) for path, status in walk(folder)}


CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _: None,
    "a file has as many other bytes": lambda place: (place / "a/b/c").write_text("9"),
    "and the old time": lambda place: ((place / "a/b/c").write_text("9"), os.utime(place / "a/b/c", ns=(5, 5))),
    "a file is another one": lambda place: os.replace(place / "a/b/c", place / "a/d"),
    "a mode": lambda place: (place / "a/d").chmod(0o777),
    "a folder's mode": lambda place: (place / "a").chmod(0o700),
    "a time": lambda place: os.utime(place / "a/d", ns=(0, 0)),
    "a folder is gone": lambda place: ((place / "a/b/c").unlink(), (place / "a/b").rmdir()),
    "a folder is a file": lambda place: (CHANGES["a folder is gone"](place), (place / "a/b").write_text("")),
    "a file is a folder": lambda place: ((place / "l").unlink(), (place / "l/m").mkdir(parents=True)),
    "a link leads elsewhere": lambda place: ((place / "l").unlink(), (place / "l").symlink_to("a")),
    "something is new": lambda place: ((place / "n").mkdir(), (place / "n/o").write_text("")),
}


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("change", CHANGES)
def test_it_is_the_template_again(template: Path, tmp_path: Path, change: str, times: int) -> None:
    copy, wanted = RenewedCopy(template, tmp_path / "place"), entries(template)

    copy.renew()
    for _ in range(times):
        CHANGES[change](copy.place)
        files = {path: status for path, status in walk(copy.place) if stat.S_ISREG(status.st_mode)}
        assert {path: copy.content(path, status) for path, status in files.items()} == {
            path: (copy.place / path).read_bytes() for path in files
        }
        copy.renew()
        assert entries(copy.place) == wanted


FILE, FOLDER = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755
OTHERS = {
    "another content": {"a": Entry(FOLDER, 5, b""), "a/d": Entry(FILE, 5, b"9")},
    "the same content, marked": {"a": Entry(FOLDER, 5, b""), "a/d": Entry(FILE, 0, b"2")},
    "a file of two names": {"a": Entry(FILE, 5, b"1"), "b": Entry(FILE, 5, b"1", same_as="a")},
    "nothing": {},
}


def test_it_is_what_is_wanted_whatever_was_there(template: Path, tmp_path: Path) -> None:
    copy = RenewedCopy(template, tmp_path / "place")
    turns = [*OTHERS, *reversed(OTHERS), *OTHERS]

    for wanted in turns:
        copy.renew(OTHERS[wanted])
        assert entries(copy.place) == {path: one._replace(same_as="") for path, one in OTHERS[wanted].items()}
        links = {path: status.st_ino for path, status in walk(copy.place)}
        assert all(links[path] == links[one.same_as] for path, one in OTHERS[wanted].items() if one.same_as)
    copy.renew()
    assert entries(copy.place) == entries(template)
