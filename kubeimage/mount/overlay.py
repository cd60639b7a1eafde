"""Merged rootfs by the kernel's overlayfs, for root and for ordinary users.

The mount is made by the RUN's own processes: `OverlayMount.prefix` unshares a mount namespace (an ordinary user's in a
user namespace), mounts there, and turns into the command. So nobody has to unmount, and nothing can be left mounted.

Lower directories are named by links of a few bytes, relative to the folder that the mount is made from: all options
together must fit into one page, and a store's path may hold colons and commas. Each link is made once and serves all
later mounts; a hundred links for each RUN of a deep image would take longer than the RUN.

Source: Linux, overlayfs.rst; mount(2), on the size of options.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from kubeimage.errors import MountError
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry, Kind, Owner
from kubeimage.mount.lower import MergedLayers, uncovered, whiteout_folders
from kubeimage.mount.merge import copy_merged, translated
from kubeimage.mount.survey import survey_upper
from kubeimage.mount.tools import find_tool, no_overlay, try_command
from kubeimage.namespaces import keeps_trusted_xattrs, may_make_namespaces
from kubeimage.protocols.layers import SnapshotStore
from kubeimage.values import dataclass

MOST_OPTIONS = 4095
"""Bytes that mount(2) takes: a page with its NUL."""

# Since 2.39 util-linux mounts by fsconfig(2), which takes 256 bytes of lower directories where mount(2) takes a page.
# A volatile overlay's work folder is marked until the machine starts anew, lest somebody mounts it after a crash.
_SCRIPT = (
    'cd -- "$1" && { [ ! -e w/work/incompat ] || rm -r w/work/incompat; } && '
    'LIBMOUNT_FORCE_MOUNT2=always "$2" -t overlay -o "$3" overlay m && shift 3 && exec "$@"'
)
# Renames are copies and links are broken at their first change: so the upper directory tells all by itself. It is
# thrown away in any case, so nothing of it needs to reach the disk.
_PLAIN = ("index=off", "metacopy=off")
_ROOT_ONLY = ("redirect_dir=off",)
_USERS = ("userxattr",)
_UNSYNCED = ("volatile",)


@dataclass(frozen=True)
class OverlayMount:
    """An overlay that a command behind `prefix` finds mounted.

    Shape: ``layers`` are unpacked ones, lowest first; ``names`` are what they are called in ``scratch``, which holds
           everything else.
    """

    scratch: str
    layers: tuple[str, ...]
    names: tuple[str, ...]
    options: tuple[str, ...]

    @property
    def rootfs(self) -> str:
        """The mount point; to everybody else it is an empty folder."""
        return f"{self.scratch}/m"

    @property
    def prefix(self) -> tuple[str, ...]:
        """The argv that makes the mount and turns into the command that follows."""
        as_root = () if may_make_namespaces() else ("-U", "-r")
        unshare = (find_tool("unshare"), *as_root, "-m", "--propagation", "private", "--")
        return (*unshare, "/bin/sh", "-c", _SCRIPT, "kubeimage-mount", self.scratch, find_tool("mount"), self.text)

    def changes(self, owners: Mapping[str, Owner] | None = None) -> list[Entry]:
        """Read what the upper directory changes on the layers.

        Raises: UnsupportedSourceError, MountError.
        """
        return survey_upper(f"{self.scratch}/u", self.layers, owners)

    def keep(self, directory: str) -> None:
        """Copy the merged tree, as the RUN left it, into ``directory``, which is made.

        Raises: MountError, StoreFullError.
        """
        with MergedLayers([*self.layers, f"{self.scratch}/u"]) as merged:
            copy_merged(merged, directory)

    @property
    def text(self) -> str:
        """The options of the mount, for who mounts in `scratch` itself."""
        # The kernel reads the topmost first.
        return ",".join((f"lowerdir={':'.join(reversed(self.names))}", "upperdir=u", "workdir=w", *self.options))


class _Links:
    """Short links to unpacked layers, in a folder of their own."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._names: dict[str, str] = {}

    def name(self, layer: str) -> str:
        """Return the name of the link to ``layer``."""
        if layer not in self._names:
            name = str(len(self._names))
            os.symlink(layer, f"{self.folder}/{name}")
            self._names[layer] = name
        return self._names[layer]


