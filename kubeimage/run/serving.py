"""The helper that runs programs inside image roots: a process of its own that forks once for each of them.

`kubeimage.run.programs` starts it, with the interpreter that runs this and nothing but its standard library. Each
request comes by a socket, as JSON in a file beside its input, its outputs, and a socket to report to:

    helper             root of a user namespace where it is an ordinary user's; forks for each request
      warden           waits for the next one, and gives the files that the program left back to their owner
        first process  of a pid namespace; puts up the walls, and ends with the program, or when its report is closed
          program      in the image's root, with its user, and without any right that it does not need

When the first process ends the kernel kills all that is left in its namespace. The report is at its end only then.

Sources: pivot_root(2), open_tree(2), move_mount(2), pid_namespaces(7), user_namespaces(7), setgroups(2).
"""

from __future__ import annotations

import base64
import ctypes
import errno
import gc
import json
import os
import resource
import select
import signal
import socket
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from kubeimage.run import inside
from kubeimage.run.accounts import Account, UnknownUserError, find_account
from kubeimage.run.keyring import join_new_session

ASK, MAPPED = b"map", b"mapped"

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
_CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_OPEN_TREE, _MOVE_MOUNT = 428, 429
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_OPEN_TREE_CLONE, _MOVE_EMPTY_PATH = 1, 4
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND = 1, 2, 4, 8, 4096
_MS_REC, _MS_PRIVATE, _MNT_DETACH = 16384, 1 << 18, 2
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
_STAGES = ("/sys", "/mnt", "/run")
CAPABILITIES = (0, 1, 3, 5, 6, 7, 10, 31)
"""Those that a program of root's keeps, as `kubeimage.run.walls` names them."""

_LENT = ("/etc/resolv.conf", "/etc/hosts")
_HOSTNAME = "kubeimage"
_CLOSED = 0o700

Made = list[str]


class _Home(NamedTuple):
    """What the helper has for all programs.

    Shape: ``users`` and ``groups`` are those of its namespace, as (first, count). ``devices`` is where a ``/dev``
           is mounted.
    """

    users: list[tuple[int, int]]
    groups: list[tuple[int, int]]
    devices: str


class _RefusedError(Exception):
    """A request that cannot be carried out, and why, as a word and a text."""


def serve(channel: socket.socket, *, namespace: bool) -> None:
    """Carry out requests until the other end of ``channel`` is closed."""
    if namespace:
        _enter_namespace(channel)
    users, groups = _mapped("uid_map"), _mapped("gid_map")
    inside.bound_capabilities(CAPABILITIES)
    devices = _make_devices()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # What is forked shares all that there is, as long as nobody counts through it.
    gc.disable()
    gc.freeze()
    # From here on nothing is imported: in an image's root it would be the image's.
    sys.meta_path.clear()
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, 64, 5)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        if not message:
            return
        if os.fork() == 0:
            try:
                channel.close()
                _ward(descriptors, _Home(users, groups, devices))
            finally:
                os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def _enter_namespace(channel: socket.socket) -> None:
    """Become root of a user namespace; who started this maps further users into it, where that is allowed."""
    user, group = os.geteuid(), os.getegid()
    _unshare(_CLONE_NEWUSER)
    channel.send(ASK)
    if channel.recv(64) != MAPPED:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    channel.send(MAPPED)


def _unshare(flags: int) -> None:
    inside.check("make namespaces", int(inside.libc.unshare(ctypes.c_int(flags))))


