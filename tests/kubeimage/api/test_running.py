"""Programs of an image, run in its own root."""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeimage import (
    Backends,
    Image,
    Platform,
    PlatformMismatchError,
    RunResult,
    SandboxError,
    UsageError,
    UserUnavailableError,
    check_store,
    find_image,
    load_images,
    open_backends,
    open_image,
    prune_store,
    run_image,
)
from kubeimage.api import running
from kubeimage.run import programs
from tests.imageroots import Put, root_image

NAME = "judged/image:v1"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = root_image({"over": Put(b"over\n"), "etc/.wh.group": Put(), "etc/group": Put(b"root:x:0:\nmore:x:9:app\n")})
    return image.write_docker_archive(tmp_path_factory.mktemp("image") / "image.tar", NAME)


@pytest.fixture(scope="module")
def backends(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backends]:
    with open_backends(str(tmp_path_factory.mktemp("store") / "store")) as opened:
        load_images(str(archive), opened)
        yield opened


@pytest.fixture
def users() -> None:
    """Skip where programs run as root alone: root has all users, others what /etc/subuid grants."""
    if not running._runner.maps_users():
        pytest.skip("an ordinary user's namespace has root alone here")


@pytest.fixture
def alone() -> None:
    """Skip where programs run as other users too."""
    if running._runner.maps_users():
        pytest.skip("there are more users here than root")


@pytest.fixture(params=["auto", "copy"])
def mounting(
    archive: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Backends]:
    """Yield backends by which programs work on an overlay, and then on a copy."""
    monkeypatch.setattr(running, "MOUNT", request.param)
    with open_backends(str(tmp_path / "store")) as opened:
        load_images(str(archive), opened)
        yield opened


def run(backends: Backends, command: str | list[str], **options: object) -> RunResult:
    return run_image(NAME, command, backends, **options)  # type: ignore[arg-type]


def test_a_text_goes_to_the_shell_and_a_list_is_the_program(backends: Backends) -> None:
    assert run(backends, "echo $GREETING; echo oh >&2; exit 7").status == 7
    assert run(backends, ["echo $GREETING"]).status == 127
    done = run(backends, ["cat", "/over"])

    assert (done.status, done.stdout, done.stderr, done.changes) == (0, "over\n", "", {})


def test_the_outputs_are_told_apart(backends: Backends) -> None:
    done = run(backends, "echo out; echo err >&2")

    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_input_comes_in_and_there_is_none_without(backends: Backends) -> None:
    assert run(backends, ["cat"], stdin=b"\xff\0").stdout_bytes == b"\xff\0"
    assert run(backends, ["cat"], stdin="text").stdout == "text"
    assert run(backends, ["cat"]).stdout == ""


def test_the_changes_are_told_and_the_image_never_changes(mounting: Backends) -> None:
    script = "echo x >> /over; rm -r /home; mkdir -p /a/b; touch /etc/passwd; ln -s over /link; chmod 600 /etc/group"

    done = run(mounting, script)

    expected = {"a": "added", "a/b": "added", "etc/group": "modified", "home": "deleted", "link": "added"}
    assert done.changes == {**expected, "over": "modified"}
    assert run(mounting, "cat /over; ls /home").stdout == "over\napp\n"
    assert [one for one in check_store(mounting) if one.damage] == []


def test_what_no_layer_could_hold_is_a_change_too(mounting: Backends) -> None:
    done = run(mounting, "touch /.wh.x; mkdir /closed; touch /closed/in; chmod 0 /closed; chmod 0 /closed || true")

    assert done.changes == {".wh.x": "added", "closed": "added", "closed/in": "added"}


def test_env_user_and_workdir_of_the_config_are_the_defaults(tmp_path: Path) -> None:
    image = root_image(WorkingDir="/home/app", Env=["PATH=/bin", "A=1", "B=2"], Shell=["/bin/sh", "-ec"])
    archive = image.write_docker_archive(tmp_path / "i.tar", NAME)
    with open_backends(str(tmp_path / "store")) as backends:
        load_images(str(archive), backends)
        own = run(backends, "echo $PWD $A $B $HOME; false; echo no")
        other = run(backends, "echo $PWD $A $B", workdir="/new/dir", env={"B": "3"})

    assert (own.status, own.stdout) == (1, "/home/app 1 2 /root\n")
    assert (other.stdout, other.changes) == ("/new/dir 1 3\n", {})


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize(
    ("user", "ids"),
    [
        ("app", "uid=1000(app) gid=1000 groups=1000,9(more)"),
        (1000, "uid=1000(app) gid=1000 groups=1000,9(more)"),
        ("1000:9", "uid=1000(app) gid=9(more) groups=9(more)"),
        ("app:more", "uid=1000(app) gid=9(more) groups=9(more)"),
        ("4321", "uid=4321 gid=0(root) groups=0(root)"),
        ("0:0", "uid=0(root) gid=0(root) groups=0(root)"),
    ],
)
def test_a_program_runs_as_who_it_is_told_to(backends: Backends, user: str | int, ids: str) -> None:
    assert run(backends, ["id"], user=user).stdout == f"{ids}\n"


