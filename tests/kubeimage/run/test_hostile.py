"""RUNs that try to get out, to stay, to leak, or to lie about what they changed."""

import contextlib
import errno
import hashlib
import json
import os
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from kubeimage.errors import UnsupportedSourceError
from kubeimage.image.digest import Digest
from kubeimage.mount.copymounter import CopyMount, CopyMounter
from kubeimage.mount.overlay import OverlayMount, OverlayMounter
from kubeimage.protocols.running import Command, CommandResult, CommandRunner, ImageRoot
from kubeimage.run import sandbox
from kubeimage.run.sandbox import SandboxRunner
from kubeimage.run.syscalls import MACHINES
from kubeimage.run.view import SYSTEM
from kubeimage.store.facade import Store
from tests.kubeimage.run import probes
from tests.kubeimage.run.conftest import Talker

MARK = "kubeimage-was-here"
HOST_PLACES = ["/", "/etc", "/usr", "/usr/bin", "/tmp", "/var/tmp", "/dev/shm", "/run", "/root", "/home", "/opt"]

# Each must change nothing on the host and leave nothing behind, whether it fails or not.
ESCAPES = {
    "write to /etc": f"echo x > /etc/{MARK}",
    "write to /usr": f"echo x > /usr/bin/{MARK}",
    "write to the root": f"echo x > /{MARK}; mkdir /{MARK}",
    "write to the host's /tmp": f"echo x > /tmp/{MARK}; echo x > /var/tmp/{MARK}",
    "write to shared memory": f"echo x > /dev/shm/{MARK}",
    "write to the home folder": 'echo x > "$HOST_HOME/x"; rm -rf "$HOST_HOME"',
    "write to the context": 'echo x >> "$CONTEXT/Kubefile"; rm -rf "$CONTEXT"',
    "write to the source folder": f'echo x > "$SOURCES/{MARK}"; chmod 777 "$SOURCES"',
    "write to the store": 'rm -rf "$STORE"; echo x > "$STORE/index.json"',
    "write past the overlay": 'for d in u w l m; do echo x > "$SCRATCH/$d/x"; done; chmod -R 777 "$SCRATCH"',
    "climb out by dots": f"echo x > ../{MARK}; echo x > ../../../../../etc/{MARK}",
    "climb out by a symlink": f"ln -s /etc/{MARK} l; echo x > l; ln -s / r; echo x > r/usr/{MARK}",
    "climb out by a chroot": f"chroot /proc/1/root sh -c 'echo x > /{MARK}'; chroot .. sh -c 'echo x > /{MARK}'",
    "climb out by the first process": f"echo x > /proc/1/root/etc/{MARK}; echo x > /proc/1/cwd/../{MARK}",
    "change a host file's mode and time": "chmod 777 /etc/passwd /bin/sh; touch /etc/passwd; chown 1 /etc/hosts",
    "make the host writable": f"mount -o remount,rw /usr; mount -o remount,rw,bind /etc; echo x > /etc/{MARK}",
    "mount over the host": f"mount -t tmpfs t /etc && echo x > /etc/{MARK}; mount --bind /rootfs /usr",
    "unmount the walls": "umount -l /rootfs; umount -l /usr; umount -l /proc",
    "mount in namespaces of one's own": f"unshare -Urm sh -c 'mount -o remount,rw,bind /usr; echo x > /usr/{MARK}'",
    "mount the disk in namespaces of one's own": "unshare -Urm mount -t ext4 /dev/vda /rootfs; unshare -m true",
    "enter the host's namespaces": f"nsenter -t 1 -m -u -i -p sh -c 'echo x > /etc/{MARK}'",
    "make a disk's device": "mknod disk b 254 0 && touch BAD; mknod mem c 1 1 && touch BAD",
    "kill the builder": 'kill -9 "$BUILDER"; kill -9 "$PPID"; kill -9 1; kill -9 2 -- -1',
    "kill everybody": "kill -9 -1",
    "set the kernel's core pattern": "cd /proc/sys/kernel; cat core_pattern | tee core_pattern && touch /rootfs/BAD",
    "turn the kernel's switches": "for f in sys/vm/swappiness sysrq-trigger; do (: >> /proc/$f) && touch BAD; done",
    "set the host's name": f"hostname {MARK}; echo {MARK} > /proc/sys/kernel/hostname",
    "stay as a daemon": "(setsid nohup sh -c 'exec >/dev/null 2>&1; trap \"\" TERM HUP INT; sleep 601' &); sleep 0.05",
    "stay as a daemon's grandchild": "sh -c 'sh -c \"setsid sleep 601 & setsid sleep 601 &\" &' & wait",
    "stay in shared memory": "ipcmk -M 4096; ipcmk -Q; ipcmk -S 1",
    "stay stopped": "sleep 601 & kill -STOP $!; (setsid sh -c 'kill -STOP $$' &); sleep 0.02",
    "listen for a later": "command -v nc && (nc -l 127.0.0.1 48912 &) ; true",
    "type into the terminal": "echo x > /dev/tty; echo x > /dev/console; ls /dev/vda && touch BAD",
    "gain by a setuid program": "cp /bin/sh s; chmod 4755 s; ./s -c 'id -u'; rm s",
    "fill the environment of those who follow": "export PATH=/evil LD_PRELOAD=/evil; cd /; umask 000",
}  # fmt: skip

