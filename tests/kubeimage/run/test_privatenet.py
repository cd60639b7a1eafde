"""A RUN with a network of its own, and what is said where it cannot have one."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeimage.errors import SandboxError
from kubeimage.mount.overlay import OverlayMount
from kubeimage.protocols.running import CommandRunner
from kubeimage.run import privatenet
from kubeimage.run.choose import choose_runner
from kubeimage.run.landlock import LandlockRunner, why_not
from kubeimage.run.plain import PlainRunner
from kubeimage.run.sandbox import SandboxRunner
from kubeimage.settings import RunSettings
from tests.kubeimage.run.conftest import FolderMount, Talker
from tests.kubeimage.run.processes import processes_with

PRIVATE = RunSettings(network="private")
CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 2)"
ABSTRACT = "import socket; socket.socket(socket.AF_UNIX).connect({name!r})"

Talk = Callable[[CommandRunner], Talker]

with_tun = pytest.mark.skipif(
    not os.access(privatenet.TUN, os.R_OK | os.W_OK), reason=f"this user cannot open {privatenet.TUN}"
)


@pytest.fixture
def say(talk: Talk) -> Talker:
    return talk(SandboxRunner({}, settings=PRIVATE))


@with_tun
@pytest.mark.needs("pasta", "python3")
def test_what_listens_on_this_machine_is_out_of_reach(say: Talker, talk: Talk) -> None:
    name = f"\0kubeimage-{os.getpid()}-{os.urandom(4).hex()}"
    with socket.socket() as server, socket.socket(socket.AF_UNIX) as neighbour:
        server.bind(("127.0.0.1", 0))
        server.listen()
        neighbour.bind(name)
        neighbour.listen()
        script = f'/usr/bin/python3 -c "$CODE" {server.getsockname()[1]}'
        by_port, by_name = say(script, CODE=CONNECT), say(script, CODE=ABSTRACT.format(name=name))
        on_host = talk(SandboxRunner({}))
        assert (on_host(script, CODE=CONNECT).status, on_host(script, CODE=ABSTRACT.format(name=name)).status) == (0, 0)

    assert "Connection refused" in by_port.tail
    assert "Connection refused" in by_name.tail


@with_tun
@pytest.mark.needs("pasta")
def test_there_is_a_way_out_beside_loopback(say: Talker) -> None:
    say("tail -n +3 /proc/net/dev | cut -d: -f1; hostname; id -u; pwd")

    *interfaces, name, uid, folder = say.said.decode().split()
    assert (name, uid, folder) == ("kubeimage", "0", "/rootfs")
    assert "lo" in interfaces
    # Where this machine has none itself, there is none to copy.
    with open("/proc/net/route") as routes:
        assert len(interfaces) > 1 or len(routes.readlines()) == 1


@with_tun
@pytest.mark.needs("pasta")
@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -9 $$", -9), ("true", 0)])
def test_it_ends_as_others_do_with_all_it_started(say: Talker, script: str, status: int, mark: str) -> None:
    assert say(f"(setsid sleep {mark} &); sleep 0.05; {script}").status == status

    assert processes_with(f"sleep {mark}") == []


@with_tun
@pytest.mark.needs("pasta")
def test_it_is_stopped_when_its_time_is_up(say: Talker, mark: str) -> None:
    result = say(f"echo begun; (setsid sleep {mark}1 &); sleep {mark}2", timeout=1)

    assert (result.timed_out, result.tail) == (True, "begun")
    assert processes_with(f"sleep {mark}") == []


@with_tun
@pytest.mark.needs("pasta")
def test_the_host_is_walled_off_all_the_same(say: Talker, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cr3t")

    for script in (f"cat {tmp_path}/secret", "touch /usr/x", "unshare -U true", "cat /etc/shadow"):
        assert say(script).status != 0
        assert b"s3cr3t" not in say.said


@with_tun
@pytest.mark.needs("pasta")
def test_it_works_on_an_overlay(overlay: OverlayMount) -> None:
    assert Talker(SandboxRunner({}, settings=PRIVATE), overlay)("rm etc/a && echo n > n").status == 0

    assert [one.path for one in overlay.changes()] == ["etc", "etc/a", "n"]


@pytest.mark.parametrize("isolation", ["auto", "sandbox"])
def test_without_pasta_nothing_runs(isolation: str, folder: FolderMount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privatenet, "HOST_PATH", "/nowhere")

    with pytest.raises(SandboxError, match="'pasta'") as caught:
        Talker(choose_runner(isolation, settings=PRIVATE), folder)("touch ran")

    assert "--network=none" in (caught.value.hint or "")
    assert os.listdir(folder.rootfs) == []


@pytest.mark.needs("pasta")
@pytest.mark.parametrize("isolation", ["auto", "sandbox"])
def test_where_the_device_cannot_be_opened_nothing_runs(
    isolation: str, folder: FolderMount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privatenet, "TUN", "/nowhere/tun")

    with pytest.raises(SandboxError, match="/nowhere/tun, which cannot be opened here: No such file") as caught:
        Talker(choose_runner(isolation, settings=PRIVATE), folder)("touch ran")

    assert "--device" in (caught.value.hint or "")
    assert os.listdir(folder.rootfs) == []


@pytest.mark.parametrize("name", ["landlock", "none"])
def test_without_namespaces_nothing_runs(name: str, folder: FolderMount) -> None:
    if name == "landlock" and why_not() is not None:
        pytest.skip(f"no Landlock to try: {why_not()}")
    runner = LandlockRunner({}, settings=PRIVATE) if name == "landlock" else PlainRunner({}, settings=PRIVATE)

    with pytest.raises(SandboxError, match="--network=private cannot be kept"):
        Talker(runner, folder)("touch ran")

    assert os.listdir(folder.rootfs) == []


def test_no_network_at_all_needs_none_of_it(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privatenet, "HOST_PATH", "/nowhere")

    assert talk(SandboxRunner({}, settings=PRIVATE))("true", network=False).status == 0
