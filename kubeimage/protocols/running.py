"""What the executor asks to run a command on a root filesystem."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from typing import Protocol

from kubeimage.framing import check_argument, check_variable
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.layer.entry import Entry, Owner
from kubeimage.values import dataclass


@dataclass(frozen=True)
class ShownPath:
    """A place of this machine that a command finds in its image.

    Shape: ``target`` is a path below the root. An empty ``source`` is an empty folder in memory; with ``data`` it is a
           file in memory that holds that. ``is_file`` is whether the source is a file, and no folder.
    Units: ``size`` in bytes, of a folder in memory; None for no bound.
    """

    target: str
    source: str = ""
    read_only: bool = False
    is_file: bool = False
    size: int | None = None
    data: bytes | None = field(default=None, repr=False)
    mode: int = 0o400


@dataclass(frozen=True)
class ImageRoot:
    """How a command runs inside an image's own root.

    Shape: ``argv`` is the program and its arguments. ``user`` is a user's and a group's number, which ``as_user`` comes
           to once the image is known. ``lent`` are files of the host that it finds at their own places. ``owners`` are
           (path, user, group) of what is not root's in the image. ``shown`` is mounted, outer ones first; ``made`` are
           the folders, and then the files, that are made to mount on.
    """

    argv: tuple[str, ...]
    directory: str = "/"
    user: tuple[int, int] = (0, 0)
    as_user: str = ""
    lent: tuple[str, ...] = ()
    owners: tuple[tuple[str, int, int], ...] = ()
    shown: tuple[ShownPath, ...] = ()
    made: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


@dataclass(frozen=True)
class ShownSecret:
    """A secret that a command finds, in a file of memory, in a variable, or in both.

    Shape: ``target`` is an absolute path, empty for none; ``variable`` is empty for none.
    Units: ``mode`` holds permission bits.
    """

    name: str
    value: bytes = field(repr=False)
    target: str = ""
    variable: str = ""
    mode: int = 0o400


class Stop(Protocol):
    """What tells a command to end, as `threading.Event` does."""

    def is_set(self) -> bool:
        """Whether it is to end."""
        ...


@dataclass(frozen=True)
class Command:
    """A RUN.

    Shape: ``script`` goes to ``sh -c`` byte for byte. ``environment`` is all that the command sees beside PATH, HOME
           and LANG. ``network`` False means none at all. With ``image`` it is not the host's shell that works on the
           rootfs: the command runs inside it, and ``environment`` is all of its own. ``stop`` is what tells it to end
           before it is done. ``secrets`` stand in no key and no log.
    Units: ``timeout`` in seconds, or None.
    """

    script: str
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = True
    timeout: float | None = None
    image: ImageRoot | None = None
    stop: Stop | None = field(default=None, compare=False, repr=False)
    secrets: tuple[ShownSecret, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what no shell could be handed.

        Raises: UsageError.
        """
        check_argument(self.script, "the command of a RUN")
        for name, value in self.environment.items():
            check_variable(name, value)

    @property
    def variables(self) -> dict[str, str]:
        """The environment, with the secrets that stand in it."""
        told = {one.variable: one.value.decode("utf-8", "surrogateescape") for one in self.secrets if one.variable}
        return {**self.environment, **told}


class Mount(Protocol):
    """An image's merged rootfs, made writable for one RUN."""

    @property
    def rootfs(self) -> str:
        """The absolute path of the merged rootfs, as a process started behind ``prefix`` sees it."""
        ...

    @property
    def prefix(self) -> tuple[str, ...]:
        """The argv to put before a command so that it sees the rootfs; empty if everybody does."""
        ...

    def changes(self, owners: Mapping[str, Owner] | None = None) -> list[Entry]:
        """Return what differs from the layers below, in canonical order; call it when nothing runs any more.

        What is equal in type, mode, content, target and xattrs is no change, whatever its times. With ``owners``, by
        path those below that are not root's, another owner is a change as well; else all is root's.
        """
        ...

    def keep(self, directory: str) -> None:
        """Copy the whole tree, as the RUN left it, into ``directory``, which is made.

        Raises: MountError, StoreFullError.
        """
        ...


class Mounter(Protocol):
    """Puts layers together into a rootfs."""

    @property
    def name(self) -> str:
        """What it is called on the command line: overlay, copy, memory."""
        ...

    def mount(self, layers: Sequence[Digest]) -> AbstractContextManager[Mount]:
        """Merge ``layers``, lowest first; leaving the context removes all traces, whatever happened inside.

        Raises: MountError that says what to do.
        """
        ...


@dataclass(frozen=True)
class CommandResult:
    """How a command ended.

    Shape: ``status`` is its exit status, or minus the number of the signal that ended it. ``tail`` is the end of what
           it printed.
    """

    status: int
    tail: str = ""
    timed_out: bool = False


class CommandRunner(Protocol):
    """Runs a command on a mounted rootfs, and returns when it and everything it started are gone."""

    @property
    def name(self) -> str:
        """What it is called on the command line: sandbox, landlock, none."""
        ...

    def check_platform(self, platform: Platform) -> None:
        """Make sure that programs for ``platform`` can run; asked only where this machine's is another one.

        Raises: PlatformMismatchError that says what is missing.
        """
        ...

    def run(self, command: Command, mount: Mount, output: Callable[[bytes], None]) -> CommandResult:
        """Run ``command`` with the rootfs as its working directory; ``output`` gets what it prints, as it comes.

        Raises: SandboxError where it cannot be started; StoppedError where it was told to end.
        """
        ...