# Each must not print the host's secret.
LEAKS = {
    "the environment": "env; set; cat /proc/self/environ",
    "everybody's environment": "cat /proc/*/environ",
    "open files": "ls -l /proc/self/fd /proc/1/fd; for n in 3 4 5 6 7 8 9; do cat <&$n; done",
    "the builder's environment": 'cat "/proc/$BUILDER/environ"',
    "the home folder": 'cat "$HOST_HOME/secret" /root/.ssh/* /home/*/.ssh/*',
}


@dataclass
class Host:
    """What a RUN must leave alone, and where to look for what it left."""

    folders: dict[str, Path]
    secret: str
    before: dict[str, str] = field(default_factory=dict)

    def state(self) -> dict[str, str]:
        found = {f"{place}/{MARK}": "there" for place in HOST_PLACES if os.path.lexists(f"{place}/{MARK}")}
        found["hostname"] = socket.gethostname()
        for name in ("/etc/passwd", "/etc/hosts", "/bin/sh"):
            status = os.stat(name)
            found[name] = f"{status.st_mode:o} {status.st_uid} {status.st_mtime_ns} {status.st_ctime_ns}"
        for kind in ("shm", "sem", "msg"):
            with open(f"/proc/sysvipc/{kind}") as file:
                found[kind] = str(len(file.readlines()))
        for folder in self.folders.values():
            found |= fingerprints(folder)
        return found


@pytest.fixture
def host(tmp_path: Path, overlay: OverlayMount, run_store: Store, monkeypatch: pytest.MonkeyPatch) -> Host:
    folders = {"CONTEXT": tmp_path / "context", "HOST_HOME": tmp_path / "home", "SOURCES": Path(__file__).parent}
    for name in ("CONTEXT", "HOST_HOME"):
        folders[name].mkdir()
    (folders["CONTEXT"] / "Kubefile").write_text("FROM scratch\n")
    secret = "s3cr3t-" + os.urandom(8).hex()
    (folders["HOST_HOME"] / "secret").write_text(secret)
    monkeypatch.setenv("SECRET", secret)
    monkeypatch.setenv("HOME", str(folders["HOST_HOME"]))
    stored = {"BLOBS": Path(run_store.root, "blobs"), "SNAPSHOTS": Path(run_store.root, "snapshots")}
    host = Host(folders | stored, secret)
    host.before = host.state()
    return host


def scratch_of(mount: OverlayMount | CopyMount) -> str:
    return mount.scratch if isinstance(mount, OverlayMount) else os.path.dirname(mount.rootfs)


def attempt_on(
    host: Host, mount: OverlayMount | CopyMount, root: str, *, image: ImageRoot | None
) -> Callable[..., Any]:
    def run(script: str, **environment: str) -> tuple[CommandResult, bytes]:
        said = bytearray()
        places = {name: str(path) for name, path in host.folders.items()}
        places |= {"STORE": root, "SCRATCH": scratch_of(mount), "BUILDER": str(os.getpid()), **environment}
        own = replace(image, argv=("/bin/sh", "-c", script)) if image is not None else None
        command = Command(script, places | ({"PATH": "/usr/bin:/bin"} if own else {}), timeout=20, image=own)
        result = SandboxRunner().run(command, mount, said.extend)
        return result, bytes(said)

    return run


