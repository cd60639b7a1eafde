"""Counts the container images that a build without packing leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeimage.discovery.search import Search
from kubeimage.errors import DiscoveryError
from kubeimage.packing.memory import Memory
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.packing import Packed, PackRequest

if TYPE_CHECKING:
    from kubeimage.protocols.layers import LayerStore

_KIND = "left-out"
_VERSION = "2"


class LeftOutCounter:
    """An `ImagePacker` that packs nothing, renders no chart and asks nobody, and says how much is left out."""

    def __init__(self, layers: LayerStore, memory: Memory, search: Search) -> None:
        self._layers = layers
        self._memory = memory
        self._search = search

    def pack(self, request: PackRequest) -> Packed:
        """Count what the new layers name.

        Raises: StoreError.
        """
        made = [("layer", str(layer.diff_id)) for layer in request.made]
        key = str(CacheKey(None, (("kind", _KIND), ("format", _VERSION), *made, *self._search.fields())).digest)
        known = self._memory.get(_KIND, key)
        match known:
            case [int(images), int(charts), [*warnings]]:
                return Packed(left_out=images, charts=charts, warnings=tuple(map(str, warnings)))
        try:
            images, charts, said = self._count(request)
        except DiscoveryError as error:
            return Packed(warnings=(f"nobody can say which container images are left out: {error}",))
        self._memory.put(_KIND, key, [images, charts, [*said]])
        return Packed(left_out=images, charts=charts, warnings=said)

    def _count(self, request: PackRequest) -> tuple[int, int, tuple[str, ...]]:
        from kubeimage.discovery.findings import NOT_RENDERED
        from kubeimage.packing.search import find_in_layers

        findings = find_in_layers(self._layers, request.made, self._search)
        charts = sum(one.reason == NOT_RENDERED for one in findings.skipped)
        return len(findings.images), charts, (*findings.warnings, *map(str, findings.unreadable))
