"""Discovery on the layers of a build, remembered by their digests: what has not changed is not searched again."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kubeimage.discovery.findings import Findings, Found, KubeVersion, Place, Skipped, Unreadable
from kubeimage.discovery.references import parse_image
from kubeimage.discovery.search import Search
from kubeimage.errors import ChartError, KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.layer.stack import StackedLayer
from kubeimage.layer.table import iter_paths
from kubeimage.packing.memory import Memory
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.layers import LayerStore

if TYPE_CHECKING:
    from kubeimage.discovery.charts import Renderer

_VERSION = "2"


def choose_renderer() -> tuple[str, Callable[[], Renderer]]:
    """Return what renders charts, with a name that changes when it does; nothing is loaded before it is called.

    Calling it raises ChartError where there is neither helm-python-sdk nor the helm program.
    """
    from importlib.util import find_spec

    from kubeimage.discovery.helmprogram import ProgramRenderer, find_program

    if find_spec("helm_python") is not None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            return f"library {version('helm-python-sdk')}", _library
        except PackageNotFoundError:
            return "library", _library
    program = find_program()
    if program is not None:
        return f"program {program} {os.stat(program).st_mtime_ns}", lambda: ProgramRenderer(program)
    return "none", _nothing


def _library() -> Renderer:
    from kubeimage.discovery.helm import LibraryRenderer

    return LibraryRenderer()


def _nothing() -> Renderer:
    raise ChartError(
        "there are charts, and nothing that renders them",
        hint="install it: pip install 'kubeimage[helm]', or put the helm program on PATH; "
        "or pass the charts over: --ignore-chart '*'",
    )


def find_and_remember(
    layers: LayerStore, made: Sequence[StackedLayer], search: Search, memory: Memory, kube_version: str | None
) -> Findings:
    """Find the images that the layers name, those of charts as well; layers that were searched so before are not again.

    Raises: DiscoveryError, StoreError.
    """
    identity, renderer = choose_renderer()
    fields = [("kind", "DISCOVER"), ("format", _VERSION), ("renderer", identity), ("cluster", kube_version or "")]
    fields += [("layer", str(layer.diff_id)) for layer in made]
    key = str(CacheKey(None, (*fields, *search.fields())).digest)
    known = _from_json(memory.get("findings", key))
    if known is not None:
        return known
    findings = find_in_layers(layers, made, search, renderer, kube_version)
    memory.put("findings", key, _to_json(findings))
    return findings


def find_in_context_and_remember(context: str, search: Search, memory: Memory, kube_version: str | None) -> Findings:
    """Find the images that a build context names, whatever is copied of it; contents searched before are not again.

    Raises: DiscoveryError, ContextError.
    """
    from kubeimage.discovery.finder import find_images
    from kubeimage.packing.files import FolderFiles

    files = FolderFiles(context, search.places)
    plain = [path for path in files.paths() if not files.is_symlink(path)]
    identity, renderer = choose_renderer()
    fields = [("kind", "DISCOVER CONTEXT"), ("format", _VERSION), ("renderer", identity)]
    fields += [("cluster", kube_version or ""), *(("path", path) for path in files.paths())]
    fields += [("content", str(Digest.of(data))) for _, data in files.read(plain)]
    key = str(CacheKey(None, (*fields, *search.fields())).digest)
    known = _from_json(memory.get("findings", key))
    if known is not None:
        return known
    findings = find_images(files, search, renderer, kube_version)
    memory.put("findings", key, _to_json(findings))
    return findings


def find_in_layers(
    layers: LayerStore,
    made: Sequence[StackedLayer],
    search: Search,
    renderer: Callable[[], Renderer] | None = None,
    kube_version: str | None = None,
) -> Findings:
    """Find the images that the layers name; with a ``renderer``, those of charts as well.

    Raises: DiscoveryError, StoreError.
    """
    if not search.choice.added and not _may_name_images(layers, made, search):
        return Findings()
    from kubeimage.discovery.finder import find_images
    from kubeimage.packing.files import LayerFiles

    return find_images(LayerFiles(layers, made), search, renderer, kube_version)


def find_strays_and_remember(
    layers: LayerStore, made: Sequence[StackedLayer], search: Search, memory: Memory
) -> dict[str, list[str]]:
    """Find the images that YAML names which is not looked into, by the file's path; layers are searched once.

    Raises: StoreError.
    """
    fields = [("kind", "STRAYS"), ("format", _VERSION), *(("layer", str(layer.diff_id)) for layer in made)]
    key = str(CacheKey(None, (*fields, *search.fields())).digest)
    known = memory.get("strays", key)
    if isinstance(known, dict) and all(isinstance(one, list) for one in known.values()):
        return known
    from kubeimage.discovery.finder import find_strays
    from kubeimage.packing.files import LayerFiles

    strays = {path: [*map(str, images)] for path, images in find_strays(LayerFiles(layers, made), search).items()}
    memory.put("strays", key, strays)
    return strays


def _may_name_images(layers: LayerStore, made: Sequence[StackedLayer], search: Search) -> bool:
    """Whether any file stands where images are looked for: most images have none there, and are to pay nothing."""
    places = search.places
    return any(path.startswith(places) for layer in made for path in iter_paths(layer.entries_in(layers)))


def _to_json(findings: Findings) -> dict[str, object]:
    return {
        "found": [[str(one.image), list(one.place), one.rule, one.certain] for one in findings.found],
        "skipped": [[one.text, list(one.place), one.reason] for one in findings.skipped],
        "kube_versions": [list(one) for one in findings.kube_versions],
        "charts": list(findings.charts),
        "unreadable": [[one.text, list(one.place), one.line, one.reason, one.near] for one in findings.unreadable],
        "warnings": list(findings.warnings),
    }


def _from_json(value: object) -> Findings | None:
    """Read what was remembered; what cannot be read was not."""
    if not isinstance(value, dict):
        return None
    try:
        return Findings(
            tuple(Found(parse_image(image), Place(*at), rule, certain) for image, at, rule, certain in value["found"]),
            tuple(Skipped(text, Place(*place), reason) for text, place, reason in value["skipped"]),
            tuple(KubeVersion(*one) for one in value["kube_versions"]),
            tuple(value["charts"]),
            tuple(Unreadable(text, Place(*at), line, why, near) for text, at, line, why, near in value["unreadable"]),
            tuple(value["warnings"]),
        )
    except (KeyError, TypeError, ValueError, KubeimageError):
        return None