@pytest.fixture
def attempt(host: Host, overlay: OverlayMount, run_store: Store) -> Callable[..., Any]:
    """Run a script with the programs of the host, on the image's root file system."""
    return attempt_on(host, overlay, run_store.root, image=None)


@pytest.fixture(params=[(0, 0), (1000, 1000)], ids=["root", "a user"])
def attempt_inside(
    request: pytest.FixtureRequest, host: Host, image_mount: OverlayMount, run_store: Store
) -> Callable[..., Any]:
    """Run a script inside the image's own root, as one of its users."""
    if request.param != (0, 0) and os.geteuid() != 0:
        pytest.skip("an ordinary user is but one user")
    return attempt_on(host, image_mount, run_store.root, image=ImageRoot((), user=request.param))


@pytest.mark.parametrize(
    "script", [pytest.param(script, id=name.replace(" ", "-")) for name, script in ESCAPES.items()]
)
def test_the_host_is_as_it_was_and_nothing_stays(
    script: str, host: Host, overlay: OverlayMount, attempt: Callable[..., Any]
) -> None:
    result, _ = attempt(script)

    assert not result.timed_out
    assert host.state() == host.before
    assert strangers(overlay.scratch) == []
    assert "BAD" not in [entry.path for entry in overlay.changes()]


@pytest.mark.needs("ldd")
@pytest.mark.parametrize(
    "script", [pytest.param(script, id=name.replace(" ", "-")) for name, script in ESCAPES.items()]
)
def test_the_host_is_as_it_was_where_the_root_is_the_images_own(
    script: str, host: Host, image_mount: OverlayMount, attempt_inside: Callable[..., Any]
) -> None:
    result, said = attempt_inside(script)

    assert not result.timed_out
    assert b"/bin/sh" not in said or b"execvp" not in said
    assert host.state() == host.before
    assert strangers(image_mount.scratch) == []


ROOTS = {"the machine's programs": None, "the image's, as root": (0, 0), "the image's, as a user": (1000, 1000)}


@pytest.fixture(params=["overlay", "copy"])
def either_mount(
    request: pytest.FixtureRequest, run_mounter: OverlayMounter, run_store: Store, programs: Digest
) -> Iterator[OverlayMount | CopyMount]:
    mounter = run_mounter if request.param == "overlay" else CopyMounter(run_store.snapshots)
    with mounter.mount([programs]) as mount:
        yield mount


@pytest.fixture(params=ROOTS)
def anywhere(
    request: pytest.FixtureRequest, host: Host, either_mount: OverlayMount | CopyMount, run_store: Store
) -> Callable[..., Any]:
    """Run a script on either mount, in either root."""
    user = ROOTS[request.param]
    if user not in (None, (0, 0)) and os.geteuid() != 0:
        pytest.skip("an ordinary user is but one user")
    image = ImageRoot((), user=user) if user is not None else None
    return attempt_on(host, either_mount, run_store.root, image=image)


@pytest.mark.needs("ldd")
def test_no_probe_gets_through(anywhere: Callable[..., Any]) -> None:
    result, said = anywhere(probes.all_at_once())

    assert (result.timed_out, probes.got(said.decode())) == (False, [])


@pytest.mark.needs("ldd")
def test_all_escapes_one_after_the_other_leave_the_host_as_it_was(
    host: Host, either_mount: OverlayMount | CopyMount, anywhere: Callable[..., Any]
) -> None:
    # Who kills everybody comes last.
    escapes = sorted(ESCAPES.values(), key=lambda script: "kill -9" in script)

    result, said = anywhere(
        "\n".join(f"( {script} ) </dev/null >/dev/null 2>&1" for script in escapes[:-2]) + "\necho end\n" + escapes[-1]
    )

    assert not result.timed_out
    assert b"end\n" in said
    assert host.state() == host.before
    assert strangers(scratch_of(either_mount)) == []


@pytest.mark.needs("ldd")
@pytest.mark.parametrize("script", [pytest.param(script, id=name.replace(" ", "-")) for name, script in LEAKS.items()])
def test_no_secret_is_to_be_had_inside_the_images_own_root(
    script: str, host: Host, attempt_inside: Callable[..., Any]
) -> None:
    _, said = attempt_inside(f"{script}; echo it began")

    assert host.secret.encode() not in said
    assert b"it began" in said


