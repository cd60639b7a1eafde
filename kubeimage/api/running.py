"""Run a program of an image, in the image's own root: whole operations.

The image never changes: a program works on an overlay of its layers, or on a copy, which is gone when it has ended.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from kubeimage.api.backends import Backends
from kubeimage.api.finding import ImageName, find_image
from kubeimage.errors import UsageError
from kubeimage.framing import check_argument, check_variable
from kubeimage.image.config import Image
from kubeimage.image.platform import Platform
from kubeimage.image.runtime import DEFAULT_PATH
from kubeimage.layer.entry import ROOT
from kubeimage.layer.stack import LayerReader, LayerStack, StackedLayer
from kubeimage.mount.changed import PathChange, changed_paths
from kubeimage.mount.choose import choose_mounter
from kubeimage.mount.overlay import OverlayMount
from kubeimage.namespaces import keeps_trusted_xattrs
from kubeimage.protocols.running import Mount, Mounter
from kubeimage.run.foreign import check_programs
from kubeimage.run.programs import Ended, Program, ProgramRunner, Root
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.store import Store

MOUNT = "auto"
"""How a program's root is made: by overlay, where this machine has it, or by copying."""

_SHELL = ("/bin/sh", "-c")
_HOSTNAME = "kubeimage"

_runner = ProgramRunner()
_mounters: WeakKeyDictionary[Store, Mounter] = WeakKeyDictionary()


@dataclass(frozen=True)
class RunResult:
    """How a program of an image ended.

    Shape: ``status`` is its exit status, or minus the number of the signal that ended it. ``stdout`` and ``stderr``
           are text; what is no UTF-8 shows as U+FFFD, and is whole in ``stdout_bytes`` and ``stderr_bytes``.
           ``changes`` are the paths that it changed, each ``added``, ``modified`` or ``deleted``.
           ``unstarted`` says why it was never begun, and is else empty; the status is 127 then, or 126 for what
           cannot be executed. ``truncated`` is whether it printed more than is kept of one output.
    """

    status: int
    stdout_bytes: bytes = field(repr=False)
    stderr_bytes: bytes = field(repr=False)
    changes: Mapping[str, PathChange]
    timed_out: bool = False
    truncated: bool = False
    unstarted: str = ""

    @property
    def stdout(self) -> str:
        """What it printed."""
        return self.stdout_bytes.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """What it printed to its error output."""
        return self.stderr_bytes.decode("utf-8", "replace")


@dataclass(frozen=True)
class Step:
    """A program to run, as `run_image` takes it."""

    command: str | Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | int | None = None
    workdir: str | None = None
    stdin: str | bytes | None = None
    network: bool = False
    timeout: float | None = 60


def run_image(
    name: ImageName,
    command: str | Sequence[str],
    backends: Backends,
    *,
    platform: Platform | None = None,
    env: Mapping[str, str] | None = None,
    user: str | int | None = None,
    workdir: str | None = None,
    stdin: str | bytes | None = None,
    network: bool = False,
    timeout: float | None = 60,
) -> RunResult:
    """Run a program of an image in the image's own root, walled off from this machine, and return how it ended.

    Shape:  a text goes to the image's shell, a list is the program and its arguments; the image's entrypoint has no
            part in it. ``env`` is laid over the image's; ``user`` and ``workdir`` stand for its own. Without
            ``network`` there is none at all. What it may print and change is thrown away once it is told.
    Units:  ``timeout`` in seconds; then the program is killed with all that it started. None waits for ever.
    An image from elsewhere is brought into the store first, without a name: ``prune`` removes it again.
    Raises: UsageError for backends that were opened for less than they are needed for, or have no store on disk;
            ImageNotFoundError; PlatformMismatchError for programs that this machine cannot run;
            UserUnavailableError where this machine cannot run it as its user; SandboxError; MountError; StoreError.
    """
    step = Step(command, env or {}, user, workdir, stdin, network=network, timeout=timeout)
    return run_steps(name, [step], backends, platform=platform)[-1]


