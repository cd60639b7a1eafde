"""A builder's command, run twice: each time in a context of its own, under other circumstances."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.rebuild.circumstances import Circumstances, prepare

OUT = "{out}"
APART = 2.1
"""How many seconds lie between the end of the first build and the start of the second."""

_TAIL = 30


@dataclass(frozen=True)
class Built:
    """What a build left. Shape: ``out`` is where its image is. Units: ``seconds`` is how long it took."""

    out: str
    seconds: float


class BuildFailedError(Exception):
    """A command that failed. Shape: ``lines`` are the end of what it said."""

    def __init__(self, message: str, lines: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.lines = lines


@dataclass(frozen=True)
class Rebuilt:
    """Two builds of one command. Shape: ``varied`` names what differed; ``unvaried`` says of the rest why not."""

    first: Built
    second: Built
    varied: tuple[str, ...]
    unvaried: Mapping[str, str]


def build_twice(command: str, context: str, folder: str, *, apart: float | None = None) -> Rebuilt:
    """Run ``command`` in two copies of ``context``, and return what it made.

    Shape:  ``folder`` is empty, and keeps what was made. As root the second build is another user's, where the command
            can be run so.
    Raises: BuildFailedError where the command fails, or makes nothing; OSError where the context cannot be copied.
    """
    prepared = prepare(context, folder)
    try:
        first = _build(command, prepared.first, os.path.join(folder, "first"))
        time.sleep(APART if apart is None else apart)
        second = _build_second(command, prepared.second, folder, prepared.unvaried)
    finally:
        prepared.remove()
    names = ("time", "mtime", "timezone", "umask", "path", "order", "user")
    return Rebuilt(first, second, tuple(name for name in names if name not in prepared.unvaried), prepared.unvaried)


def _build_second(command: str, how: Circumstances, folder: str, unvaried: dict[str, str]) -> Built:
    place = os.path.join(folder, "second")
    if how.user is None:
        return _build(command, how, place)
    try:
        return _build(command, how, place)
    except BuildFailedError as error:
        last = error.lines[-1] if error.lines else str(error)
        unvaried["user"] = f"the command fails for the user {how.user}: {last.strip()}"
    for path, folders, names in os.walk(how.directory):
        for name in (".", *folders, *names):
            os.chown(os.path.join(path, name), 0, 0, follow_symlinks=False)
    return _build(command, replace(how, user=None), os.path.join(folder, "third"))


def _build(command: str, how: Circumstances, folder: str) -> Built:
    os.mkdir(folder, 0o755)
    home = os.path.join(folder, "home")
    os.mkdir(home, 0o700)
    out = os.path.join(folder, "out")
    environment = {**os.environ, "TZ": how.timezone, "PWD": how.directory}
    if how.user is not None:
        os.chown(folder, how.user, how.user)
        os.chown(home, how.user, how.user)
        environment = {key: text for key, text in environment.items() if not key.startswith("XDG_")}
        environment |= {"HOME": home, "USER": "nobody", "LOGNAME": "nobody"}
    begun = time.monotonic()
    status, said = _run(command.replace(OUT, shlex.quote(out)), how, environment)
    if status != 0:
        raise BuildFailedError(f"the command ended with status {status}", said)
    if not os.path.lexists(out):
        raise BuildFailedError(f"the command made nothing at {OUT}", said)
    return Built(out, time.monotonic() - begun)


def _run(command: str, how: Circumstances, environment: Mapping[str, str]) -> tuple[int, tuple[str, ...]]:
    """Run the command with all that it starts in one group, which ends with it."""
    process = subprocess.Popen(
        ("/bin/sh", "-c", command),
        cwd=how.directory,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        umask=how.umask,
        user=how.user,
        group=how.user,
        extra_groups=[] if how.user is not None else None,
    )
    try:
        said, _ = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    lines = said.decode("utf-8", "replace").splitlines()
    return process.returncode, tuple(lines[-_TAIL:])
