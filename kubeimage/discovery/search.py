"""What is searched for images, and how people overrule what is found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Literal, Protocol

from kubeimage.discovery.references import Choice
from kubeimage.image.compatibility import Dialect
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
RULES_VERSION = "3"

Guesses = Literal["pack", "list", "error"]
"""What becomes of images that something seems to name: packed, only listed, or refused."""

PullImages = Literal["off", "missing", "always", "never"]
"""When registries are asked for container images: with ``off`` none is packed at all."""


@dataclass(frozen=True)
class Values:
    """A values file for charts.

    Shape: ``chart`` None means all of them; ``name`` is the file's, for messages. ``group`` names the set of values
           that it belongs to, empty for one that belongs to all.
    """

    chart: str | None
    name: str
    text: bytes
    group: str = ""


@dataclass(frozen=True)
class Installation:
    """How a chart is installed.

    Shape: ``kube_version`` is the cluster's, None where nobody knows. ``kube_version_is_asked`` says that a person has
           named it, who is to be told where it cannot count.
    """

    namespace: str = "default"
    kube_version: str | None = None
    api_versions: tuple[str, ...] = ()
    kube_version_is_asked: bool = False


@dataclass(frozen=True)
class Search:
    """How to search.

    Shape: ``folders`` are searched for manifests beside ``manifests/``. ``ignored_charts`` are patterns of a chart's
           name, or of its path in the image. ``known_charts`` are identities of charts that need not be rendered.
           ``choice`` overrules what is found. A folder is ``""`` for the image's root. ``kinds`` are files that say
           where custom resources name images. ``listed`` are guesses that were listed and not packed.
           ``whole_context`` says that the build context is searched as well, whatever is copied of it.
    """

    folders: tuple[str, ...] = ()
    values: tuple[Values, ...] = ()
    ignored_charts: tuple[str, ...] = ()
    known_charts: tuple[str, ...] = ()
    choice: Choice = Choice()
    guesses: Guesses = "pack"
    kinds: tuple[bytes, ...] = ()
    listed: tuple[str, ...] = ()
    whole_context: bool = False
    namespace: str | None = None
    namespaces: tuple[tuple[str, str], ...] = ()
    kube_version: str | None = None
    api_versions: tuple[str, ...] = ()

    def installation(self, chart: str, cluster: str | None) -> Installation:
        """Return how the chart at a path of the image is installed on a cluster of that version."""
        return Installation(
            self.namespace or dict(self.namespaces).get(chart, "default"),
            self.kube_version or cluster,
            self.api_versions,
            kube_version_is_asked=self.kube_version is not None,
        )

    def of_kubefile(self, commands: Iterable[str], dialect: Dialect) -> Search:
        """Return a search that heeds the namespaces which the commands name, and searches what the dialect does.

        Source: sealos v5, pkg/buildah/imagesaver.go, which searches the build context.
        """
        from kubeimage.discovery.commands import namespaces_of

        return replace(self, namespaces=namespaces_of(commands), whole_context=dialect == "sealos")

    @property
    def places(self) -> tuple[str, ...]:
        """The beginnings of paths that are looked into at all; the empty one is that of all paths."""
        folders = tuple(f"{folder}/" if folder else "" for folder in (MANIFESTS, CHARTS, *self.folders))
        return (*folders, *IMAGE_LISTS, LISTS_FOLDER, ARCHIVE_LIST)

    @property
    def groups(self) -> tuple[str, ...]:
        """The sets of values that charts are rendered with, one after the other; one without name if there is none."""
        return tuple(sorted({one.group for one in self.values if one.group})) or ("",)

    def ignores_chart(self, path: str, name: str) -> bool:
        """Whether people want the chart passed over."""
        base = path.rpartition("/")[2]
        return any(fnmatchcase(one, pattern) for pattern in self.ignored_charts for one in (path, base, name))

    def fields(self) -> Fields:
        """What of this the result depends on, for a cache key."""
        added = [("add", str(image)) for image in self.choice.added]
        values = [(f"values {one.group}@{one.chart or ''}", str(Digest.of(one.text))) for one in self.values]
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
            ("namespace", self.namespace or ""),
            *((f"namespace of {chart}", one) for chart, one in self.namespaces),
            ("kubernetes", self.kube_version or ""),
            *(("api version", one) for one in self.api_versions),
        )


class Files(Protocol):
    """The files that are searched: of layers, or of a build context."""

    def paths(self) -> Sequence[str]:
        """Return the paths of all files and symlinks, sorted."""
        ...

    def is_symlink(self, path: str) -> bool:
        """Whether a path is a symlink."""
        ...

    def size(self, path: str) -> int:
        """How many bytes a file has."""
        ...

    def read(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Return the contents of these files, in any order.

        Raises: DiscoveryError for a file that is too large; StoreError, ContextError.
        """
        ...
