"""What a command sees in the sandbox, and how it ends."""

import os
import subprocess
import time
from collections.abc import Callable

import pytest

from kubeimage.errors import SandboxError
from kubeimage.protocols.running import Command, CommandRunner
from kubeimage.run import sandbox
from kubeimage.run.sandbox import SandboxRunner
from tests.kubeimage.run.conftest import FolderMount, Talker
from tests.kubeimage.run.processes import processes_with

AWKWARD = [
    "echo \"a   b\" 'c\\d'",
    "printf 'a b c\\n' | awk '{print $2}'",
    "for i in a b; do echo $i; done",
    "echo $(echo inner) `echo old` \\$HOME",
    "cat <<'EOF'\nit's \\\n$here\nEOF",
    "echo one \\\n  two",
    'echo \'--\' -n "$#" "$0"',
    "echo \N{SNOWMAN}",
]


@pytest.fixture
def say(talk: Callable[[CommandRunner], Talker]) -> Talker:
    return talk(SandboxRunner({}))


@pytest.mark.parametrize("script", AWKWARD)
def test_the_script_reaches_the_shell_byte_for_byte(say: Talker, script: str) -> None:
    plainly = subprocess.run(["/bin/sh", "-c", script, "kubeimage"], capture_output=True, check=True).stdout

    result = say(script)

    assert (result.status, say.said.replace(b"/bin/sh", b"kubeimage")) == (0, plainly)


