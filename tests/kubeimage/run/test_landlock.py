"""What a command behind Landlock can do, with each version that kernels have."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeimage.errors import SandboxError
from kubeimage.run.landlock import LandlockRunner, landlock_abi, left_open, ruleset, why_not
from kubeimage.settings import RunSettings
from tests.kubeimage.run.conftest import FolderMount, Talker
from tests.kubeimage.run.processes import processes_with

ABIS = [3, 4, 6, 7]
FILES, NETWORK, SCOPES = (1 << 15) - 1, 0b11, 0b11

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"no Landlock to try: {why_not()}")


@pytest.fixture(params=ABIS, ids=lambda abi: f"ABI {abi}")
def say(request: pytest.FixtureRequest, talk: Callable[..., Talker]) -> Talker:
    if request.param > landlock_abi():
        pytest.skip(f"this kernel has ABI {landlock_abi()}")
    return talk(LandlockRunner({}, abi=request.param))


@pytest.fixture
def newest(talk: Callable[..., Talker]) -> Talker:
    return talk(LandlockRunner({"https_proxy": "http://proxy:1", "SECRET": "s"}))


@pytest.mark.parametrize(
    ("abi", "alone", "with_network"),
    [
        (3, (FILES, 0, 0), (FILES, 0, 0)),
        (4, (FILES, NETWORK, 0), (FILES, 0, 0)),
        (5, (FILES | 1 << 15, NETWORK, 0), (FILES | 1 << 15, 0, 0)),
        (6, (FILES | 1 << 15, NETWORK, SCOPES), (FILES | 1 << 15, 0, SCOPES)),
        (7, (FILES | 1 << 15, NETWORK, SCOPES), (FILES | 1 << 15, 0, SCOPES)),
        (99, (FILES | 1 << 15, NETWORK, SCOPES), (FILES | 1 << 15, 0, SCOPES)),
    ],
)
def test_all_that_a_version_can_refuse_is_asked_for(
    abi: int, alone: tuple[int, int, int], with_network: tuple[int, int, int]
) -> None:
    assert ruleset(abi, network=False) == alone
    assert ruleset(abi, network=True) == with_network


@pytest.mark.parametrize(("abi", "reason"), [(0, "has no Landlock"), (1, "ABI 1, and 3"), (2, "ABI 2, and 3")])
def test_before_truncation_can_be_refused_there_is_none(abi: int, reason: str, talk: Callable[..., Talker]) -> None:
    assert reason in (why_not(abi) or "")
    with pytest.raises(SandboxError, match=reason) as caught:
        talk(LandlockRunner({}, abi=abi))("true")
    assert "--isolation=none" in (caught.value.hint or "")


@pytest.mark.parametrize(("abi", "signals"), [(3, True), (5, True), (6, False), (7, False)])
def test_what_stays_open_is_said(abi: int, signals: bool) -> None:
    assert ("signal" in left_open(abi)) == signals
    assert "modes and times" in left_open(abi)


def test_a_rootfs_can_be_worked_on(say: Talker, folder: FolderMount) -> None:
    script = """
        mkdir -p a/b && echo 1 > a/f && chmod 755 a/f && ln a/f a/g && ln -s f a/l && mv a/g a/b/g && mkfifo p
        cp -a a c && rm -r c/b && sed -i s/1/2/ c/f && tar -cf t.tar a && tar -xf t.tar && : > t.tar
        chown -R 5:5 a && echo > /dev/null && echo x > "$TMPDIR/t" && cat "$TMPDIR/t" && pwd
    """
    result = say(script)

    assert (result.status, say.said.decode()) == (0, f"x\n{folder.rootfs}\n")
    assert sorted(os.listdir(folder.rootfs)) == ["a", "c", "p", "t.tar"]
    assert Path(folder.rootfs, "c/f").read_text() == "2\n"
    assert os.stat(f"{folder.rootfs}/a/f").st_uid == os.geteuid()
    assert os.listdir(os.path.dirname(folder.rootfs)) == ["rootfs"]


@pytest.mark.parametrize(
    "script",
    [
        'cat "$OUTSIDE/secret"',
        'ls "$OUTSIDE"',
        'echo x > "$OUTSIDE/secret"',
        'echo x >> "$OUTSIDE/secret"',
        'echo x > "$OUTSIDE/new"',
        ': > "$OUTSIDE/empty-me"',
        'truncate -s 0 "$OUTSIDE/secret"',
        'rm "$OUTSIDE/secret"',
        'mv "$OUTSIDE/secret" .',
        'ln "$OUTSIDE/secret" s && cat s',
        'ln -s "$OUTSIDE/secret" s && cat s',
        'mv made "$OUTSIDE/"',
        'mkdir "$OUTSIDE/d"',
        'chown 5 "$OUTSIDE/secret" && test "$(stat -c %u "$OUTSIDE/secret")" = 5',
        'cat "/proc/$BUILDER/environ"',
        'cat "/proc/$BUILDER/root/$OUTSIDE/secret"',
        "cat /etc/shadow",
        "ls /",
        "ls /home /root /run /sys /var",
        "mknod d b 1 1",
        "mount -t tmpfs t .",
        "unshare -U true",
        "chroot . true",
        "swapoff -a && swapon -a && false",
    ],
)
def test_nothing_outside_is_read_or_changed(script: str, newest: Talker, folder: FolderMount, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("s3cr3t")
    (outside / "empty-me").write_text("full")
    owner = os.stat(outside / "secret").st_uid

    result = newest(f"touch made; {script}", OUTSIDE=str(outside), BUILDER=str(os.getpid()))

    assert result.status != 0
    assert b"s3cr3t" not in newest.said
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"secret": "s3cr3t", "empty-me": "full"}
    assert os.stat(outside / "secret").st_uid == owner


@pytest.mark.needs("python3")
@pytest.mark.parametrize("abi", ABIS)
@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_no_socket_of_the_host_is_reached(abi: int, kind: str, talk: Callable[..., Talker], tmp_path: Path) -> None:
    name = str(tmp_path / "s") if kind == "path" else f"\0kubeimage-{os.getpid()}-{abi}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({name!r})"
        result = talk(LandlockRunner({}, abi=abi))('/usr/bin/python3 -c "$CODE"', CODE=code)

    assert "Address family not supported" in result.tail


@pytest.mark.needs("python3")
@pytest.mark.parametrize("abi", ABIS)
def test_without_network_no_port_is_reached(abi: int, talk: Callable[..., Talker]) -> None:
    code = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 2)"
    say = talk(LandlockRunner({}, abi=abi))
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        script = f'/usr/bin/python3 -c "$CODE" {server.getsockname()[1]}'
        alone = say(script, network=False, CODE=code)
        together = say(script, CODE=code)

    assert "Permission denied" in alone.tail
    assert together.status == 0


def test_signals_reach_nobody_outside_where_the_kernel_can_wall_them(newest: Talker) -> None:
    if landlock_abi() < 6:
        pytest.skip(f"this kernel has ABI {landlock_abi()}")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as neighbour:
        assert newest(f"kill -9 {neighbour.pid}").status != 0
        assert newest('kill -9 "$PPID"').status != 0
        assert neighbour.poll() is None
        neighbour.kill()


def test_everything_ends_with_the_command_daemons_too(say: Talker, mark: str) -> None:
    script = f"(setsid sh -c 'setsid sleep {mark}1 & setsid sleep {mark}2' &); sleep 0.05; echo done"

    result = say(script)

    assert (result.status, say.said) == (0, b"done\n")
    assert processes_with(f"sleep {mark}") == []


def test_a_command_that_takes_too_long_is_stopped_with_all_it_started(say: Talker, mark: str) -> None:
    result = say(f"echo begun; (setsid sleep {mark}1 &); sleep {mark}2", timeout=0.5)

    assert (result.timed_out, result.tail) == (True, "begun")
    assert processes_with(f"sleep {mark}") == []


def test_the_environment_is_the_list_and_nothing_else(newest: Talker, folder: FolderMount) -> None:
    newest("env | sort", VERSION="2.2")

    names = [line.partition("=")[0] for line in newest.said.decode().splitlines()]
    assert names == ["HOME", "LANG", "PATH", "PWD", "TMPDIR", "VERSION", "https_proxy"]


def test_no_capability_is_left_and_none_can_come(newest: Talker) -> None:
    newest("grep -E '^(Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status")

    facts = dict(line.split(":\t") for line in newest.said.decode().splitlines())
    assert facts["NoNewPrivs"] == "1"
    assert facts["Seccomp"] == "2"
    assert {int(facts[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")} == {0}


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -9 $$", -9), ("kill -9 0", -9), ("true", 0)])
def test_the_status_is_the_commands_own(newest: Talker, script: str, status: int) -> None:
    assert newest(script).status == status


def test_more_places_can_be_shown(talk: Callable[..., Talker], tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/t").write_text("#!/bin/sh\necho tool\n")
    (tmp_path / "tools/t").chmod(0o755)

    say = talk(LandlockRunner({}, settings=RunSettings(paths=(str(tmp_path / "tools"),))))

    assert say(f"{tmp_path}/tools/t").status == 0
    assert say(f"echo x > {tmp_path}/tools/t").status != 0
    assert talk(LandlockRunner({}))(f"{tmp_path}/tools/t").status != 0
