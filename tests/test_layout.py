"""Where tests are: at the path of their module, or where the table in CONTRIBUTING.md says."""

import re
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
PACKAGES = ("kubeimage", "harness")
ROW = re.compile(r"^\| `(?P<room>(?:kubeimage|harness)[a-z0-9_/]*)/` \| (?P<holders>`[^|]+`) \|$", re.MULTILINE)
# These have no name that a test could mirror.
NAMELESS = {"__init__.py", "__main__.py"}


def rows() -> dict[str, list[str]]:
    """Return the table of CONTRIBUTING.md: a room, such as ``kubeimage/api``, and the tests that hold it.

    The tests are paths below ``tests/``. A folder ends in a slash.
    """
    found: dict[str, list[str]] = {}
    for row in ROW.finditer((ROOT / "CONTRIBUTING.md").read_text()):
        holders = re.findall(r"`([^`]+)`", row["holders"])
        found[row["room"]] = [name if "/" in name else f"{row['room']}/{name}" for name in holders]
    return found


def modules() -> set[str]:
    """Return the path of each module that has a name: ``kubeimage/layer/reader.py``."""
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {path.relative_to(ROOT).as_posix() for path in files if path.name not in NAMELESS}


def test_files() -> set[str]:
    """Return the path of each file of tests that mirrors a package, below ``tests/``."""
    files = (path for package in PACKAGES for path in (TESTS / package).rglob("test_*.py"))
    return {path.relative_to(TESTS).as_posix() for path in files}


test_files.__test__ = False  # type: ignore[attr-defined]


def mirrored(module: str) -> str:
    """Return where the tests of a module are: ``kubeimage/a/b.py`` has ``kubeimage/a/test_b.py``."""
    path = PurePosixPath(module)
    return str(path.with_name(f"test_{path.name}"))


def untested() -> set[str]:
    """Return the modules that have no tests of their own."""
    present = test_files()
    return {module for module in modules() if mirrored(module) not in present}


def room_of(path: str) -> str:
    return str(PurePosixPath(path).parent)


def test_a_module_has_tests_at_its_path_or_a_row_that_says_where_they_are() -> None:
    table = rows()

    assert [module for module in sorted(untested()) if room_of(module) not in table] == []


def test_tests_are_about_a_module_or_are_named_for_their_room() -> None:
    table = rows()
    about_modules = {mirrored(module) for module in modules()}
    about_rooms = {holder for room, holders in table.items() for holder in holders if room_of(holder) == room}

    assert sorted(test_files() - about_modules - about_rooms) == []


def test_the_table_names_no_room_without_need() -> None:
    needed = {room_of(module) for module in untested()}

    assert sorted(set(rows()) - needed) == []


@pytest.mark.parametrize(("room", "holders"), rows().items(), ids=list(rows()))
def test_what_the_table_names_is_there(room: str, holders: list[str]) -> None:
    missing = [name for name in holders if not (TESTS / name).exists()]
    empty = [name for name in holders if name.endswith("/") and not any((TESTS / name).rglob("test_*.py"))]

    assert (missing, empty) == ([], [])
    assert len(set(holders)) == len(holders)
