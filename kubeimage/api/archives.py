"""Whole operations on archives: an image into a file, and the images of a file into a store."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Literal

from kubeimage.api.backends import Backends
from kubeimage.api.finding import ImageName, find_image
from kubeimage.archive.tarwriting import TarFile
from kubeimage.disk.wholefile import check_target, whole_file
from kubeimage.errors import ImageNotFoundError, UsageError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.layer.compression import Coding
from kubeimage.protocols.transfer import Arrival, Budget, Intake, OpenBlob, WireForm, WireImage
from kubeimage.protocols.watching import ignore
from kubeimage.store import Store
from kubeimage.store.failures import translated
from kubeimage.values import dataclass

ArchiveFormat = Literal["oci-archive", "docker-archive", "sealer"]
ARCHIVE_FORMATS: tuple[ArchiveFormat, ...] = ("oci-archive", "docker-archive", "sealer")
STANDARD_STREAM = "-"

BlobObserver = Callable[[Descriptor], object]
"""Hears of each blob that is about to be read or written."""


@dataclass(frozen=True)
class _WatchedIntake:
    """Reports what is taken in."""

    importer: Intake
    observe: BlobObserver

    def has_blob(self, descriptor: Descriptor) -> bool:
        return self.importer.has_blob(descriptor)

    def put_blob(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        self.observe(descriptor)
        self.importer.put_blob(descriptor, chunks)

    def put_manifest(self, data: bytes) -> Descriptor:
        return self.importer.put_manifest(data)


@dataclass(frozen=True)
class Saved:
    """What was written. Shape: ``absent`` counts images that the index names and that the store does not have."""

    manifest: Digest
    absent: int = 0


def save_image(
    name: ImageName,
    output: str,
    backends: Backends,
    *,
    form: ArchiveFormat = "oci-archive",
    platform: Platform | None = None,
    coding: Coding | None = None,
    observe: BlobObserver = ignore,
) -> Saved:
    """Write an image into the file ``output``; ``-`` is standard output.

    Shape:  equal images give equal files. ``coding`` None leaves layers as they are in the store.
            ``form`` ``sealer`` is an OCI layout whose blobs are what ``push_image`` sends in that form.
            ``observe`` hears of each blob before it is written.
    Raises: ImageNotFoundError and UsageError before anything is written; StoreError. Then ``output`` is as it was.
    """
    store = backends.store_on_disk("read")
    is_docker = form == "docker-archive"
    if is_docker and coding is not None:
        raise UsageError("a docker-archive holds layers uncompressed", hint="leave out --compression")
    if output != STANDARD_STREAM:
        check_target(output)
    reference, key = find_manifest(name, backends, platform=platform)
    departure = store.exporter.depart(key, _wire_form(form, coding), platform)
    image = departure.finish()
    if is_docker and len(image.manifests) > 1:
        raise UsageError(
            f"a docker-archive holds one platform, and {name} is for {len(image.manifests)}",
            hint="choose one with --platform, or save an oci-archive",
        )

    def open_blob(blob: Descriptor) -> BinaryIO:
        observe(blob)
        return departure.open_blob(blob)

    with _opened_output(output) as file:
        _write(TarFile(file.write), open_blob, image, reference, form)
    return Saved(image.top.digest, len(image.absent))


def _wire_form(form: ArchiveFormat, coding: Coding | None) -> WireForm:
    if form == "docker-archive":
        return WireForm("oci", Coding("none"))
    if form == "sealer":
        # sealer v0.8 unpacks gzip alone.
        return WireForm("sealer", coding or Coding("gzip"))
    return WireForm(None, coding)


def _write(
    tar: TarFile, open_blob: OpenBlob, image: WireImage, reference: Reference | None, form: ArchiveFormat
) -> None:
    from kubeimage.archive import dockerarchive, ociarchive

    if form == "docker-archive":
        dockerarchive.write(tar, open_blob, image.manifests[0], reference)
    else:
        ociarchive.write(tar, open_blob, image, reference)


@contextmanager
def _opened_output(path: str) -> Iterator[BinaryIO]:
    if path == STANDARD_STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with whole_file(path) as file:
        yield file


def find_manifest(
    name: ImageName, backends: Backends, *, platform: Platform | None = None
) -> tuple[Reference | None, Reference | Digest]:
    """Return the name that ``name`` is, if it is one, and by what its manifest or index is found.

    Raises: ImageNotFoundError with near names; ReferenceFormatError.
    """
    image, reference = find_image(name, backends, platform=platform)
    if reference is not None:
        named = reference.with_tag(reference.tag) if reference.tag else None
        return named, reference
    manifests = [record.manifest for record in backends.images.records() if record.image_id == image.id]
    if not manifests:
        raise ImageNotFoundError(f"no image {image.id if isinstance(name, Image) else name} in the store")
    return None, manifests[0]


@dataclass(frozen=True)
class Loaded:
    """An image that was loaded, and its names."""

    arrival: Arrival
    references: tuple[Reference, ...]


def load_images(
    source: str,
    backends: Backends,
    *,
    references: Sequence[Reference] = (),
    budget: Budget | None = None,
    observe: BlobObserver = ignore,
) -> list[Loaded]:
    """Bring all images of the archive ``source`` into the store, or none; ``-`` is standard input.

    Shape:  an OCI archive or a docker-archive, compressed or not. ``references`` take the place of the archive's names,
            where it holds one image. ``observe`` hears of each blob before it is read.
    Raises: UsageError where there is no such file; ArchiveError, BlobCorruptError, LayerError; StoreError.
    """
    from kubeimage.archive.loading import take_in

    store = backends.store_on_disk("write")
    budget = budget or Budget()
    with (
        _opened_source(source) as file,
        _seekable(file, store, budget.total) as archive,
        store.importing(budget) as importer,
    ):
        incoming = list(take_in(archive, _WatchedIntake(importer, observe)))
        if references and len(incoming) > 1:
            raise UsageError(
                f"the archive holds {len(incoming)} images, and one name cannot be all of theirs",
                hint="load it without --tag, then name them with kubeimage tag",
            )
        named = [(one.data, tuple(references) or one.references) for one in incoming]
        arrivals = importer.commit_all(named)
    return [Loaded(arrival, names) for arrival, (_, names) in zip(arrivals, named, strict=True)]


@contextmanager
def _opened_source(path: str) -> Iterator[BinaryIO]:
    if path == STANDARD_STREAM:
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: SIM115  it is closed below
    except FileNotFoundError:
        raise UsageError(f"there is no file {path!r}") from None
    except IsADirectoryError:
        raise UsageError(f"{path!r} is a folder, not an archive", hint="pack it first: tar -C DIR -cf FILE .") from None
    except OSError as error:
        raise UsageError(f"cannot read {path!r}: {error.strerror}") from error
    with file:
        yield file


@contextmanager
def _seekable(file: BinaryIO, store: Store, most: int) -> Iterator[BinaryIO]:
    """Yield the archive uncompressed and so that places in it can be found again."""
    from kubeimage.archive.members import is_compressed, uncompress

    if file.seekable() and not is_compressed(file):
        yield file
        return
    with store.snapshots.scratch() as folder, open(os.path.join(folder, "archive"), "w+b") as scratch:
        with translated("uncompress the archive into", folder):
            uncompress(file, scratch, most=most)
        yield scratch


__all__ = ["ARCHIVE_FORMATS", "ArchiveFormat", "BlobObserver", "Loaded", "Saved", "load_images", "save_image"]
