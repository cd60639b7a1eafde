"""A layer's tar onto a directory: applied to what is there, or unpacked alone as overlayfs wants it.

Both work as an ordinary user, who then owns what root would give to 0:0 and keeps all else; xattrs that the user or the
file system does not allow are left out.

Source: OCI image-spec v1.1, layer.md, "Applying Changesets" and "Whiteouts"; Linux, overlayfs.rst.
"""

from __future__ import annotations

from typing import BinaryIO

from kubeimage.layer.disk import RootDirectory
from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.names import ancestors, parent_of
from kubeimage.layer.reader import Limits, iter_contents, iter_entries

HAS_WHITEOUTS = "overlay.kubeimage.whiteouts"
"""The xattr, behind ``user.`` or ``trusted.``, of a snapshot's root if there are whiteouts in it: nobody need look
through those that have none. Overlayfs shows no xattr of such a name."""


def apply_changeset(root: str, changeset: BinaryIO, *, max_bytes: int | None = None) -> int:
    """Apply a layer's tar on top of the directory ``root``, and return the bytes written.

    Shape:  whiteouts act first, wherever they stand in ``changeset``, which can seek. Before anything is written, all
            of its headers have been read and found good.
    Units:  ``max_bytes`` and the result count file content only.
    Raises: PathEscapeError, LayerFormatError, LayerTooLargeError; StoreFullError, StoreAccessError.
    """
    limits = Limits(max_bytes=max_bytes)
    start = changeset.tell()
    whiteouts = [entry for entry in iter_entries(changeset, limits=limits) if _is_whiteout(entry)]
    changeset.seek(start)
    directory = RootDirectory(root)
    _delete(directory, whiteouts)
    written = sum(
        directory.put(entry, content)
        for entry, content in iter_contents(changeset, limits=limits)
        if not _is_whiteout(entry)
    )
    directory.finish()
    return written


def unpack_snapshot(
    root: str, changeset: BinaryIO, *, userxattr: bool, owned: bool = False, max_bytes: int | None = None
) -> int:
    """Unpack a layer's tar into the empty directory ``root`` as a lower directory of overlayfs; return bytes written.

    Shape:  whiteouts become character devices 0:0, opaque ones an xattr of the directory: ``user.overlay.opaque`` with
            ``userxattr``, for overlays mounted with that option, else ``trusted.overlay.opaque``, which needs root.
            The kernel does not heed an opaque root. Where whiteouts are left, `HAS_WHITEOUTS` marks the root.
            With ``owned``, which needs root, entries are their owners'; else all is root's, or the user's who unpacks.
    Units:  ``max_bytes`` and the result count file content only.
    Raises: PathEscapeError, LayerFormatError, LayerTooLargeError; StoreFullError, StoreAccessError.
    """
    xattrs = "user" if userxattr else "trusted"
    directory = RootDirectory(root, owned=owned)
    whiteouts = []
    written = 0
    for entry, content in iter_contents(changeset, limits=Limits(max_bytes=max_bytes)):
        if _is_whiteout(entry):
            whiteouts.append(entry)
        else:
            written += directory.put(entry, content)
    _hide(directory, whiteouts, xattrs)
    directory.finish()
    return written


def _hide(directory: RootDirectory, whiteouts: list[Entry], xattrs: str) -> None:
    """Hide what ``whiteouts`` name, in the layers below.

    Nothing is below an opaque directory; and the kernel would list a whiteout there, by a name that leads nowhere.
    """
    _make_places(directory, whiteouts)
    opaque = {entry.path for entry in whiteouts if directory.hide_below(entry.path, f"{xattrs}.overlay.opaque")}
    left = [one.path for one in whiteouts if one.path not in opaque and opaque.isdisjoint(["", *ancestors(one.path)])]
    for path in left:
        directory.put_whiteout(path)
    if left:
        directory.mark(f"{xattrs}.{HAS_WHITEOUTS}")


def _is_whiteout(entry: Entry) -> bool:
    return entry.kind is Kind.WHITEOUT or entry.kind is Kind.OPAQUE


def _delete(directory: RootDirectory, whiteouts: list[Entry]) -> None:
    """Delete what ``whiteouts`` name, outer ones first, and make directories of what they stand in.

    Sorted so, none deletes a directory that another has been looked for in, or has emptied.
    """
    for entry in sorted(whiteouts, key=lambda entry: (entry.path, entry.kind is Kind.OPAQUE)):
        if entry.kind is Kind.WHITEOUT:
            directory.remove(entry.path)
        else:
            directory.empty(entry.path)
    _make_places(directory, whiteouts)


def _make_places(directory: RootDirectory, whiteouts: list[Entry]) -> None:
    """Make directories of what ``whiteouts`` stand in."""
    for entry in whiteouts:
        directory.enter(parent_of(entry.path) if entry.kind is Kind.WHITEOUT else entry.path)
