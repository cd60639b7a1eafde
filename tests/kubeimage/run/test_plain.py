"""Commands without walls."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeimage.errors import SandboxError
from kubeimage.mount.overlay import OverlayMount
from kubeimage.protocols.running import Command, CommandRunner
from kubeimage.run.plain import PlainRunner
from tests.kubeimage.run.conftest import FolderMount, Talker


@pytest.fixture
def say(talk: Callable[[CommandRunner], Talker]) -> Talker:
    return talk(PlainRunner({}))


def test_the_command_works_in_the_rootfs_where_that_is(say: Talker, folder: FolderMount) -> None:
    result = say("pwd; echo x > made; exit 5")

    assert (result.status, say.said.decode()) == (5, folder.rootfs + "\n")
    assert os.listdir(folder.rootfs) == ["made"]


def test_the_environment_is_the_list_and_nothing_else(
    say: Talker, folder: FolderMount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the host")

    say("env | sort", VERSION="2.2")

    assert say.said.decode().splitlines() == [
        "HOME=/tmp",
        "LANG=C.UTF-8",
        f"PATH={folder.rootfs}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        f"PWD={folder.rootfs}",
        "VERSION=2.2",
    ]


def test_no_network_cannot_be_promised(say: Talker) -> None:
    with pytest.raises(SandboxError, match="network") as caught:
        say("true", network=False)

    assert "--network=none" in (caught.value.hint or "")


def test_a_rootfs_that_is_not_there_is_said(say: Talker, folder: FolderMount) -> None:
    folder.rootfs += "/missing"

    with pytest.raises(SandboxError, match="missing"):
        say("true")


@pytest.mark.parametrize(("script", "status"), [("kill -9 $$", -9), ("kill -9 0", -9), ("exit 255", 255)])
def test_the_status_is_the_commands_own(say: Talker, script: str, status: int) -> None:
    result = say(script)

    assert (result.status, say.said) == (status, b"")


def test_background_processes_end_with_the_command(say: Talker, folder: FolderMount) -> None:
    say("(sleep 0.3; echo late > late) & echo done")

    time.sleep(0.4)
    assert say.said == b"done\n"
    assert os.listdir(folder.rootfs) == []


def test_a_daemon_that_keeps_the_output_open_keeps_nobody_waiting(say: Talker) -> None:
    started = time.monotonic()
    result = say("(setsid sleep 3 &) ; echo done")

    assert (result.status, say.said) == (0, b"done\n")
    assert time.monotonic() - started < 2.5


def test_a_command_that_takes_too_long_is_stopped(say: Talker, folder: FolderMount) -> None:
    result = say("echo begun; sleep 0.6 && echo late > late", timeout=0.2)

    time.sleep(0.6)
    assert (result.timed_out, result.tail) == (True, "begun")
    assert os.listdir(folder.rootfs) == []


def test_an_interrupted_command_is_stopped(folder: FolderMount) -> None:
    def hear(_data: bytes) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PlainRunner({}).run(Command("echo begun; sleep 0.3 && echo late > late"), folder, hear)

    time.sleep(0.4)
    assert os.listdir(folder.rootfs) == []


def test_an_overlay_works_without_walls_as_well(overlay: OverlayMount, tmp_path: Path) -> None:
    result = PlainRunner({}).run(Command("rm etc/a && echo n > n"), overlay, lambda _data: None)

    assert result.status == 0
    assert [one.path for one in overlay.changes()] == ["etc", "etc/a", "n"]