def _ward(descriptors: Sequence[int], home: _Home) -> None:
    """Start a program's first process and wait for its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asked, *streams, last = descriptors
    report = socket.socket(fileno=last)
    try:
        with open(asked, "rb") as file:
            request = json.load(file)
        _unshare(_CLONE_NEWPID)
    except OSError as error:
        _tell(report, failed=_text(error))
        return
    first = os.fork()
    if first == 0:
        try:
            _be_first(request, streams, report, home)
        finally:
            os._exit(0)
    for stream in streams:
        os.close(stream)
    os.waitpid(first, 0)
    if len(home.users) > 1:
        _give_back(f"{request['scratch']}/{'u' if request['options'] else 'm'}")


def _tell(report: socket.socket, **facts: object) -> None:
    with suppress(OSError):
        report.sendall(json.dumps(facts).encode() + b"\n")


def _text(error: OSError) -> str:
    name = f" ({os.fsdecode(error.filename)})" if error.filename else ""
    return f"{error.strerror}{name}"


def _be_first(request: dict[str, Any], streams: Sequence[int], report: socket.socket, home: _Home) -> None:
    wakeup, signals = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(signals)
    try:
        network = 0 if request["network"] else _CLONE_NEWNET
        _unshare(_CLONE_NEWNS | _CLONE_NEWUTS | _CLONE_NEWIPC | network)
        made = _make_root(request, home)
        account = _account(request["user"], home)
        made += _make_directory(request["directory"])
    except OSError as error:
        _tell(report, failed=_text(error))
        return
    except (_RefusedError, UnknownUserError) as error:
        _tell(report, refused=list(error.args))
        return
    _tell(report, made=made)
    failure, told = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            _become_program(request, account, streams)
        except OSError as error:
            os.write(told, json.dumps([error.errno, _text(error)]).encode())
        finally:
            os._exit(127)
    os.close(told)
    for stream in streams:
        os.close(stream)
    if complaint := os.read(failure, 1 << 16):
        _tell(report, unstarted=json.loads(complaint))
        return
    status = _await(child, report, wakeup)
    if status is not None:
        _tell(report, status=os.waitstatus_to_exitcode(status))


def _await(child: int, report: socket.socket, wakeup: int) -> int | None:
    """Return how ``child`` ended; None where nobody wants to know any more."""
    while True:
        ready, _, _ = select.select([report.fileno(), wakeup], [], [])
        if report.fileno() in ready and not report.recv(1):
            return None
        with suppress(BlockingIOError):
            os.read(wakeup, 4096)
        status = inside.reap(child)
        if status is not None:
            return status


# --- the root -----------------------------------------------------------------------------------------------------


def _make_root(request: dict[str, Any], home: _Home) -> Made:
    """Make the image's root this process's own, and return what had to be made in it to mount on."""
    inside.mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    devices = _tree(home.devices, recursive=True)
    lent = [(path, _tree(os.path.realpath(path))) for path in _LENT if os.path.isfile(os.path.realpath(path))]
    masked = _tree("/proc", recursive=True)
    os.chdir(request["scratch"])
    if request["options"]:
        # A volatile overlay is marked, lest somebody mounts it after a crash; a second program of one root does.
        for folder, folders, files in os.walk("w/work", topdown=False):
            for name in files:
                os.unlink(f"{folder}/{name}")
            for name in folders:
                os.rmdir(f"{folder}/{name}")
        inside.mount("overlay", "m", "overlay", 0, request["options"])
    else:
        inside.mount("m", "m", None, _MS_BIND | _MS_REC)
    os.chdir("m")
    root = ctypes.c_char_p(b".")
    inside.check("change the root", int(inside.libc.pivot_root(root, root)))
    # The kernel gives an ordinary user a new /proc only while the old one is in sight.
    made = _make_proc(masked)
    inside.check("leave the old root", int(inside.libc.umount2(root, ctypes.c_int(_MNT_DETACH))))
    os.chdir("/")
    for path, user, group in request["owners"]:
        os.chown(f"/{path}", user, group, follow_symlinks=False)
    made += _make_dev(devices)
    for path, tree in lent:
        made += _lend(path, tree)
    socket.sethostname(_HOSTNAME)
    with suppress(OSError):
        inside.raise_loopback()
    return made


def _tree(path: str, *, recursive: bool = False) -> int:
    """Return a mount of its own of what stands at ``path``, which is attached nowhere yet."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    name = ctypes.c_char_p(os.fsencode(path))
    return inside.syscall(f"open {path}", _OPEN_TREE, ctypes.c_int(_AT_FDCWD), name, ctypes.c_uint(flags))


def _attach(tree: int, target: str) -> None:
    arguments = (ctypes.c_int(tree), ctypes.c_char_p(b""), ctypes.c_int(_AT_FDCWD))
    name, flags = ctypes.c_char_p(os.fsencode(target)), ctypes.c_uint(_MOVE_EMPTY_PATH)
    inside.syscall(f"show {target}", _MOVE_MOUNT, *arguments, name, flags)
    os.close(tree)


def _folder(path: str) -> Made:
    """Make sure of a folder to mount on; what is a symlink leads to a place in the image."""
    if os.path.isdir(path):
        return []
    if os.path.lexists(path):
        raise OSError(errno.ENOTDIR, "the image has something else there, where a program needs a folder", path)
    os.mkdir(path, 0o755)
    return [path]


