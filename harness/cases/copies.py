"""A copy of a build context that differs from it in all that must make no difference.

Equal: names, content, permission bits, symlinks, hard links. Different: times, inodes, the order in which entries were
made and, for who may give files away, the owner.
"""

from __future__ import annotations

import logging
import os
import random
import stat
import tempfile
from dataclasses import dataclass, field

# Neither is anybody's on purpose; what matters is that they are not the original's.
_OTHER_OWNER = 12_345
_OTHER_TIME_NS = 1_000_000_123_456_789
_LOG = logging.getLogger("kubeimage.checks")


def copy_context(
    source: str, target: str, *, seed: int = 0, disguised: bool = True, leave_out: str | None = None
) -> None:
    """Copy the folder ``source`` to ``target``, which must not exist.

    What cannot be read stands there empty, and what no layer can hold (a socket, a device) is left out: a build that
    wants either has failed before. With ``disguised`` False, owner and times are kept. ``leave_out`` is the absolute
    path of something that is not copied.
    """
    order = random.Random(seed)  # noqa: S311 - an order, not a secret
    gives_away = _may_give_away(os.path.dirname(target))
    if disguised and not gives_away:
        _LOG.info("owner not varied: this user may not give files away")
    _Copy(order, disguised, gives_away, leave_out).folder(source, target)


def _may_give_away(folder: str) -> bool:
    """Whether a file in ``folder`` can be made somebody else's and still be worked with.

    Root can, unless it lacks the rights for it, as in a container of dropped capabilities or of one user id.
    """
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        try:
            os.chown(file.name, _OTHER_OWNER, _OTHER_OWNER)
            os.chmod(file.name, 0o600)
            os.utime(file.name, (0, 0))
            with open(file.name, "rb"):
                return True
        except OSError:
            return False


@dataclass
class _Copy:
    order: random.Random
    disguised: bool
    gives_away: bool
    leave_out: str | None
    first_names: dict[tuple[int, int], str] = field(default_factory=dict)

    def folder(self, source: str, target: str) -> None:
        found = os.stat(source)
        os.mkdir(target, 0o700)
        for name in self._shuffled(source):
            self._entry(os.path.join(source, name), os.path.join(target, name))
        self._finish(found, target)

    def _shuffled(self, folder: str) -> list[str]:
        try:
            names = sorted(os.listdir(folder))
        except PermissionError:
            return []
        self.order.shuffle(names)
        return names

    def _entry(self, source: str, target: str) -> None:
        if source == self.leave_out:
            return
        found = os.lstat(source)
        if stat.S_ISDIR(found.st_mode):
            self.folder(source, target)
        elif stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(source), target)
        elif stat.S_ISFIFO(found.st_mode):
            os.mkfifo(target)
            self._finish(found, target)
        elif stat.S_ISREG(found.st_mode):
            self._file(found, source, target)

    def _file(self, found: os.stat_result, source: str, target: str) -> None:
        identity = (found.st_dev, found.st_ino)
        if (first := self.first_names.get(identity)) is not None:
            os.link(first, target)
            return
        self.first_names[identity] = target
        _copy_content(source, target)
        self._finish(found, target)

    def _finish(self, found: os.stat_result, target: str) -> None:
        # The owner first: chown clears the set-user-id bit.
        if self.gives_away:
            owner = (_OTHER_OWNER, _OTHER_OWNER) if self.disguised else (found.st_uid, found.st_gid)
            os.chown(target, *owner)
        os.chmod(target, stat.S_IMODE(found.st_mode))
        time_ns = _OTHER_TIME_NS + self.order.randrange(10**9) if self.disguised else found.st_mtime_ns
        os.utime(target, ns=(time_ns, time_ns))


def _copy_content(source: str, target: str) -> None:
    import shutil

    with open(target, "wb") as sink:
        try:
            stream = open(source, "rb")  # noqa: SIM115 - what cannot be opened is one thing, what fails later another
        except PermissionError:
            return
        with stream:
            shutil.copyfileobj(stream, sink, 1 << 20)