def test_the_environment_is_the_list_and_nothing_else(
    talk: Callable[[CommandRunner], Talker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the host")
    say = talk(SandboxRunner({"https_proxy": "http://proxy:1", "NO_PROXY": "local", "SECRET": "s", "LD_PRELOAD": "x"}))

    say("env | sort", VERSION="2.2", EMPTY="")

    assert say.said.decode().splitlines() == [
        "EMPTY=",
        "HOME=/tmp",
        "LANG=C.UTF-8",
        "NO_PROXY=local",
        "PATH=/rootfs/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PWD=/rootfs",
        "VERSION=2.2",
        "https_proxy=http://proxy:1",
    ]


def test_an_argument_that_programs_obey_obeys_nobody_outside(say: Talker, folder: FolderMount) -> None:
    say("echo $LD_PRELOAD $PATH $IFS.", LD_PRELOAD="/nowhere.so", PATH="/bin", BASH_ENV="/x", ENV="/y", LD_DEBUG="all")

    assert say.said.endswith(b"/nowhere.so /bin .\n")


def test_values_of_arguments_are_on_no_command_line(say: Talker) -> None:
    assert say("cat /proc/*/cmdline | tr '\\0' ' '; sleep 0.2", TOKEN="hunter2").status == 0

    assert b"hunter2" not in say.said


def test_the_rootfs_is_the_working_directory_and_its_bin_comes_first(say: Talker, folder: FolderMount) -> None:
    os.mkdir(f"{folder.rootfs}/bin")
    with open(f"{folder.rootfs}/bin/ls", "w") as tool:
        tool.write("#!/bin/sh\necho mine\n")
    os.chmod(f"{folder.rootfs}/bin/ls", 0o755)

    say("pwd; ls")

    assert say.said == b"/rootfs\nmine\n"


def test_new_files_have_the_modes_of_umask_022_whoever_builds(say: Talker) -> None:
    before = os.umask(0o077)
    try:
        say("touch f; mkdir d; stat -c %a f d")
    finally:
        os.umask(before)

    assert say.said.split() == [b"644", b"755"]


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 7", 7), ("kill -9 $$", -9), ("kill -TERM $$", -15), ("exit 255", 255), ("nonsense", 127), ("true", 0)],
)
def test_the_status_is_the_commands_own(say: Talker, script: str, status: int) -> None:
    assert say(script).status == status


def test_setup_noise_is_not_part_of_the_output(say: Talker) -> None:
    say("printf 'a\\0b'; echo c >&2")

    assert say.said == b"a\0bc\n"


def test_standard_input_is_empty(say: Talker) -> None:
    assert say("cat; read -r line || echo none").status == 0
    assert say.said == b"none\n"


def test_root_alone_is_seen_and_its_own_processes(say: Talker) -> None:
    say("id -u; ls -d /proc/[0-9]* | wc -l")

    uid, processes = say.said.split()
    assert uid == b"0"
    assert int(processes) < 8


@pytest.mark.parametrize("hidden", ["home", "root", "run", "sys"])
def test_where_people_and_services_keep_data_is_not_there(say: Talker, hidden: str) -> None:
    assert say(f"ls -A /{hidden}/*").status != 0


def test_no_network_is_none_but_loopback(say: Talker) -> None:
    say("cat /proc/net/dev | tail -n +3 | cut -d: -f1", network=False)

    assert say.said.split() == [b"lo"]


def test_output_comes_while_the_command_runs(folder: FolderMount) -> None:
    heard = []

    def hear(data: bytes) -> None:
        heard.append(data)
        with open(f"{folder.rootfs}/heard", "w"):
            pass

    # The command waits for a file that is made when its first output is heard.
    script = "echo first; until test -e heard; do sleep 0.01; done; echo second"
    result = SandboxRunner({}).run(Command(script, timeout=20), folder, hear)

    assert (result.status, heard) == (0, [b"first\n", b"second\n"])


def test_the_tail_is_the_end_of_endless_output(say: Talker) -> None:
    result = say("yes | head -c 3000000; seq 100; printf '\\377\\033[31mred\\a\\n'; exit 3")

    assert result.status == 3
    assert result.tail.splitlines()[0] == "82"
    assert result.tail.splitlines()[-1] == "\ufffdred\ufffd"
    assert len(say.said) > 3_000_000


def test_a_command_that_takes_too_long_is_stopped(say: Talker, folder: FolderMount) -> None:
    started = time.monotonic()
    result = say("echo begun; (setsid sleep 300 &); sleep 300", timeout=0.5)

    assert (result.timed_out, result.tail) == (True, "begun")
    assert time.monotonic() - started < 20
    assert processes_with(folder.rootfs) == []


def test_a_timeout_counts_while_output_pours_in(say: Talker) -> None:
    assert say("yes", timeout=0.3).timed_out


def test_background_processes_end_with_the_command(say: Talker, folder: FolderMount, mark: str) -> None:
    result = say(
        f"(sleep {mark} &); (setsid nohup sh -c 'sleep {mark}; echo late > late' >/dev/null 2>&1 &); echo done"
    )

    assert (result.status, say.said) == (0, b"done\n")
    assert processes_with(folder.rootfs) == []
    assert processes_with(f"sleep {mark}") == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_whatever_ends_the_listening_ends_the_command(folder: FolderMount, error: type[BaseException]) -> None:
    def hear(_data: bytes) -> None:
        raise error

    started = time.monotonic()
    with pytest.raises(error):
        SandboxRunner({}).run(Command("echo x; sleep 300"), folder, hear)

    assert processes_with(folder.rootfs) == []
    assert time.monotonic() - started < 20


def test_a_script_that_no_argument_can_hold_is_refused_with_its_size(say: Talker) -> None:
    with pytest.raises(SandboxError, match="140008 bytes long") as caught:
        say("true # " + "x" * 140_001)

    assert "COPY" in (caught.value.hint or "")


def test_a_value_that_no_process_can_have_is_refused(say: Talker) -> None:
    with pytest.raises(SandboxError, match="could not be started"):
        say("true", HUGE="x" * 200_000)


def test_a_rootfs_that_is_not_there_is_said(say: Talker, folder: FolderMount) -> None:
    folder.rootfs += "/missing"

    with pytest.raises(SandboxError, match="missing"):
        say("true")


def test_a_host_without_unshare_is_told_the_ways_out(say: Talker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "HOST_PATH", "/nowhere")

    with pytest.raises(SandboxError, match="'unshare'") as caught:
        say("true")

    assert "--isolation=none" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("mode", "then"), [("4755", "755"), ("2755", "755"), ("2745", "2745"), ("6644", "2644"), ("755", "755")]
)
def test_a_write_takes_the_bits_off_that_lend_rights_whoever_builds(say: Talker, mode: str, then: str) -> None:
    say(f"echo 1 > f; chmod {mode} f; echo 2 >> f; stat -c %a f")

    assert say.said == f"{then}\n".encode()


def test_a_mode_that_is_set_last_stays(say: Talker) -> None:
    say("echo 1 > f; chmod 6755 f; stat -c %a f")

    assert say.said == b"6755\n"
