"""Saving: an image into a file, or into several, all of it or without what the receiver has."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import BinaryIO, Literal

from kubeimage.api.backends import Backends
from kubeimage.api.bringing import departing
from kubeimage.api.finding import ImageName
from kubeimage.api.referrers import chosen_referrers
from kubeimage.archive.bundle import BUNDLE, Bundle, LeftOut
from kubeimage.archive.inventory import Inventory
from kubeimage.archive.outgoing import Outgoing, PartWriter, Slice, write_whole
from kubeimage.archive.tarwriting import TarFile
from kubeimage.disk.wholefile import check_target, whole_file
from kubeimage.disk.wholefolder import check_folder, whole_folder
from kubeimage.errors import UsageError
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import is_layer
from kubeimage.image.oci import Descriptor
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import ALL_REFERRERS, NO_REFERRERS, Referrer, ReferrerChoice
from kubeimage.layer.compression import Coding
from kubeimage.protocols.transfer import Departure, OpenBlob, WireForm, WireImage
from kubeimage.protocols.watching import ignore
from kubeimage.values import dataclass

ArchiveFormat = Literal["oci-archive", "docker-archive", "sealer"]
ARCHIVE_FORMATS: tuple[ArchiveFormat, ...] = ("oci-archive", "docker-archive", "sealer")
STANDARD_STREAM = "-"

BlobObserver = Callable[[Descriptor], object]
"""Hears of each blob that is about to be read or written."""


@dataclass(frozen=True)
class Saved:
    """What was written.

    Shape: ``absent`` counts images that the index names and that the store does not have. ``left_out`` are the layers
           that the receiver has. ``files`` are the parts, or the one file. ``referrers`` are in them, and ``stayed``
           refer to the image as well, and have no room there, or refer to another form of it.
    """

    manifest: Digest
    absent: int = 0
    left_out: tuple[LeftOut, ...] = ()
    files: tuple[str, ...] = ()
    referrers: tuple[Referrer, ...] = ()
    stayed: tuple[Referrer, ...] = ()


def save_image(
    name: ImageName,
    output: str,
    backends: Backends,
    *,
    form: ArchiveFormat = "oci-archive",
    platform: Platform | None = None,
    coding: Coding | None = None,
    since: Inventory | None = None,
    split: int | None = None,
    referrers: ReferrerChoice | None = None,
    observe: BlobObserver = ignore,
) -> Saved:
    """Write an image into the file ``output``; ``-`` is standard output.

    Shape:  equal images give equal files. ``coding`` None leaves layers as they are in the store.
            ``form`` ``sealer`` is an OCI layout whose blobs are what ``push_image`` sends in that form.
            ``referrers`` are what goes along of all that refers to it; None is as the settings say, or all. Only an
            ``oci-archive`` has room for them.
            Layers that ``since`` lists are left out. With ``split``, ``output`` is a folder of parts.
            ``observe`` hears of each blob before it is written.
    Units:  ``split`` in bytes, that no part is larger than.
    Raises: ImageNotFoundError and UsageError before anything is written; StoreError. Then ``output`` is as it was.
    """
    backends.store_on_disk("read")
    _check_request(output, form, coding, split)
    if form == "docker-archive" and referrers:
        raise UsageError(
            "a docker-archive has no room for what refers to an image", hint="save an oci-archive, or --referrers none"
        )
    # Of an image in a registry nobody fetches more than was asked for.
    otherwise = NO_REFERRERS if isinstance(name, str) and name.startswith("docker://") else ALL_REFERRERS
    choice = chosen_referrers(referrers, backends.known_settings(), otherwise=otherwise)
    wanted = replace(_wire_form(form, coding), referrers=choice)
    with departing(name, backends, wanted, platform) as (reference, departure):
        return _save(name, output, reference, departure, form=form, since=since, split=split, observe=observe)


def _save(
    name: ImageName,
    output: str,
    reference: Reference | None,
    departure: Departure,
    *,
    form: ArchiveFormat,
    since: Inventory | None,
    split: int | None,
    observe: BlobObserver,
) -> Saved:
    from kubeimage.archive.outgoing import in_parts

    image = departure.finish()
    if form == "docker-archive" and len(image.manifests) > 1:
        raise UsageError(
            f"a docker-archive holds one platform, and {name} is for {len(image.manifests)}",
            hint="choose one with --platform, or save an oci-archive",
        )
    bundle = _describe(image, reference, since)
    members = _list_members(image, reference, form, bundle)

    def open_blob(blob: Descriptor) -> BinaryIO:
        observe(blob)
        return departure.open_blob(blob)

    files: tuple[str, ...] = (output,)
    if split is None:
        with _opened_output(output) as file:
            write_whole(TarFile(file.write), members, open_blob)
    else:
        files = _write_parts(output, *in_parts(bundle, members, split), open_blob)
    left = (*image.left, *((one.referrer for one in image.referrers) if form == "docker-archive" else ()))
    gone = () if form == "docker-archive" else tuple(one.referrer for one in image.referrers)
    return Saved(image.top.digest, len(image.absent), bundle.left_out, files, gone, tuple(left))


def _check_request(output: str, form: ArchiveFormat, coding: Coding | None, split: int | None) -> None:
    if form == "docker-archive" and coding is not None:
        raise UsageError("a docker-archive holds layers uncompressed", hint="leave out --compression")
    if split is None:
        if output != STANDARD_STREAM:
            check_target(output)
    elif output == STANDARD_STREAM:
        raise UsageError("parts go into a folder, and - is none", hint="name a folder that is not there yet")
    else:
        check_folder(output)


def _describe(image: WireImage, reference: Reference | None, since: Inventory | None) -> Bundle:
    """Say what an archive brings, and which layers it leaves out because the receiver has them."""
    here = since.digests if since is not None else frozenset()
    left = [blob for blob in image.blobs if is_layer(blob.media_type) and blob.digest in here]
    owners = {blob.digest: since.owner_of(blob.digest) for blob in left} if since is not None else {}
    named = {owner for owner in owners.values() if owner is not None}
    return Bundle(
        images=((str(reference) if reference is not None else "", image.top.digest),),
        since={name: digest for name, digest in (since.images if since else {}).items() if name in named},
        left_out=tuple(LeftOut(blob.digest, blob.size, owners[blob.digest]) for blob in left),
    )


def _list_members(image: WireImage, reference: Reference | None, form: ArchiveFormat, bundle: Bundle) -> list[Outgoing]:
    from kubeimage.archive import dockerarchive, ociarchive

    if form == "docker-archive":
        members = dockerarchive.list_members(image.manifests[0], reference)
    else:
        members = ociarchive.list_members(image, reference)
    left = {one.digest for one in bundle.left_out}
    if not left:
        return members
    kept = [one for one in members if not (isinstance(one.content, Descriptor) and one.content.digest in left)]
    return [Outgoing(BUNDLE, bundle.to_bytes()), *kept]


def _write_parts(folder: str, bundle: Bundle, parts: list[list[Slice]], open_blob: OpenBlob) -> tuple[str, ...]:
    """Write all parts into a folder that is there when they are, and return their paths."""
    stem, width = os.path.basename(os.path.abspath(folder)), len(str(len(parts)))
    names = [f"{stem}.{number:0{width}}of{len(parts)}.tar" for number in range(1, len(parts) + 1)]
    with whole_folder(folder, durable=True) as staging, closing(PartWriter(bundle, parts, open_blob)) as writer:
        for number, name in enumerate(names, 1):
            with whole_file(os.path.join(staging, name)) as file:
                writer.write(number, TarFile(file.write))
    return tuple(os.path.join(folder, name) for name in names)


def _wire_form(form: ArchiveFormat, coding: Coding | None) -> WireForm:
    if form == "docker-archive":
        return WireForm("oci", Coding("none"))
    if form == "sealer":
        # sealer v0.8 unpacks gzip alone.
        return WireForm("sealer", coding or Coding("gzip"))
    return WireForm(None, coding)


@contextmanager
def _opened_output(path: str) -> Iterator[BinaryIO]:
    if path == STANDARD_STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with whole_file(path) as file:
        yield file


__all__ = ["ARCHIVE_FORMATS", "ArchiveFormat", "BlobObserver", "Saved", "save_image"]