def run_steps(
    name: ImageName, steps: Sequence[Step], backends: Backends, *, platform: Platform | None = None
) -> list[RunResult]:
    """Run programs one after the other, each on what those before it left, and return how they ended.

    Shape:  the changes of each are those of all up to it. After a program that could not be started none is run.
    Raises: as `run_image`.
    """
    store = backends.store_on_disk("read")
    image, _ = find_image(name, backends, platform=platform)
    programs = [_program(image, step) for step in steps]
    check_programs(image.platform)
    contents = backends.contents_of(image)
    if contents is not backends.layers:
        bring_layers(image, contents, backends)
    results: list[RunResult] = []
    with _mounted(image, store) as (mount, root):
        made: set[str] = set()
        for program in programs:
            ended = _runner.run(program, root if not results else replace(root, owners=()))
            made.update(path.lstrip("/") for path in ended.made)
            owners = not root.owners and keeps_trusted_xattrs()
            results.append(_result(ended, changed_paths(mount, owners=owners), made))
            if ended.unstarted:
                break
    return results


def _program(image: Image, step: Step) -> Program:
    stdin = step.stdin
    return Program(
        _argv(image, step.command),
        _variables(image, step.env),
        directory=_directory(image, step.workdir),
        user=_checked(image.runtime.user if step.user is None else str(step.user), "the user"),
        stdin=stdin.encode() if isinstance(stdin, str) else stdin or b"",
        network=step.network,
        timeout=step.timeout,
    )


def _argv(image: Image, command: str | Sequence[str]) -> tuple[str, ...]:
    argv = (*(image.runtime.shell or _SHELL), command) if isinstance(command, str) else tuple(command)
    if not argv or not argv[0]:
        raise UsageError("there is no program to run", hint='as in run_image(name, ["/bin/true"], backends)')
    return tuple(_checked(word, "an argument of a program") for word in argv)


def _variables(image: Image, env: Mapping[str, str]) -> dict[str, str]:
    variables = {"PATH": DEFAULT_PATH, "HOSTNAME": _HOSTNAME, **dict(image.runtime.env), **env}
    for key, value in variables.items():
        check_variable(key, value)
    return variables


def _directory(image: Image, workdir: str | None) -> str:
    written = workdir if workdir is not None else image.runtime.working_dir
    return posixpath.normpath(posixpath.join("/", _checked(written, "the working directory")))


def _checked(text: str, what: str) -> str:
    check_argument(text, what)
    return text


def bring_layers(image: Image, contents: LayerReader, backends: Backends) -> None:
    """Bring the layers of an image from elsewhere into the store; what is there stays, and is held.

    Raises: UsageError for backends that were opened for less than they are needed for, or have no store on disk;
            BlobNotFoundError, BlobCorruptError, LayerError; StoreError; RegistryError.
    """
    store = backends.store_on_disk("read")
    for layer in image.layers:
        if not store.layers.has(layer.diff_id):
            backends.require("write")
            with contents.open(layer.diff_id) as tar:
                store.layers.add(tar, diff_id=layer.diff_id)


@contextmanager
def _mounted(image: Image, store: Store) -> Iterator[tuple[Mount, Root]]:
    """Yield what a program works on, and how the runner finds it."""
    if store not in _mounters:
        snapshots = store.snapshots_in("owned" if keeps_trusted_xattrs() else None)
        _mounters[store] = choose_mounter(MOUNT, snapshots)
    layers = [layer.diff_id for layer in image.layers]
    with _mounters[store].mount(layers) as mount:
        scratch = mount.rootfs.rpartition("/")[0]
        is_overlay = isinstance(mount, OverlayMount)
        owners = () if is_overlay and keeps_trusted_xattrs() else _owners(image, store)
        yield mount, Root(scratch, mount.text if isinstance(mount, OverlayMount) else "", owners)


def _owners(image: Image, store: Store) -> tuple[tuple[str, int, int], ...]:
    """Return whose the files are that are not root's, for a mount that shows all as root's."""
    if not (keeps_trusted_xattrs() or _runner.maps_users()):
        return ()
    tree = LayerStack(store.layers, [StackedLayer(layer.diff_id) for layer in image.layers]).tree
    return tuple((path, *entry.owner) for path, entry in sorted(tree.items()) if entry.owner != ROOT)


def _result(ended: Ended, changes: Mapping[str, PathChange], made: set[str]) -> RunResult:
    """Leave out of the changes what was made to mount on, where nothing else was put there."""
    kept = {path for path in changes if path not in made}
    filled = {path for path in made if any(one.startswith(f"{path}/") for one in kept)}
    told = {path: change for path, change in changes.items() if path in kept or path in filled}
    return RunResult(ended.status, ended.stdout, ended.stderr, told, ended.timed_out, ended.truncated, ended.unstarted)


__all__ = ["PathChange", "RunResult", "Step", "bring_layers", "run_image", "run_steps"]
