"""Loading: the images of files into a store, whether each is whole, leaves something out, or is a part of several."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import field
from typing import BinaryIO

from kubeimage.api.archives import STANDARD_STREAM, BlobObserver
from kubeimage.api.backends import Backends
from kubeimage.api.referrers import chosen_referrers
from kubeimage.archive.members import FolderMembers, MemberFiles, Members
from kubeimage.archive.parts import Part, is_part, join_parts, read_part
from kubeimage.errors import ArchiveError, BlobCorruptError, BlobNotFoundError, ImageNotFoundError, UsageError
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import compression_of, is_layer
from kubeimage.image.oci import Descriptor
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import ALL_REFERRERS, ReferrerChoice
from kubeimage.image.referring import FoundReferrer
from kubeimage.protocols.transfer import Arrival, Budget, Intake, WireForm
from kubeimage.protocols.watching import ignore
from kubeimage.store import Store
from kubeimage.store.failures import translated
from kubeimage.values import dataclass

_TOLD = 3


@dataclass(frozen=True)
class _WatchedIntake:
    """Reports what is taken in. Shape: ``known`` are layers that the store had; ``manifests`` those that came."""

    importer: Intake
    observe: BlobObserver
    known: dict[Digest, Descriptor] = field(default_factory=dict)
    manifests: dict[Digest, bytes] = field(default_factory=dict)

    def has_blob(self, descriptor: Descriptor) -> bool:
        found = self.importer.has_blob(descriptor)
        if found and is_layer(descriptor.media_type):
            self.known[descriptor.digest] = descriptor
        return found

    def put_blob(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        self.observe(descriptor)
        self.importer.put_blob(descriptor, chunks)

    def put_manifest(self, data: bytes) -> Descriptor:
        described = self.importer.put_manifest(data)
        self.manifests[described.digest] = data
        return described

    def put_artifact_blob(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:
        self.observe(descriptor)
        self.importer.put_artifact_blob(descriptor, chunks)

    def put_referrer(self, found: FoundReferrer) -> None:
        self.importer.put_referrer(found)


@dataclass(frozen=True)
class Loaded:
    """An image that was loaded, and its names."""

    arrival: Arrival
    references: tuple[Reference, ...]


def load_images(
    source: str | Sequence[str],
    backends: Backends,
    *,
    references: Sequence[Reference] = (),
    budget: Budget | None = None,
    referrers: ReferrerChoice | None = None,
    notice: Callable[[str], object] = ignore,
    observe: BlobObserver = ignore,
) -> list[Loaded]:
    """Bring all images of archives into the store, or none; ``-`` is standard input.

    Shape:  ``source`` is a file, a folder of files, an OCI image layout in a folder, or several of them, in any order.
            A file is an OCI archive or a docker-archive, compressed or not, whole, without what the receiver has, or a
            part of one.
            ``referrers`` are what comes along of all that refers to the images; None is as the settings say, or all.
            ``references`` take the place of the archive's names, where there is one image.
            ``notice`` hears, before anything is shown, where the store is not as the one was that layers were left out
            for. ``observe`` hears of each blob before it is read.
    Raises: UsageError where there is no such file; ArchiveError, BlobCorruptError, LayerError; StoreError;
            TrustError where the policy of the settings refuses an image.
    """
    from kubeimage.archive.loading import take_in

    store = backends.store_on_disk("write")
    budget = budget or Budget()
    sources = [source] if isinstance(source, str) else [*source]
    with ExitStack() as stack:
        importer = stack.enter_context(store.importing(budget))
        archives = open_archives(sources, store, budget.total, stack)
        intake = _WatchedIntake(importer, observe)
        choice = chosen_referrers(referrers, backends.known_settings(), otherwise=ALL_REFERRERS)
        incoming = [one for members in archives for one in take_in(members, intake, choice)]
        if references and len(incoming) > 1:
            raise UsageError(
                f"the archive holds {len(incoming)} images, and one name cannot be all of theirs",
                hint="load it without --tag, then name them with kubeimage tag",
            )
        named = [one._replace(references=tuple(references) or one.references) for one in incoming]
        if backends.trust:
            from kubeimage.api.trusting import check_loaded

            check_loaded(archives, named, intake.manifests, store, backends.trust)
        _check_left_out(archives, importer, store)
        for message in _notices(archives, intake, store):
            notice(message)
        arrivals = importer.commit_all([(one.data, one.references) for one in named])
    return [Loaded(arrival, one.references) for arrival, one in zip(arrivals, named, strict=True)]


def check_archives(source: str | Sequence[str], backends: Backends) -> list[str]:
    """Verify parts, each alone, and return a line about each; nothing is loaded, and others may be missing.

    Raises: UsageError where there is no such file, or one that is no part; ArchiveError that names what is damaged.
    """
    from kubeimage.archive.members import read_members

    store = backends.store_on_disk("look")
    lines = []
    for where in _expanded([source] if isinstance(source, str) else source):
        with _opened_source(where) as file, _seekable(file, store, Budget().total) as archive:
            members = _named(where, lambda: read_members(archive))
            if not is_part(members):
                raise UsageError(f"{where} is no part of a bundle", hint="kubeimage load verifies it as it loads it")
            part = read_part(where, members)
            part.verify()
            lines.append(part.described)
    return lines


def open_archives(sources: Sequence[str], store: Store, most: int, stack: ExitStack) -> list[MemberFiles]:
    """Open archives until ``stack`` is closed, and put parts together.

    Raises: UsageError where there is no such file; ArchiveError that names each file that is damaged, and each part
        that is missing.
    """
    from kubeimage.archive.members import read_members

    whole: list[MemberFiles] = []
    parts: list[Part] = []
    problems: list[ArchiveError] = []
    files = _expanded(sources)
    for where in files:
        if os.path.isdir(where):
            whole.append(FolderMembers(where))
            continue
        archive = stack.enter_context(_seekable(stack.enter_context(_opened_source(where)), store, most))
        try:
            members = read_members(archive)
            if is_part(members):
                parts.append(read_part(where, members))
            else:
                whole.append(members)
        except ArchiveError as error:
            if len(files) == 1:
                raise
            problems.append(error if where in error.message else ArchiveError(f"{where}: {error}", hint=error.hint))
    try:
        joined = join_parts(parts)
    except ArchiveError as error:
        problems.append(error)
    if problems:
        raise ArchiveError("; ".join(error.message for error in problems), hint=problems[-1].hint)
    return [*whole, *joined]


def _named(where: str, read: Callable[[], Members]) -> Members:
    try:
        return read()
    except ArchiveError as error:
        raise ArchiveError(f"{where}: {error.message}", hint=error.hint) from error


def _expanded(sources: Sequence[str]) -> list[str]:
    """Return the files, those of folders included; a folder that is an image layout stays one."""
    found: list[str] = []
    for source in sources:
        if source == STANDARD_STREAM or not os.path.isdir(source):
            found.append(source)
            continue
        inside = _files_in(source)
        if not inside:
            raise UsageError(
                f"{source!r} is a folder, not an archive: there is no file in the folder",
                hint="name archives, a folder of them, or an OCI layout",
            )
        found += [source] if os.path.join(source, "oci-layout") in inside else inside
    return found


def _files_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as listed:
            return sorted(one.path for one in listed if one.is_file() and not one.name.startswith("."))
    except OSError as error:
        raise UsageError(f"cannot read {folder!r}: {error.strerror}") from error


def _check_left_out(archives: Sequence[MemberFiles], importer: Intake, store: Store) -> None:
    """Find out whether all is here that archives leave out.

    Raises: ArchiveError that names it.
    """
    lacking = [
        members.left_out[blob.digest]
        for members in archives
        for blob in members.missed
        if not (importer.has_blob(blob) or _make_tar(blob, store))
    ]
    if not lacking:
        return
    owners = sorted({str(one.image) for one in lacking if one.image is not None})
    told = ", ".join(f"{one.digest}{f' of {one.image}' if one.image else ''}" for one in lacking[:_TOLD])
    more = f" and {len(lacking) - _TOLD} more" if len(lacking) > _TOLD else ""
    first = f"load {' and '.join(owners[:_TOLD])} first; or " if owners else ""
    raise ArchiveError(
        f"the archive leaves out {_layers(lacking)} that this store does not have: {told}{more}",
        hint=f"{first}save it again with --since and what kubeimage inventory prints for this store",
    )


def _make_tar(blob: Descriptor, store: Store) -> bool:
    """Make the tar of a layer that the store has compressed."""
    if compression_of(blob.media_type) != "none" or not store.layers.has(blob.digest):
        return False
    store.layers.materialise(blob.digest)
    return True


def _notices(archives: Sequence[MemberFiles], intake: _WatchedIntake, store: Store) -> Iterator[str]:
    """Say where the store is not as its inventory said, and which names move."""
    strays = [digest for members in archives for digest in members.strays]
    if strays:
        told = ", ".join(map(str, strays[:_TOLD])) + (", …" if len(strays) > _TOLD else "")
        yield f"what refers to images that did not come is left out: {told}"
    for bundle in (members.bundle for members in archives if members.bundle is not None):
        for name, then in bundle.since.items():
            now = _top_of(store, name)
            if now is None:
                yield f"{name}, which has layers that were left out, is no name in this store now"
            elif now != then:
                yield f"{name} was {then} when its layers were left out, and is {now} in this store"
        left = {one.digest for one in bundle.left_out}
        more = [blob for digest, blob in intake.known.items() if digest not in left]
        if more:
            told = ", ".join(str(blob.digest) for blob in more[:_TOLD]) + (", …" if len(more) > _TOLD else "")
            yield f"this store has {_layers(more)} more than its inventory said, which came for nothing: {told}"
        for text, brought in bundle.images:
            before = _top_of(store, Reference.parse(text)) if text else None
            if before is not None and before != brought:
                yield f"{text} moves from {before} to {brought}"


def _layers(listed: Sequence[object]) -> str:
    return "1 layer" if len(listed) == 1 else f"{len(listed)} layers"


def _top_of(store: Store, name: Reference) -> Digest | None:
    try:
        return store.exporter.depart(name, WireForm()).finish().top.digest
    except (ImageNotFoundError, BlobNotFoundError, BlobCorruptError):
        return None


@contextmanager
def _opened_source(path: str) -> Iterator[BinaryIO]:
    if path == STANDARD_STREAM:
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: SIM115  it is closed below
    except FileNotFoundError:
        raise UsageError(f"there is no file {path!r}") from None
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


__all__ = ["Loaded", "check_archives", "load_images"]
