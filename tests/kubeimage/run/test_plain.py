"""Commands without walls."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeimage.errors import SandboxError
from kubeimage.mount.overlay import OverlayMount
from kubeimage.protocols.running import Command, CommandRunner
from kubeimage.run.plain import PlainRunner
from tests.kubeimage.run.conftest import FolderMount, Talker
from tests.kubeimage.run.processes import processes_with


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


def test_all_that_was_started_ends_with_the_command_daemons_too(say: Talker, mark: str) -> None:
    say(f"sleep {mark}1 & (setsid sh -c 'setsid sleep {mark}2 & exec sleep {mark}3' &); sleep 0.05; echo done")

    assert say.said == b"done\n"
    assert processes_with(f"sleep {mark}") == []


def test_a_daemon_that_keeps_the_output_open_keeps_nobody_waiting(say: Talker, mark: str) -> None:
    result = say(f"(setsid sleep {mark} &) ; echo done", timeout=60)

    assert (result.status, result.timed_out, say.said) == (0, False, b"done\n")


def test_a_command_that_takes_too_long_is_stopped(say: Talker, mark: str) -> None:
    result = say(f"echo begun; (setsid sleep {mark}1 &); sleep {mark}2", timeout=0.5)

    assert (result.timed_out, result.tail) == (True, "begun")
    assert processes_with(f"sleep {mark}") == []


def test_an_interrupted_command_is_stopped(folder: FolderMount, mark: str) -> None:
    def hear(_data: bytes) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PlainRunner({}).run(Command(f"echo begun; (setsid sleep {mark}1 &); sleep {mark}2"), folder, hear)

    assert processes_with(f"sleep {mark}") == []


def test_an_overlay_works_without_walls_as_well(overlay: OverlayMount, tmp_path: Path) -> None:
    result = PlainRunner({}).run(Command("rm etc/a && echo n > n"), overlay, lambda _data: None)

    assert result.status == 0
    assert [one.path for one in overlay.changes()] == ["etc", "etc/a", "n"]