@pytest.mark.usefixtures("users")
def test_another_user_reads_its_own_files_and_not_root_s(mounting: Backends) -> None:
    done = run(
        mounting, "cat /home/app/own; cat /root/secret; touch /home/app/new /new; stat -c %u:%g /root", user="app"
    )

    assert done.stdout == "mine\n0:0\n"
    assert "Permission denied" in done.stderr
    assert done.changes == {"home/app/new": "added"}


@pytest.mark.usefixtures("users")
def test_a_file_is_its_own_owner_s(tmp_path: Path) -> None:
    image = root_image({"over": Put(b"x", owner=(7, 7))})
    archive = image.write_docker_archive(tmp_path / "i.tar", NAME)
    with open_backends(str(tmp_path / "store")) as backends:
        load_images(str(archive), backends)

        assert run(backends, "stat -c %u:%g /over; cat /over").stdout == "7:7\nx"


@pytest.mark.usefixtures("alone")
def test_an_ordinary_user_s_program_is_root_or_refused(backends: Backends) -> None:
    assert run(backends, ["id", "-u"]).stdout == "0\n"
    with pytest.raises(UserUnavailableError, match=r"as the user 1000:1000 here"):
        run(backends, ["id"], user="app")


def test_a_user_that_the_image_does_not_know_is_refused(backends: Backends) -> None:
    with pytest.raises(SandboxError, match=r"run as 'who': the image's /etc has no user of this name"):
        run(backends, ["id"], user="who")
    with pytest.raises(SandboxError, match=r"has no group of this name"):
        run(backends, ["id"], user="0:who")


@pytest.mark.parametrize(
    ("argv", "status", "why"),
    [
        (["/none"], 127, "No such file"),
        (["none"], 127, "No such file"),
        (["/etc/passwd"], 126, "Permission denied"),
        (["/etc"], 126, "Permission denied"),
    ],
)
def test_what_cannot_be_started_says_why(backends: Backends, argv: list[str], status: int, why: str) -> None:
    done = run(backends, argv)

    assert done.status == status
    assert why in done.unstarted


def test_no_program_at_all_is_wrong_usage(backends: Backends) -> None:
    with pytest.raises(UsageError):
        run(backends, [])
    with pytest.raises(UsageError):
        run(backends, ["a\0b"])


def test_a_program_that_takes_too_long_is_killed_with_all_it_started(backends: Backends) -> None:
    # Nobody else on this machine sleeps for as long.
    own = f"300.{int.from_bytes(os.urandom(6), 'big')}"

    done = run(backends, f"sleep {own} & (sleep {own} &); sleep {own}", timeout=0.5)

    assert (done.timed_out, done.status) == (True, -9)
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if own.encode() in _reads(path)]


def test_what_a_program_leaves_running_ends_with_it(backends: Backends) -> None:
    done = run(backends, "sleep 300 & echo started")

    assert (done.status, done.stdout, done.timed_out) == (0, "started\n", False)


def test_the_signal_that_ended_a_program_is_told(backends: Backends) -> None:
    assert run(backends, "kill -9 $$").status == -9
    assert run(backends, "kill -15 $$").status == -15


def test_output_is_bounded(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "MOST_OUTPUT", 1000)

    done = run(backends, "i=0; while [ $i -lt 300 ]; do echo 0123456789; i=$((i+1)); done; echo end >&2")

    assert (done.status, len(done.stdout_bytes), done.truncated, done.stderr) == (0, 1000, True, "end\n")


def test_there_are_walls(backends: Backends) -> None:
    own = shlex.quote(os.path.dirname(os.path.abspath(__file__)))
    done = run(backends, f"ls /; ls /dev /proc/self/fd; ls {own} /sys; cat /proc/self/status")

    shown = done.stdout.split()
    assert {"bin", "dev", "etc", "proc", "tmp"} <= set(shown)
    assert not set(shown) & {"usr", "var", "boot", "sys"}
    assert done.stderr.count("No such file or directory") == 2
    assert "Seccomp:\t2\n" in done.stdout
    assert "NoNewPrivs:\t1\n" in done.stdout


def test_no_process_of_this_machine_is_in_sight(backends: Backends) -> None:
    shown = run(backends, ["ls", "/proc"]).stdout.split()

    assert max(int(name) for name in shown if name.isdigit()) < 10


def test_a_program_has_no_descriptor_of_ours(backends: Backends) -> None:
    assert run(backends, ["ls", "/proc/self/fd"]).stdout.split() == ["0", "1", "2", "3"]


def test_the_network_is_off_unless_it_is_asked_for(backends: Backends) -> None:
    own = run(backends, ["cat", "/proc/net/dev"]).stdout
    with open("/proc/net/dev", encoding="ascii") as file:
        here = sorted(line.partition(":")[0].strip() for line in file if ":" in line)

    shared = run(backends, ["cat", "/proc/net/dev"], network=True).stdout

    assert [line.partition(":")[0].strip() for line in own.splitlines() if ":" in line][:1] == ["lo"]
    assert sorted(line.partition(":")[0].strip() for line in shared.splitlines() if ":" in line) == here