class OverlayMounter:
    """Mounts by overlayfs, once a trial has shown how that is possible here."""

    name = "overlay"

    def __init__(self, snapshots: SnapshotStore) -> None:
        self._snapshots = snapshots
        self._options: tuple[str, ...] | None = None
        self._links: _Links | None = None
        self._whiteout_folders: dict[str, tuple[str, ...]] = {}

    @contextmanager
    def mount(self, layers: Sequence[Digest]) -> Iterator[OverlayMount]:
        """Prepare an overlay of ``layers``, lowest first.

        Raises: MountError where this host refuses overlays, or for more layers than fit into the options.
        """
        options = self.probe()
        unpacked = tuple(uncovered([self._snapshots.path(layer) for layer in layers]))
        self._links = self._links or _Links(self._snapshots.workspace())
        with self._snapshots.scratch() as scratch:
            yield _prepare(scratch, unpacked, self._links, options, self._floor(unpacked))

    def _floor(self, layers: Sequence[str]) -> set[str]:
        """Return the directories that must not be those of one layer alone.

        The kernel takes whiteouts out of a list only where it merges directories.
        """
        for layer in layers:
            if layer not in self._whiteout_folders:
                self._whiteout_folders[layer] = whiteout_folders(layer)
        return {folder for layer in layers for folder in self._whiteout_folders[layer]}

    def probe(self) -> tuple[str, ...]:
        """Find out, by mounting a tiny overlay, with which options it works; once for each mounter.

        Raises: MountError that says why it does not.
        """
        if self._options is None:
            self._options = self._find_options()
        return self._options

    def _find_options(self) -> tuple[str, ...]:
        own = _ROOT_ONLY if keeps_trusted_xattrs() else _USERS
        reason: str | None = None
        # Older kernels do not know all of them.
        for options in ((*own, *_PLAIN, *_UNSYNCED), (*own, *_PLAIN), own):
            with self._snapshots.scratch() as scratch:
                complaint = _try(scratch, options)
            if complaint is None:
                return options
            reason = reason or complaint
        raise no_overlay(reason or "")


def _prepare(
    scratch: str, layers: tuple[str, ...], links: _Links, options: tuple[str, ...], floor: Iterable[str] = ()
) -> OverlayMount:
    with translated("prepare a mount in", scratch):
        for name in ("e", "u", "w", "m"):
            os.mkdir(f"{scratch}/{name}")
        # The root of the upper directory becomes the rootfs's, whatever the umask is.
        os.chmod(f"{scratch}/u", 0o755)  # noqa: S103
        os.symlink(links.folder, f"{scratch}/l")
        for folder in floor:
            os.makedirs(f"{scratch}/e/{folder}", exist_ok=True)
        names = tuple(f"l/{links.name(layer)}" for layer in layers)
        # Overlayfs wants one lower directory at least.
        if floor or not names:
            names = ("e", *names)
    mount = OverlayMount(scratch, layers, names, options)
    length = len(mount.prefix[-1])
    if length > MOST_OPTIONS:
        raise MountError(f"{len(layers)} layers make {length} bytes of mount options, {MOST_OPTIONS} are possible")
    return mount


def _try(scratch: str, options: tuple[str, ...]) -> str | None:
    """Put a new directory in the place of a lower one, behind a real mount; give what went wrong, or None."""
    lower, work, links = f"{scratch}/lower", f"{scratch}/work", f"{scratch}/links"
    with translated("try a mount in", scratch):
        os.makedirs(f"{lower}/d/old")
        os.mkdir(work)
        os.mkdir(links)
    mount = _prepare(work, (lower,), _Links(links), options)
    complaint = try_command([*mount.prefix, "/bin/sh", "-c", "rm -r m/d && mkdir m/d && mkdir m/d/new"])
    if complaint is not None:
        return complaint
    found = [(entry.path, entry.kind) for entry in mount.changes()]
    expected = [("d", Kind.DIRECTORY), ("d/old", Kind.WHITEOUT), ("d/new", Kind.DIRECTORY)]
    return None if found == expected else "the kernel does not record there what was deleted"
