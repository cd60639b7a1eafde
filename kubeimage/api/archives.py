"""Whole operations on archives: an image into a file, and the images of a file into a store."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Literal

from kubeimage.api.building import default_root
from kubeimage.api.finding import find_image
from kubeimage.archive.tarwriting import TarFile
from kubeimage.disk.wholefile import check_target, whole_file
from kubeimage.errors import ImageNotFoundError, UsageError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Naming, Reference
from kubeimage.layer.compression import Coding
from kubeimage.protocols.images import ImageStore
from kubeimage.protocols.transfer import Arrival, Budget, Intake, OpenBlob, WireForm, WireImage
from kubeimage.store import Store
from kubeimage.store.failures import translated
from kubeimage.values import dataclass

ArchiveFormat = Literal["oci-archive", "docker-archive", "sealer"]
ARCHIVE_FORMATS: tuple[ArchiveFormat, ...] = ("oci-archive", "docker-archive", "sealer")
STANDARD_STREAM = "-"


Tell = Callable[[Descriptor], object]
"""Hears of a blob that is about to be read or written."""


def _keep_quiet(_blob: Descriptor) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class _ToldImporter:
    """Tells of what is taken in."""

    importer: Intake
    tell: Tell

    def has_blob(self, descriptor: Descriptor) -> bool:
        return self.importer.has_blob(descriptor)

    def put_blob(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        self.tell(descriptor)
        self.importer.put_blob(descriptor, chunks)

    def put_manifest(self, data: bytes) -> Descriptor:
        return self.importer.put_manifest(data)


@dataclass(frozen=True)
class Saved:
    """What was written. Shape: ``absent`` counts images that the index names and that the store does not have."""

    manifest: Digest
    absent: int = 0


def save_image(
    name: str,
    output: str,
    *,
    root: str | None = None,
    form: ArchiveFormat = "oci-archive",
    platform: Platform | None = None,
    coding: Coding | None = None,
    naming: Naming | None = None,
    tell: Tell = _keep_quiet,
) -> Saved:
    """Write an image into the file ``output``; ``-`` is standard output.

    Shape:  equal images give equal files. ``coding`` None leaves layers as they are in the store.
            ``form`` ``sealer`` is an OCI layout whose blobs are what ``push_image`` sends in that form.
            ``tell`` hears of each blob before it is written.
    Raises: ImageNotFoundError and UsageError before anything is written; StoreError. Then ``output`` is as it was.
    """
    if output != STANDARD_STREAM:
        check_target(output)
    with Store.open(root or default_root(), create=False, hold=True) as store:
        reference, key = find_manifest(name, store.images, platform, naming)
        wire_form = _wire_form(form, coding)
        departure = store.exporter.depart(key, wire_form, platform)
        image = departure.finish()
        if form == "docker-archive" and len(image.manifests) > 1:
            raise UsageError(
                f"a docker-archive holds one platform, and {name} is for {len(image.manifests)}",
                hint="choose one with --platform, or save an oci-archive",
            )

        def open_blob(blob: Descriptor) -> BinaryIO:
            tell(blob)
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
    name: str, images: ImageStore, platform: Platform | None = None, naming: Naming | None = None
) -> tuple[Reference | None, Reference | Digest]:
    """Give the name that ``name`` is, if it is one, and by what its manifest or index is found.

    Raises: ImageNotFoundError with near names; ReferenceFormatError.
    """
    image, reference = find_image(name, images, platform, naming)
    if reference is not None:
        named = reference.with_tag(reference.tag) if reference.tag else None
        return named, reference
    manifests = [record.manifest for record in images.records() if record.image_id == image.id]
    if not manifests:
        raise ImageNotFoundError(f"no image {name} in the store")
    return None, manifests[0]


@dataclass(frozen=True)
class Loaded:
    """An image that was loaded, and its names."""

    arrival: Arrival
    references: tuple[Reference, ...]


def load_images(
    source: str,
    *,
    root: str | None = None,
    references: Sequence[Reference] = (),
    budget: Budget | None = None,
    tell: Tell = _keep_quiet,
) -> list[Loaded]:
    """Bring all images of the archive ``source`` into the store, or none; ``-`` is standard input.

    Shape:  an OCI archive or a docker-archive, compressed or not. ``references`` take the place of the archive's names,
            where it holds one image. ``tell`` hears of each blob before it is read.
    Raises: UsageError where there is no such file; ArchiveError, BlobCorruptError, LayerError; StoreError.
    """
    from kubeimage.archive.loading import take_in

    budget = budget or Budget()
    with (
        _opened_source(source) as file,
        Store.open(root or default_root()) as store,
        _seekable(file, store, budget.total) as archive,
        store.importing(budget) as importer,
    ):
        incoming = list(take_in(archive, _ToldImporter(importer, tell)))
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
    """Give the archive uncompressed and so that places in it can be found again."""
    from kubeimage.archive.members import is_compressed, uncompress

    if file.seekable() and not is_compressed(file):
        yield file
        return
    with store.snapshots.scratch() as folder, open(os.path.join(folder, "archive"), "w+b") as scratch:
        with translated("uncompress the archive into", folder):
            uncompress(file, scratch, most=most)
        yield scratch
