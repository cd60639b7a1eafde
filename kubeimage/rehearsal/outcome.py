"""What a rehearsal says of each image, and of all of them."""

from __future__ import annotations

from typing import Literal

from kubeimage.discovery.findings import Place, Skipped, Unreadable
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.values import dataclass

Status = Literal["pulled", "missing", "damaged", "other"]
"""How pulling an image ended.

- ``pulled``: the packed registry has all of it.
- ``missing``: the packed registry lacks something, for which a node would ask the internet.
- ``damaged``: the packed registry has something that a node would refuse.
- ``other``: the packed registry has another image in its place.
"""


@dataclass(frozen=True)
class Pulled:
    """What came of pulling one image.

    Shape: ``what`` says what was wrong, empty for nothing. ``digest`` is what the name led to, None where nowhere.
    Units: ``size`` in bytes: manifests, config and layers.
    """

    image: Reference
    status: Status
    what: str = ""
    digest: Digest | None = None
    size: int = 0


@dataclass(frozen=True)
class RehearsedImage:
    """One image that is named. Shape: ``places`` are where, the record of what was packed included."""

    pulled: Pulled
    places: tuple[Place, ...]

    @property
    def image(self) -> Reference:
        """The image's full name."""
        return self.pulled.image

    @property
    def status(self) -> Status:
        """How pulling it ended."""
        return self.pulled.status

    @property
    def asked_host(self) -> str | None:
        """The host that a node would have asked, None where it had no reason to."""
        return self.image.domain if self.status == "missing" else None


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal says.

    Shape: ``images`` are all that are named or were packed, sorted. ``why_together`` says why the node was no process
           in a network of its own, None where it was. ``unreadable`` stands where images are certainly named, and
           names none; ``skipped`` reads as a name and is not packed; ``warnings`` are of files that cannot be read.
    """

    images: tuple[RehearsedImage, ...]
    platform: Platform
    why_together: str | None = None
    unreadable: tuple[Unreadable, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether a cluster without internet would get every image."""
        return not self.unreadable and all(one.status == "pulled" for one in self.images)