def test_no_variable_of_this_machine_comes_along(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "1")
    monkeypatch.setenv("http_proxy", "http://proxy")

    shown = {line.partition("=")[0] for line in run(backends, ["env"]).stdout.splitlines()}

    assert shown == {"PATH", "HOME", "HOSTNAME", "GREETING"}
    assert "http_proxy" in run(backends, ["env"], network=True).stdout


def test_nothing_is_imported_from_the_image(tmp_path: Path) -> None:
    """A helper that runs as root in the image's root must not be handed the image's Python."""
    trap = Put(b"raise SystemExit('trapped')\n")
    folders = {
        os.path.dirname(os.__file__).lstrip("/"),
        os.path.dirname(os.path.dirname(programs.__file__)).lstrip("/"),
    }
    layer = {
        f"{folder}/{name}": trap for folder in folders for name in ("encodings/ascii.py", "traceback.py", "pwd.py")
    }
    archive = root_image(layer).write_docker_archive(tmp_path / "i.tar", NAME)
    with open_backends(str(tmp_path / "store")) as backends:
        load_images(str(archive), backends)

        assert run(backends, ["true"]).status == 0
        assert run(backends, ["/none"]).status == 127


@pytest.mark.parametrize("path", ["proc", "dev"])
@pytest.mark.parametrize("put", [Put(b"x"), Put(link="/nowhere")])
def test_an_image_where_nothing_can_be_mounted_says_so(tmp_path: Path, path: str, put: Put) -> None:
    archive = root_image({path: put}).write_docker_archive(tmp_path / "i.tar", NAME)
    with open_backends(str(tmp_path / "store")) as backends:
        load_images(str(archive), backends)

        with pytest.raises(SandboxError, match=r"the image has something else there"):
            run(backends, ["true"])


def test_a_symlink_in_the_image_leads_nowhere_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    layer = {
        "etc/resolv.conf": Put(link=str(outside / "made")),
        "etc/hosts": Put(link=f"../../../../../..{outside}/made"),
        "work": Put(link=str(outside)),
    }
    archive = root_image(layer, WorkingDir="/work").write_docker_archive(tmp_path / "i.tar", NAME)
    with open_backends(str(tmp_path / "store")) as backends:
        load_images(str(archive), backends)

        with pytest.raises(SandboxError):
            run(backends, "pwd")
        run(backends, "true", workdir="/")

    assert list(outside.iterdir()) == []


def test_programs_for_another_machine_are_refused_where_nothing_runs_them(tmp_path: Path) -> None:
    archive = root_image(architecture="s390x").write_docker_archive(tmp_path / "i.tar", NAME)
    with open_backends(str(tmp_path / "store")) as backends:
        load_images(str(archive), backends)

        with pytest.raises(PlatformMismatchError, match=r"a program for linux/s390x cannot run on this"):
            run(backends, ["true"])


def test_an_image_is_unpacked_once(backends: Backends) -> None:
    assert backends.store is not None
    folder = Path(backends.store.root, "snapshots")
    run(backends, ["true"])
    before = {path: path.stat().st_ctime_ns for path in folder.glob("*/*/*")}

    for _ in range(3):
        run(backends, ["touch", "/x"])

    assert {path: path.stat().st_ctime_ns for path in folder.glob("*/*/*")} == before


def test_an_image_from_elsewhere_is_run_as_well(archive: Path, tmp_path: Path) -> None:
    with open_backends(str(tmp_path / "store")) as backends:
        image = open_image(f"docker-archive:{archive}", backends).image

        assert run_image(image, ["cat", "/over"], backends).stdout == "over\n"
        assert run_image(f"docker-archive:{archive}", ["cat", "/over"], backends).stdout == "over\n"
    with open_backends(str(tmp_path / "store")) as backends:
        prune_store(backends)
        assert check_store(backends) == []


def test_several_at_once(backends: Backends) -> None:
    image, _ = find_image(NAME, backends)
    assert backends.store is not None
    found: list[str] = []

    def work(number: int) -> None:
        with open_backends(backends.store.root if backends.store else "") as own:
            found.append(run_image(image, f"echo {number} > /over; sleep 0.1; cat /over", own).stdout)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == ["0\n", "1\n", "2\n", "3\n"]


def test_a_helper_that_was_killed_is_started_again(backends: Backends) -> None:
    from kubeimage.api.running import _runner

    run(backends, ["true"])
    helper = _runner._helper
    assert helper is not None
    helper._process.kill()
    helper._process.wait()

    assert run(backends, ["true"]).status == 0


def test_images_that_are_only_looked_at_are_not_run(archive: Path, tmp_path: Path) -> None:
    with open_backends(str(tmp_path / "store"), access="look") as looking, pytest.raises(UsageError):
        run_image(Image(Platform.host()), ["true"], looking)
    with open_backends(str(tmp_path / "store"), access="read") as reading, pytest.raises(UsageError, match="to write"):
        run_image(f"docker-archive:{archive}", ["true"], reading)


def _reads(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
