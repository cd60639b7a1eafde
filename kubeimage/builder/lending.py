"""What a RUN inside an image's own root is lent, so that none of it stays in the layer.

The sandbox mounts a ``/proc``, a ``/dev`` and two files of ``/etc`` there, and makes what is missing to mount on.
Whether that is safe is seen from the tree: nothing is lent where a symlink stands, for it would be followed out of the
image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from kubeimage.errors import CommandError, DestinationError
from kubeimage.layer.entry import Entry, Kind, Owner
from kubeimage.layer.names import ancestors
from kubeimage.layer.stack import LayerStack
from kubeimage.protocols.running import Command, ShownPath

_FOLDERS = ("proc", "dev")
_FILES = ("etc/resolv.conf", "etc/hosts")
_SHELL = ("bin", "sh")


def lend(command: Command, rootfs: LayerStack) -> tuple[Command, frozenset[str]]:
    """Return the command with the files that it can be lent, and the paths that are made for all of it.

    Raises: CommandError for an image that no command can run in.
    """
    assert command.image is not None
    _check_shell(rootfs)
    for path in _FOLDERS:
        found = rootfs.tree.get(path)
        if found is not None and found.kind is not Kind.DIRECTORY:
            raise CommandError(f"the image has a {found.kind.value} at /{path}, where a RUN needs a folder", status=126)
    etc = rootfs.tree.get("etc")
    files = [path for path in _FILES if _can_be_lent(rootfs.tree.get(path))] if _is_folder_or_nothing(etc) else []
    shown = tuple(_placed(one, rootfs) for one in command.image.shown)
    places = [one.target for one in shown if not one.is_file]
    above = [way for one in shown for way in ancestors(one.target) if way]
    folders = _missing([*_FOLDERS, "etc", *above, *places], rootfs)
    paths = _missing([*files, *(one.target for one in shown if one.is_file)], rootfs)
    made = frozenset((*folders, *paths))
    lent = tuple(f"/{path}" for path in files)
    # A user without a list of users, or who is not root, has no home that anybody knows of.
    home = "/root" if command.image.user[0] == 0 and rootfs.tree.get("etc/passwd") is not None else "/"
    environment = {"HOME": home, **command.environment}
    return replace(
        command, environment=environment, image=replace(command.image, lent=lent, shown=shown, made=(folders, paths))
    ), made


def with_owners(command: Command, owners: Mapping[str, Owner]) -> Command:
    """Return the command with what is not root's in the image, in the order of paths."""
    assert command.image is not None
    given = tuple((path, *owners[path]) for path in sorted(owners))
    return replace(command, image=replace(command.image, owners=given))


def without_lent(changes: Sequence[Entry], made: frozenset[str]) -> list[Entry]:
    """Return ``changes`` without what was made to mount on; a folder that the RUN has filled stays."""
    kept = [entry for entry in changes if entry.path not in made]
    filled = {way for entry in kept for way in ancestors(entry.path)}
    return [entry for entry in changes if entry.path not in made or entry.path in filled]


def _missing(paths: Sequence[str], rootfs: LayerStack) -> tuple[str, ...]:
    """Return those of ``paths`` where nothing stands, outer ones first."""
    return tuple(sorted({path for path in paths if rootfs.tree.get(path) is None}))


def _placed(one: ShownPath, rootfs: LayerStack) -> ShownPath:
    """Return a mount at the place that its target leads to inside the image.

    Raises: CommandError for a target that cannot be mounted on.
    """
    tree = rootfs.tree
    try:
        real = tree.resolve_leaf(one.target) if one.is_file else tree.resolve_directory(one.target)
    except DestinationError as error:
        raise CommandError(f"nothing can be mounted at /{one.target}: {error.message}", status=126) from error
    found = tree.get(real)
    is_folder = found is not None and found.kind is Kind.DIRECTORY
    if not real or real.partition("/")[0] in _FOLDERS or (found is not None and is_folder is one.is_file):
        what = "a file" if one.is_file else "a folder"
        raise CommandError(f"{what} cannot be mounted at /{one.target}", status=126, hint="choose another target")
    return replace(one, target=real)


def _is_folder_or_nothing(found: Entry | None) -> bool:
    return found is None or found.kind is Kind.DIRECTORY


def _can_be_lent(found: Entry | None) -> bool:
    return found is None or found.kind in (Kind.FILE, Kind.HARDLINK)


def _check_shell(rootfs: LayerStack) -> None:
    folder, name = _SHELL
    with suppress(DestinationError):
        if rootfs.tree.get(f"{rootfs.tree.resolve_directory(folder)}/{name}") is not None:
            return
    raise CommandError(
        "the image has no /bin/sh, which every RUN inside it needs",
        status=127,
        hint="build on an image with a shell, or run the command before the build and COPY what it makes",
    )