@pytest.mark.parametrize("script", [pytest.param(script, id=name.replace(" ", "-")) for name, script in LEAKS.items()])
def test_secrets_of_the_host_are_not_to_be_had(script: str, host: Host, attempt: Callable[..., Any]) -> None:
    _, said = attempt(script)

    assert host.secret.encode() not in said


@pytest.mark.parametrize("way", range(4))
def test_of_the_hosts_top_folders_only_those_of_programs_are_there(
    way: int, talk: Callable[[CommandRunner], Talker]
) -> None:
    say = talk(runner_of(way))

    say("ls -A /; echo; ls -A /etc /var")

    top, below = say.said.decode().split("\n\n", 1)
    assert set(top.split()) <= {"dev", "etc", "proc", "rootfs", "tmp", "var", *(path[1:] for path in SYSTEM)}
    closed = {"shadow", "gshadow", "ssh", "kubernetes", "machine-id", "hostname", "sudoers", "cron.d", "systemd", "lib"}
    assert closed.isdisjoint(below.split())


@pytest.mark.parametrize("way", range(4))
@pytest.mark.parametrize(("kind", "mode"), [("file", 0o600), ("file", 0o644), ("folder", 0o755)])
def test_what_lies_elsewhere_is_not_there_closed_or_open(
    way: int, kind: str, mode: int, talk: Callable[[CommandRunner], Talker], tmp_path: Path
) -> None:
    """Root reads closed files too, so that they must not be there is no question of modes."""
    place = tmp_path / "secret"
    place.mkdir() if kind == "folder" else place.write_text("s3cr3t")
    place.chmod(mode)

    assert talk(runner_of(way))(f"test -e {place}").status == 1


@pytest.mark.needs("python3")
@pytest.mark.parametrize("way", range(4))
def test_the_kernels_doors_are_shut(way: int, talk: Callable[[CommandRunner], Talker]) -> None:
    """Each of these is refused by the filter, whatever rights there are; what no kernel has answers ENOSYS."""
    refused = [
        "keyctl",
        "add_key",
        "request_key",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "unshare",
        "mount",
        "setns",
        "io_uring_setup",
        "open_by_handle_at",
        "pivot_root",
        "kexec_load",
        "move_mount",
        "syslog",
    ]
    numbers = MACHINES[os.uname().machine][0].numbers
    calls = {name: numbers[name] for name in refused} | {"clone3": numbers["clone3"], "unknown": 999}
    code = (
        "import ctypes, json, os; libc = ctypes.CDLL(None, use_errno=True); calls = json.loads(os.environ['CALLS'])\n"
        "for name, number in calls.items():\n"
        "    result = libc.syscall(number, -1, -1, -1, -1, -1); print(name, result, ctypes.get_errno())"
    )
    say = talk(runner_of(way))

    assert say('/usr/bin/python3 -c "$CODE"', CODE=code, CALLS=json.dumps(calls)).status == 0

    expected = {f"{name} -1 {errno.EPERM}" for name in refused}
    missing = {f"{name} -1 {errno.ENOSYS}" for name in ("clone3", "unknown")}
    assert set(say.said.decode().splitlines()) == expected | missing


def test_a_socket_of_the_host_cannot_be_reached(tmp_path: Path, attempt: Callable[..., Any]) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        connect = "import os, socket; socket.socket(socket.AF_UNIX).connect(os.environ['SOCKET'])"
        result, _ = attempt(f'python3 -c "{connect}"', SOCKET=str(tmp_path / "s"))

    assert result.status != 0


