"""A command run twice, and what is not alike around it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.rebuild import circumstances
from harness.rebuild.builds import BuildFailedError, Rebuilt, build_twice
from harness.rebuild.outcome import NoImageError, name_of_image
from tests.imageroots import Put, RootImage

LOOK = """
import json, os, sys
status = os.stat("f/a")
facts = {"cwd": os.getcwd(), "tz": os.environ["TZ"], "umask": os.umask(0), "mtime": status.st_mtime_ns,
         "uid": os.getuid(), "mode": status.st_mode & 0o7777, "names": os.listdir("f"), "link": os.readlink("f/link"),
         "cache": os.path.exists(".pytest_cache")}
open(sys.argv[1], "w").write(json.dumps(facts))
"""
COMMAND = f"{sys.executable} look.py {{out}}"


@pytest.fixture
def folder() -> Iterator[str]:
    """A folder that another user may enter."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as path:
        os.chmod(path, 0o711)
        yield path


@pytest.fixture
def context(tmp_path: Path) -> str:
    (tmp_path / "look.py").write_text(LOOK)
    (tmp_path / "f").mkdir()
    (tmp_path / ".pytest_cache").mkdir()
    for name in "abcde":
        (tmp_path / "f" / name).write_text(name)
    (tmp_path / "f/a").chmod(0o640)
    (tmp_path / "f/link").symlink_to("a")
    os.utime(tmp_path / "f/a", ns=(10**18, 10**18))
    return str(tmp_path)


def facts(built: Rebuilt) -> tuple[dict[str, Any], dict[str, Any]]:
    one, two = (json.loads(Path(found.out).read_text()) for found in (built.first, built.second))
    return one, two


def test_everything_that_can_be_is_varied(context: str, folder: str) -> None:
    built = build_twice(COMMAND, context, folder, apart=0)

    one, two = facts(built)
    for name in ("cwd", "tz", "umask", "mtime"):
        assert one[name] != two[name]
    assert one["mtime"] == 10**18
    assert sorted(one["names"]) == sorted(two["names"]) == ["a", "b", "c", "d", "e", "link"]
    assert (one["names"] != two["names"]) == ("order" not in built.unvaried)
    assert (one["uid"] != two["uid"]) == ("user" not in built.unvaried)
    assert set(built.varied) | set(built.unvaried) == {"time", "mtime", "timezone", "umask", "path", "order", "user"}
    assert (one["mode"], one["link"], one["cache"]) == (two["mode"], two["link"], two["cache"]) == (0o640, "a", False)


def test_the_context_itself_is_left_alone(context: str, folder: str) -> None:
    build_twice("rm -r f && echo x > {out}", context, folder, apart=0)

    assert sorted(os.listdir(context)) == [".pytest_cache", "f", "look.py"]


def test_what_was_copied_is_removed(context: str, folder: str) -> None:
    before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()

    build_twice("echo x > {out}", context, folder, apart=0)

    after = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    assert not {name for name in after - before if name.startswith(f"kubeimage-{os.getpid()}-")}


def test_an_order_that_nobody_can_vary_is_named(context: str, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circumstances, "_orders_differ", lambda _one, _two: False)
    monkeypatch.setattr(circumstances, "_IN_MEMORY", "/nowhere")

    built = build_twice("echo x > {out}", context, folder, apart=0)

    assert built.unvaried["order"] == "this file system decides how folders are listed, and there is no /nowhere"


def test_a_context_of_one_file_has_no_order(tmp_path: Path, folder: str) -> None:
    (tmp_path / "only").write_text("x")

    built = build_twice("cat only > {out}", str(tmp_path), folder, apart=0)

    assert built.unvaried["order"] == "no folder of the context holds two files"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can build as another user")
def test_a_command_for_root_alone_is_run_again_as_root(context: str, folder: str) -> None:
    built = build_twice("[ $(id -u) = 0 ] || { echo for root; exit 4; }; id -u > {out}", context, folder, apart=0)

    assert built.unvaried["user"] == "the command fails for the user 65534: for root"
    assert Path(built.second.out).read_text() == "0\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root can build as another user")
def test_who_is_not_root_builds_as_one_user(context: str, folder: str) -> None:
    assert build_twice("echo > {out}", context, folder, apart=0).unvaried["user"] == (
        "only root can build as another user"
    )


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("echo no; exit 3 # {out}", "the command ended with status 3"),
        ("echo no # {out}", "the command made nothing at {out}"),
    ],
)
def test_a_command_that_makes_nothing_fails_with_what_it_said(
    context: str, folder: str, command: str, message: str
) -> None:
    with pytest.raises(BuildFailedError) as caught:
        build_twice(command, context, folder, apart=0)

    assert (str(caught.value), caught.value.lines) == (message, ("no",))


def test_the_builds_start_apart(context: str, folder: str) -> None:
    built = build_twice("date +%s.%N > {out}", context, folder, apart=0.3)

    one, two = (float(Path(found.out).read_text()) for found in (built.first, built.second))
    assert two - one >= 0.3


def test_what_a_command_left_is_told_by_its_content(tmp_path: Path) -> None:
    image = RootImage([{"a": Put(b"a")}])

    assert name_of_image(str(image.write_oci_layout(tmp_path / "layout"))) == f"oci:{tmp_path}/layout"
    archive = image.write_docker_archive(tmp_path / "any-name")
    assert name_of_image(str(archive)) == f"docker-archive:{archive}"


@pytest.mark.parametrize("kind", ["folder", "text", "tar"])
def test_what_is_no_image_is_said(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("x")
    else:
        import tarfile

        with tarfile.open(path, "w"):
            pass
    with pytest.raises(NoImageError):
        name_of_image(str(path))
