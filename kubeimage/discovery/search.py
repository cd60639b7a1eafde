"""What is searched for images, and how people overrule what is found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Literal, Protocol

from kubeimage.discovery.references import Choice
from kubeimage.image.digest import Digest
from kubeimage.protocols.cachekey import Fields
from kubeimage.values import dataclass

MANIFESTS = "manifests"
CHARTS = "charts"
IMAGE_LISTS = ("manifests/imageList", "imageList")
LISTS_FOLDER = "images/shim/"
ARCHIVE_LIST = "images/skopeo/tar.txt"
MANIFEST_SUFFIXES = (".yaml", ".yml", ".tmpl", ".json")
OWN_FOLDER = "registry/"
VALUES_SUFFIXES = (".values.yaml", ".values.yml")
RULES_VERSION = "2"

Guesses = Literal["pack", "list", "error"]
"""What becomes of images that something seems to name: packed, only listed, or refused."""

PullImages = Literal["off", "missing", "always", "never"]
"""When registries are asked for container images: with ``off`` none is packed at all."""


@dataclass(frozen=True)
class Values:
    """A values file for charts.

    Shape: ``chart`` None means all of them; ``name`` is the file's, for messages.
    """

    chart: str | None
    name: str
    text: bytes


@dataclass(frozen=True)
class Search:
    """How to search.

    Shape: ``folders`` are searched for manifests beside ``manifests/``. ``ignored_charts`` are patterns of a chart's
           name, or of its path in the image. ``known_charts`` are identities of charts that need not be rendered.
           ``choice`` overrules what is found. A folder is ``""`` for the image's root. ``kinds`` are files that say
           where custom resources name images. ``listed`` are guesses that were listed and not packed.
    """

    folders: tuple[str, ...] = ()
    values: tuple[Values, ...] = ()
    ignored_charts: tuple[str, ...] = ()
    known_charts: tuple[str, ...] = ()
    choice: Choice = Choice()
    guesses: Guesses = "pack"
    kinds: tuple[bytes, ...] = ()
    listed: tuple[str, ...] = ()

    def ignores_chart(self, path: str, name: str) -> bool:
        """Whether people want the chart passed over."""
        base = path.rpartition("/")[2]
        return any(fnmatchcase(one, pattern) for pattern in self.ignored_charts for one in (path, base, name))

    def fields(self) -> Fields:
        """What of this the result depends on, for a cache key."""
        added = [("add", str(image)) for image in self.choice.added]
        values = [(f"values {one.chart or ''}", str(Digest.of(one.text))) for one in self.values]
        return (
            ("rules", RULES_VERSION),
            *(("folder", one) for one in self.folders),
            *values,
            *(("ignored chart", one) for one in self.ignored_charts),
            *(("ignored image", one) for one in self.choice.ignored),
            *added,
            ("guesses", self.guesses),
            *(("kinds", str(Digest.of(one))) for one in self.kinds),
            *(("listed guess", one) for one in self.listed),
        )


class Files(Protocol):
    """The files that are searched: of layers, or of a build context."""

    def paths(self) -> Sequence[str]:
        """Give the paths of all files and symlinks, sorted."""
        ...

    def is_symlink(self, path: str) -> bool:
        """Whether a path is a symlink."""
        ...

    def size(self, path: str) -> int:
        """How many bytes a file has."""
        ...

    def read(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Give the contents of these files, in any order.

        Raises: DiscoveryError for a file that is too large; StoreError, ContextError.
        """
        ...