def _make_proc(masked: int) -> Made:
    made = _folder("proc")
    try:
        inside.mount("proc", "proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    except PermissionError:
        # Where parts of it are masked, as in containers, nobody gets a new one.
        _attach(masked, "proc")
    inside.remount_readonly("proc")
    return made


def _make_devices() -> str:
    """Make a ``/dev`` that all programs share, which none of them can write to, and return where it is mounted.

    That is in a mount namespace of this process, so nobody else sees it; no store lies below that place.
    """
    _unshare(_CLONE_NEWNS)
    inside.mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    devices = [(name, _tree(f"/dev/{name}")) for name in _DEVICES if os.path.exists(f"/dev/{name}")]
    stage = next(path for path in _STAGES if os.path.isdir(path))
    inside.mount("tmpfs", stage, "tmpfs", _MS_NOSUID, "mode=0755")
    for name, tree in devices:
        os.close(os.open(f"{stage}/{name}", os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o444))
        _attach(tree, f"{stage}/{name}")
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{target}", f"{stage}/{name}")
    os.symlink("pts/ptmx", f"{stage}/ptmx")
    for name in ("pts", "shm"):
        os.mkdir(f"{stage}/{name}", 0o755)
    inside.remount_readonly(stage)
    return stage


def _make_dev(devices: int) -> Made:
    made = _folder("/dev")
    _attach(devices, "/dev")
    inside.mount("devpts", "/dev/pts", "devpts", _MS_NOSUID | _MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    inside.mount("tmpfs", "/dev/shm", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=1777")  # noqa: S108 - the program's own
    return made


def _lend(path: str, tree: int) -> Made:
    """Show a file of the host at its own place; nothing is lent where the image has a symlink."""
    made: Made = []
    if os.path.islink(path) or not _is_plain_folder(os.path.dirname(path)):
        return made
    if not os.path.lexists(path):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_NOFOLLOW, 0o644))
        made.append(path)
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return made
    _attach(tree, path)
    inside.remount_readonly(path)
    return made


def _is_plain_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _make_directory(path: str) -> Made:
    """Make the working directory where the image has none, as container engines do."""
    made: Made = []
    parts = [part for part in path.split("/") if part]
    for count in range(1, len(parts) + 1):
        folder = "/" + "/".join(parts[:count])
        if not os.path.isdir(folder):
            made += _folder(folder)
    return made


# --- the program --------------------------------------------------------------------------------------------------


def _account(user: str, home: _Home) -> Account:
    """Return who the program runs as.

    Raises: UnknownUserError; _RefusedError for a number that stands for nobody here.
    """
    account = find_account(user)
    if not (_is_mapped(account.user, home.users) and _is_mapped(account.group, home.groups)):
        raise _RefusedError("unmapped", f"{account.user}:{account.group}")
    return account


def _is_mapped(number: int, ranges: Sequence[tuple[int, int]]) -> bool:
    return any(first <= number < first + count for first, count in ranges)


def _mapped(name: str) -> list[tuple[int, int]]:
    with open(f"/proc/self/{name}", "rb") as file:
        return [(int(line.split()[0]), int(line.split()[2])) for line in file]


def _become_program(request: dict[str, Any], account: Account, streams: Sequence[int]) -> None:
    signal.set_wakeup_fd(-1)
    # An interpreter ignores some, and a program would go on to.
    for ignored in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    inside.prctl("end with its parent", _PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.umask(0o022)
    join_new_session()
    os.chdir(request["directory"])
    if request["memory"] is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (request["memory"], request["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    inside.limit_capabilities(CAPABILITIES)
    with suppress(PermissionError):
        # A namespace with one user has no groups to set.
        os.setgroups(account.groups)
    os.setresgid(account.group, account.group, account.group)
    os.setresuid(account.user, account.user, account.user)
    inside.prctl("give up new rights", _PR_SET_NO_NEW_PRIVS, 1)
    if request["filter"] is not None:
        inside.load_filter(base64.b64decode(request["filter"]))
    environment = {"HOME": account.home, **request["environment"]}
    argv = request["argv"]
    os.execvpe(argv[0], argv, environment)  # noqa: S606 - the image's own program


def _give_back(root: str) -> None:
    """Make what was left there the own files of who started this, who else could neither read nor remove them."""
    for folder, folders, files in os.walk(root, topdown=True, onerror=None):
        for name in (*folders, *files):
            full = os.path.join(folder, name)
            with suppress(OSError):
                status = os.lstat(full)
                if status.st_uid or status.st_gid:
                    mode = stat.S_IMODE(status.st_mode)
                    os.chown(full, 0, 0, follow_symlinks=False)
                    if not stat.S_ISLNK(status.st_mode):
                        os.chmod(full, mode)
                        if stat.S_ISDIR(status.st_mode) and mode & _CLOSED != _CLOSED:
                            os.chmod(full, mode | _CLOSED)


def main(arguments: Sequence[str]) -> None:
    """Serve on the socket whose number comes first; ``user`` behind it asks for a namespace."""
    with socket.socket(fileno=int(arguments[0])) as channel:
        serve(channel, namespace=arguments[1] == "user")