def test_no_open_file_of_the_builder_is_inherited(attempt: Callable[..., Any]) -> None:
    leaked = os.open(__file__, os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        # `ls` has one more, for the directory that it lists.
        _, said = attempt("ls /proc/self/fd")
    finally:
        os.close(leaked)

    assert said.split() == [b"0", b"1", b"2", b"3"]


def test_the_network_stays_out_of_reach_where_there_is_none(overlay: OverlayMount) -> None:
    probe = "import socket,sys; s=socket.socket(); s.settimeout(2); s.connect(('127.0.0.1', int(sys.argv[1])))"
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        script = f'python3 -c "{probe}" {server.getsockname()[1]}'
        alone = SandboxRunner({}).run(Command(script, network=False), overlay, lambda _data: None)
        together = SandboxRunner({}).run(Command(script), overlay, lambda _data: None)

    assert alone.status != 0
    assert together.status == 0 or "python3" in together.tail


def test_a_setuid_program_in_the_tree_is_out_of_others_reach(
    overlay: OverlayMount, attempt: Callable[..., Any]
) -> None:
    attempt("cp /bin/sh s; chmod 4755 s")

    assert stat.S_IMODE(os.stat(overlay.scratch).st_mode) == 0o700


def test_a_layer_cannot_be_made_to_lie_by_overlay_xattrs(overlay: OverlayMount, attempt: Callable[..., Any]) -> None:
    script = """
        for p in user trusted; do
            setfattr -n $p.overlay.opaque -v y etc
            setfattr -n $p.overlay.redirect -v /x etc
        done
        setfattr -n user.overlay.whiteout -v y top
        touch etc/a
    """
    attempt(script)

    assert overlay.changes() == []


def test_a_layer_cannot_be_made_to_lie_by_devices(overlay: OverlayMount, attempt: Callable[..., Any]) -> None:
    attempt("mknod etc/a c 0 0; mknod new c 0 0; rm -f top; mknod top c 0 0")

    with contextlib.suppress(UnsupportedSourceError):
        assert [entry.path for entry in overlay.changes()] in ([], ["top"])


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo x > etc/.wh.a", r"'etc/\.wh\.a'.*mark deletions"),
        ("mkdir etc/.wh..wh..opq", r"mark deletions"),
        ("mkdir -p deep/.wh.d/x", r"'deep/\.wh\.d'"),
        ("touch \"$(printf 'caf\\351')\"", "not UTF-8"),
        ("ln -s \"$(printf 'caf\\351')\" l", "target .* is not UTF-8"),
        (f"for i in {' '.join(map(str, range(30)))}; do mkdir $N && cd -P $N || exit 0; done; true", "longer"),
    ],
    ids=["whiteout", "opaque whiteout", "folder like a whiteout", "name", "target", "path"],
)  # fmt: skip
def test_what_no_layer_can_hold_is_refused_by_name(
    script: str, message: str, overlay: OverlayMount, attempt: Callable[..., Any]
) -> None:
    result, said = attempt(script, N="n" * 200)

    assert result.status == 0, said
    with pytest.raises(UnsupportedSourceError, match=message) as caught:
        overlay.changes()
    assert caught.value.hint or "target" in message


def test_a_socket_is_refused_by_name(overlay: OverlayMount, attempt: Callable[..., Any]) -> None:
    result, said = attempt("python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('etc/s')\"")
    if result.status:
        pytest.skip(f"no python3 in the sandbox: {said!r}")

    with pytest.raises(UnsupportedSourceError, match=r"'etc/s', which is a socket"):
        overlay.changes()


def test_looking_at_the_changes_waits_for_no_fifo_and_follows_no_link(
    overlay: OverlayMount, attempt: Callable[..., Any]
) -> None:
    attempt("mkfifo f; ln -s l l; ln -s /proc/self/mem m; ln -s .. etc/up; truncate -s 1T sparse")

    changes = {entry.path: entry for entry in overlay.changes()}

    assert list(changes) == ["etc", "etc/up", "f", "l", "m", "sparse"]
    assert changes["sparse"].size == 1 << 40


def runner_of(way: int) -> SandboxRunner:
    """Return a runner that puts up its walls in one way alone."""
    runner = SandboxRunner({})
    runner._ways = [sandbox._WAYS[way]]
    return runner


def strangers(scratch: str) -> list[str]:
    """Return the processes that a RUN on this mount has left."""
    deadline = time.monotonic() + 2
    while (found := look_for_strangers(scratch)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def look_for_strangers(scratch: str) -> list[str]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/mountinfo") as file:
                if scratch in file.read():
                    found.append(name)
    return found


def fingerprints(folder: Path) -> dict[str, str]:
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        if "__pycache__" in path.parts:
            continue
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
        found[str(path)] = f"{status.st_mode:o} {status.st_uid} {content}"
    return found


if sys.platform != "linux":
    pytest.skip("sandboxes are Linux's", allow_module_level=True)
