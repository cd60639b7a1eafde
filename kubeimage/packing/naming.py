"""What an image names and what was packed into it: what the proof and the rehearsal go by."""

from __future__ import annotations

from collections.abc import Mapping

from kubeimage.discovery.finder import find_images
from kubeimage.discovery.findings import Findings, Skipped
from kubeimage.discovery.references import Choice, familiar
from kubeimage.discovery.search import Search
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.packing.files import LayerFiles
from kubeimage.packing.record import RECORD, Record
from kubeimage.packing.search import choose_renderer
from kubeimage.values import dataclass


@dataclass(frozen=True)
class Named:
    """What is named. Shape: ``record`` is empty where nothing says what was packed."""

    findings: Findings
    record: Record

    @property
    def wanted(self) -> Mapping[Reference, Digest | None]:
        """Every image that has to be there, with its digest where that is recorded."""
        return {**dict.fromkeys(self.findings.images), **self.record.images}

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The texts that read as names of images that are not wanted."""
        names = {spelling for image in self.wanted for spelling in (str(image), familiar(image))}
        return tuple(one for one in self.findings.left_names if one.text not in names)


def read_named(files: LayerFiles, kinds: tuple[bytes, ...] = ()) -> Named:
    """Return what the files of an image name; ``kinds`` are files that say where custom resources name images.

    Charts that were searched when they were packed are not rendered again: what they name is recorded.
    Raises: DiscoveryError, PackingError, StoreError.
    """
    record = read_record(files)
    search = Search(
        choice=Choice(ignored=record.ignored), known_charts=record.charts, listed=record.listed, kinds=kinds
    )
    return Named(find_images(files, search, choose_renderer()[1]), record)


def read_record(files: LayerFiles) -> Record:
    """Return the record of what was packed, an empty one where there is none.

    Raises: PackingError for one that cannot be read; StoreError.
    """
    for _, data in files.read([RECORD] if RECORD in files.tree else []):
        return Record.from_bytes(data)
    return Record({})
