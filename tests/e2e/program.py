"""The real program in real processes, and what a test wants to know of the folders and processes around it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from tests.e2e.forked import can_be_forked, run_forked

REPOSITORY = Path(__file__).parent.parent.parent
PATIENCE = 60.0


@dataclass(frozen=True)
class Ended:
    """A run that is over."""

    status: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """What ``--progress=json`` told."""
        return [json.loads(line) for line in self.stderr.splitlines()]


@dataclass(frozen=True)
class Program:
    """The program with a store, a folder to run in, and surroundings that can be changed."""

    root: Path
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    umask: int = -1
    patience: float = PATIENCE
    """How long it may run. Units: seconds."""

    def with_root(self, root: Path) -> Self:
        """Return the same program on another store."""
        return replace(self, root=root)

    def start(self, *arguments: str | Path, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """Start the program in a process group of its own."""
        return subprocess.Popen(
            self._command(arguments),
            cwd=self.folder,
            env=self._environment(),
            umask=self.umask,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def run(self, *arguments: str | Path, status: int = 0, given: str | None = None) -> Ended:
        """Run the program to its end, which must be ``status``; ``given`` is its standard input.

        Where that comes to the same, it does not start a new interpreter.
        """
        if self.prefix or not can_be_forked(self.environment):
            ended = self._run_anew(arguments, given)
        else:
            words, environment = [str(one) for one in arguments], self._environment()
            ended = Ended(*run_forked(words, self.folder, environment, self.umask, given or "", self.patience))
        assert ended.status == status, f"exit status {ended.status}, not {status}\n{ended.stdout}\n{ended.stderr}"
        assert "Traceback" not in ended.stderr
        return ended

    def _run_anew(self, arguments: Sequence[str | Path], given: str | None) -> Ended:
        stdin = subprocess.DEVNULL if given is None else subprocess.PIPE
        with self.start(*arguments, stdin=stdin) as process:
            try:
                stdout, stderr = process.communicate(given, timeout=self.patience)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return Ended(process.returncode, stdout, stderr)

    def pipe(self, script: str) -> None:
        """Run a script for sh in which ``$KUBEIMAGE`` is the program; every part of its pipes must succeed."""
        environment = {**self._environment(), "KUBEIMAGE": f"{sys.executable} -m kubeimage"}
        command = ["bash", "-euc", f"set -o pipefail; {script}"]
        subprocess.run(command, cwd=self.folder, env=environment, check=True, timeout=self.patience)

    def build(self, name: str, context: str | Path, *options: str | Path) -> str:
        """Build an image and give its id."""
        handle, path = tempfile.mkstemp(dir=self.folder)
        os.close(handle)
        os.chmod(path, 0o666)
        self.run("build", "-t", name, "--progress=plain", f"--iidfile={path}", *options, context)
        image_id = Path(path).read_text().strip()
        os.unlink(path)
        return image_id

    def inspect(self, name: str) -> Any:
        """Return the Image document."""
        return json.loads(self.run("inspect", name, "--format=json").stdout)

    def export(self, name: str) -> Path:
        """Unpack an image's root filesystem next to the store."""
        target = Path(tempfile.mkdtemp(dir=self.folder)) / "rootfs"
        self.run("export", name, "-o", target)
        return target

    def _command(self, arguments: Sequence[str | Path]) -> list[str]:
        return [*self.prefix, sys.executable, "-m", "kubeimage", *map(str, arguments)]

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(REPOSITORY),
            "KUBEIMAGE_ROOT": str(self.root),
            **self.environment,
        }


def copy_projects(target: Path) -> Path:
    """Copy the example projects, with the modes that git keeps: a checkout has those of its user's umask."""
    shutil.copytree(REPOSITORY / "fixtures", target, symlinks=True, ignore=shutil.ignore_patterns("pipe"))
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    return target


def snapshot(root: Path) -> dict[str, tuple[int, int, int]]:
    """Return every path below ``root`` with mode, size and mtime, but for unfinished writes and last uses."""
    found = {}
    for folder, folders, files in os.walk(root):
        here = os.path.relpath(folder, root)
        if here == ".":
            folders[:] = [name for name in folders if name != "ingest"]
        if here == "cache":
            folders[:] = [name for name in folders if name != "uses"]
        for name in files:
            status = os.lstat(os.path.join(folder, name))
            found[os.path.normpath(os.path.join(here, name))] = (status.st_mode, status.st_size, status.st_mtime_ns)
    return found


def tree(root: Path) -> dict[str, tuple[str, int, str | bytes]]:
    """Return every path below ``root`` with its type, permission bits, and content or target."""
    found: dict[str, tuple[str, int, str | bytes]] = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode & 0o7777
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = ("symlink", 0o777, os.readlink(path))
        elif path.is_dir():
            found[name] = ("directory", mode, "")
        elif path.is_fifo():
            found[name] = ("fifo", mode, "")
        else:
            found[name] = ("file", mode, path.read_bytes())
    return found


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait, for a reasonable time, until ``holds()``."""
    deadline = time.monotonic() + PATIENCE / 2
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def processes_with(word: str) -> list[int]:
    """Find the processes that have ``word`` in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if word.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write text files into ``folder``, which is made if need be."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
