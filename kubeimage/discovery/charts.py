"""Charts: found as folders and archives, rendered as a user would install them, and read as the manifests they make.

What renders them is somebody else: helm-python-sdk, or the helm program.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Protocol

from kubeimage.discovery.documents import Document, Node, iter_documents
from kubeimage.discovery.findings import Findings, Found, KubeVersion, Notebook, Place, Skipped, Unreadable
from kubeimage.discovery.kinds import Kinds
from kubeimage.discovery.manifests import find_in_manifest
from kubeimage.discovery.names import TEMPLATE, suggest
from kubeimage.discovery.references import has_template, read_name
from kubeimage.discovery.search import Installation
from kubeimage.errors import ChartError
from kubeimage.image.digest import Digest
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.values import dataclass

CHART_FILE = "Chart.yaml"
RULE_ANNOTATION = "helm.sh/images"
VALUES_FILE = "values.yaml"
LOCK_FILE = "Images.lock"
ONLY_IN_VALUES = "only the chart's values name it, and nothing that it renders to"
"""Why an image of a chart was passed over that is switched off."""
# The last one is Bitnami's.
_ANNOTATIONS = ("helm.sh/images", "artifacthub.io/images", "images")
_ARCHIVES = (".tgz", ".tar.gz")
_RELEASE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,51}[a-z0-9])?")


@dataclass(frozen=True)
class Chart:
    """One chart.

    Shape: ``path`` is where it stands in the image; ``files`` are its own, by their paths below it, with those of its
           sub-charts. ``values`` are the texts of values files, the later ones counting more.
    """

    path: str
    files: Mapping[str, bytes]
    values: tuple[bytes, ...] = ()

    @property
    def description(self) -> Mapping[str, Node]:
        """What its Chart.yaml says.

        Raises: ChartError where that is no mapping.
        """
        return read_mapping(self.files[CHART_FILE], f"{self.path}: {CHART_FILE}")

    @property
    def name(self) -> str:
        """Its name.

        Raises: ChartError.
        """
        name = self.description.get("name")
        if not isinstance(name, str) or not name:
            raise ChartError(f"the chart {self.path} has no name in its {CHART_FILE}")
        return name

    @property
    def release(self) -> str:
        """What an installation of it is called: its name, where that can be one.

        Raises: ChartError.
        """
        return self.name if _RELEASE.fullmatch(self.name) else "release"


@dataclass(frozen=True)
class Rendered:
    """What a chart makes.

    Shape: ``manifests`` are by the path of their template, as in ``app/charts/db/templates/job.yaml``, hooks and CRDs
           included. ``missing`` are dependencies that it needs and that are not in it.
    """

    manifests: Mapping[str, str]
    missing: tuple[str, ...] = field(default=())


class Renderer(Protocol):
    """Renders charts, without a cluster and without network."""

    def render(self, chart: Chart, installation: Installation) -> Rendered:
        """Render ``chart`` as it would be installed.

        Raises: ChartError with what failed.
        """
        ...


def read_mapping(data: bytes, what: str) -> Mapping[str, Node]:
    """Read a YAML file that holds one mapping, or nothing.

    Raises: ChartError that names ``what``.
    """
    try:
        documents = list(iter_documents(data.decode("utf-8")))
    except UnicodeDecodeError:
        raise ChartError(f"{what} is not UTF-8") from None
    for document in documents[:1]:
        if document.problem is not None:
            raise ChartError(f"{what} is not YAML: {document.problem}")
        if isinstance(document.value, dict):
            return document.value
        if document.value not in (None, ""):
            raise ChartError(f"{what} is not a mapping")
    return {}


def find_in_chart(chart: Chart, renderer: Renderer, installation: Installation, kinds: Kinds) -> Findings:
    """Render ``chart`` and find the images that it names, with the Kubernetes versions that it asks for.

    Raises: ChartError.
    """
    description, notes = chart.description, Notebook()
    if description.get("type") == "library":
        place = Place(chart.path)
        notes.skipped.append(Skipped(chart.path, place, "a library chart: it is only installed as part of others"))
        return notes.close()
    rendered = renderer.render(chart, installation)
    if rendered.missing:
        names = ", ".join(rendered.missing)
        raise ChartError(
            f"the chart {chart.path} needs {names}, and its charts/ has none of that name",
            hint="fetch what it depends on: helm dependency build",
        )
    for template, text in rendered.manifests.items():
        if template.rpartition("/")[2] != "NOTES.txt":
            notes.add(find_in_manifest(text, f"{chart.path}!{template}", kinds))
    for folder in _live_charts(chart, rendered):
        notes.add(_read_description(chart, folder))
    notes.add(_find_in_values(chart, notes.close(), kinds))
    return notes.close()


def _find_in_values(chart: Chart, shown: Findings, kinds: Kinds) -> Findings:
    """List the images that values name and nothing that was rendered: they are of what is switched off."""
    notes = Notebook()
    found = {found.image for found in shown.found}
    repositories = {(image.domain, image.repository) for image in found}
    for path in sorted(path for path in chart.files if path.rpartition("/")[2] == VALUES_FILE):
        text = chart.files[path].decode("utf-8", "replace")
        for one in find_in_manifest(text, f"{chart.path}!{path}", kinds).found:
            if one.image not in found and (one.image.domain, one.image.repository) not in repositories:
                notes.skipped.append(Skipped(str(one.image), one.place, ONLY_IN_VALUES))
    return notes.close()


def _live_charts(chart: Chart, rendered: Rendered) -> Iterator[str]:
    """Yield the folders, in the chart, of it and of those of its sub-charts that are switched on."""
    yield ""
    own = f"{chart.name}/"
    for path in sorted(chart.files):
        folder, _, name = path.rpartition("/")
        if name == CHART_FILE and folder and any(one.startswith(f"{own}{folder}/") for one in rendered.manifests):
            yield f"{folder}/"


def _read_description(chart: Chart, folder: str) -> Findings:
    """Read annotations and kubeVersion of a chart or sub-chart."""
    notes = Notebook()
    file = f"{chart.path}!{folder}{CHART_FILE}"
    description = read_mapping(chart.files[folder + CHART_FILE], file)
    constraint = description.get("kubeVersion")
    if isinstance(constraint, str) and constraint.strip():
        notes.kube_versions.append(KubeVersion(f"{chart.path}!{folder}".rstrip("!/"), constraint.strip()))
    annotations = description.get("annotations")
    for key in _ANNOTATIONS:
        text = annotations.get(key) if isinstance(annotations, dict) else None
        if isinstance(text, str):
            notes.add(_read_images(next(iter_documents(text), None), text, file, f"annotations[{key!r}]"))
    lock = folder + LOCK_FILE
    if lock in chart.files:
        images = read_mapping(chart.files[lock], f"{chart.path}!{lock}").get("images")
        notes.add(_read_images(Document(1, 1, "", images), "", f"{chart.path}!{lock}", "images"))
    return notes.close()


def _read_images(document: Document | None, text: str, file: str, path: str) -> Findings:
    """Read a list of ``name`` and ``image``."""
    notes = Notebook()
    value = document.value if document is not None else None
    for number, item in enumerate(value if isinstance(value, list) else ()):
        place = Place(file, path=f"{path}[{number}]")
        name = item.get("image") if isinstance(item, dict) else item
        if not isinstance(name, str):
            notes.skipped.append(Skipped(str(item)[:200], place, "no image"))
            continue
        image = read_name(name, certain=True)
        if not isinstance(image, str):
            notes.found.append(Found(image, place, RULE_ANNOTATION))
        elif has_template(name):
            notes.skipped.append(Skipped(name, place, TEMPLATE))
        else:
            notes.unreadable.append(Unreadable(name, place, 0, image, suggest(name)))
    if not isinstance(value, list):
        notes.skipped.append(Skipped(text[:200], Place(file, path=path), "not a list"))
    return notes.close()


def identify(path: str, files: Mapping[str, bytes]) -> str:
    """Return a chart's path with the digest of all that it is."""
    fields = tuple((name, str(Digest.of(data))) for name, data in sorted(files.items()))
    return f"{path} {CacheKey(None, fields).digest}"


def is_archive(path: str) -> bool:
    """Whether a file is called as packed charts are."""
    return path.endswith(_ARCHIVES)


def chart_folders(paths: Sequence[str]) -> tuple[str, ...]:
    """Return the folders below ``charts/`` that are charts, without the sub-charts in them."""
    folders = sorted(path.removesuffix(f"/{CHART_FILE}") for path in paths if path.endswith(f"/{CHART_FILE}"))
    found: list[str] = []
    for folder in folders:
        if not found or not folder.startswith(f"{found[-1]}/"):
            found.append(folder)
    return tuple(found)
