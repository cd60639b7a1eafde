"""Container images that lie in archives of the build context, beside the list ``images/skopeo/tar.txt``.

    docker-archive:app.tar@registry.example.com/team/app:v1

They are packed from there, under the names of the list, and no registry is asked for them.

Source: sealos v5, pkg/buildah/imagesaver.go and pkg/registry.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from kubeimage.archive.loading import take_in
from kubeimage.archive.members import MemberFiles, is_compressed, read_members, uncompress
from kubeimage.archive.ociarchive import Incoming
from kubeimage.discovery.finder import decode
from kubeimage.discovery.imagelist import ArchivedImage, archived_images
from kubeimage.discovery.references import familiar, parse_image
from kubeimage.discovery.search import ARCHIVE_LIST
from kubeimage.disk.failures import translated
from kubeimage.disk.smallfile import is_within, read_small
from kubeimage.errors import ArchiveError, KubeimageError, PackingError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.reference import Reference
from kubeimage.image.referring import FoundReferrer
from kubeimage.protocols.transfer import Budget
from kubeimage.store.shelf import BlobShelf


def load_archives(
    context: str, images: frozenset[Reference], shelf: Callable[[], BlobShelf]
) -> dict[Reference, Digest]:
    """Bring those of ``images`` that lie in archives into the store; return what their names lead to.

    Raises: PackingError that names the line of the list; StoreFullError, StoreAccessError.
    """
    loaded: dict[Reference, Digest] = {}
    for line in read_archive_list(context) if images else ():
        if line.image in images and line.image not in loaded:
            loaded[line.image] = _load(context, line, shelf())
    return loaded


def read_archive_list(context: str) -> tuple[ArchivedImage, ...]:
    """Return the images that a build context has in archives; none where it has no list.

    Raises: PackingError.
    """
    try:
        data = read_small(os.path.join(context, ARCHIVE_LIST), within=context)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise PackingError(f"{ARCHIVE_LIST} cannot be read: {error.strerror}") from error
    return tuple(archived_images(decode(data)))


def _load(context: str, line: ArchivedImage, shelf: BlobShelf) -> Digest:
    where = f"{ARCHIVE_LIST}, line {line.line}"
    path = os.path.join(context, os.path.dirname(ARCHIVE_LIST), line.path)
    if not is_within(path, context):
        raise PackingError(f"{where}: the archive {line.path!r} leads out of the build context")
    try:
        with _opened(path) as file:
            members = read_members(file)
            found = _choose(list(take_in(members, _ShelfIntake(shelf))), line.image)
            _check_whole(members)
    except FileNotFoundError as error:
        raise PackingError(
            f"{where}: there is no archive {line.path!r} beside the list", hint="save it there, or take out the line"
        ) from error
    except OSError as error:
        raise PackingError(f"{where}: the archive {line.path!r} cannot be read: {error.strerror}") from error
    except ArchiveError as error:
        raise PackingError(f"{where}: {line.path!r}: {error.message}", hint=error.hint) from error
    digest = Digest.of(found.data)
    shelf.put(digest, len(found.data), [found.data])
    return digest


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """Yield an archive uncompressed. Raises: OSError; ArchiveError, StoreFullError."""
    with open(path, "rb") as file:
        if not is_compressed(file):
            yield file
            return
        with tempfile.TemporaryFile() as scratch:
            with translated("uncompress the archive into", tempfile.gettempdir()):
                uncompress(file, scratch, most=Budget().total)
            yield scratch


def _check_whole(members: MemberFiles) -> None:
    if members.missed:
        raise ArchiveError(f"it leaves out {len(members.missed)} layers", hint="save it without --since")


def _choose(incoming: list[Incoming], wanted: Reference) -> Incoming:
    """Return the image of an archive that is meant: its only one, or the one of that name.

    Raises: ArchiveError.
    """
    if len(incoming) == 1:
        return incoming[0]
    named = {name: one for one in incoming for name in _names(one.references)}
    if wanted not in named:
        known = ", ".join(sorted(map(familiar, named))) or "no name"
        raise ArchiveError(f"it holds {len(incoming)} images, and none is called {familiar(wanted)}, but {known}")
    return named[wanted]


def _names(references: Iterable[Reference]) -> Iterator[Reference]:
    """Yield names as Docker completes them: an archive has them in their short form."""
    for one in references:
        try:
            yield parse_image(one.familiar())
        except KubeimageError:
            continue


class _ShelfIntake:
    """Takes in the blobs of an archive."""

    def __init__(self, shelf: BlobShelf) -> None:
        self._shelf = shelf

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there."""
        return self._shelf.has(descriptor.digest, descriptor.size)

    def put_blob(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        """Keep a blob.

        Raises: BlobCorruptError; StoreFullError, StoreAccessError; whatever ``chunks`` raises.
        """
        self._shelf.put(descriptor.digest, descriptor.size, chunks)

    def put_manifest(self, data: bytes) -> Descriptor:
        """Keep a manifest."""
        digest = Digest.of(data)
        self._shelf.put(digest, len(data), [data])
        return Descriptor("", digest, len(data))

    def put_artifact_blob(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        """Keep a blob of an artefact.

        Raises: as ``put_blob``.
        """
        self._shelf.put(descriptor.digest, descriptor.size, chunks)

    def put_referrer(self, found: FoundReferrer) -> None:
        """Keep the manifests of an artefact."""
        for data in (found.data, *(data for _, data in found.inner)):
            self._shelf.put(Digest.of(data), len(data), [data])
