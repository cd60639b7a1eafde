"""Renders charts with helm-python-sdk, which brings Helm itself as a library."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import Any

from kubeimage.discovery.charts import Chart, Rendered
from kubeimage.discovery.helmprogram import HINT, write_files
from kubeimage.errors import ChartError


class LibraryRenderer:
    """Renders in this process.

    Raises: ImportError where helm-python-sdk is not installed; ChartError where its library cannot be loaded.
    """

    def __init__(self) -> None:
        import helm_python

        self._helm = helm_python
        try:
            helm_python.helm_sdk_version()
        except (helm_python.HelmError, OSError) as error:
            raise ChartError(
                f"helm-python-sdk is installed and cannot be loaded: {error}",
                hint="install it again, or put the helm program on PATH",
            ) from error

    def render(self, chart: Chart, kube_version: str | None) -> Rendered:  # noqa: ARG002  the library has its own
        """Render ``chart`` as Helm would install it; templates see the newest Kubernetes that the library knows.

        Raises: ChartError with what failed.
        """
        with tempfile.TemporaryDirectory(prefix="kubeimage-helm-") as folder:
            # From a folder, for then a .helmignore holds.
            place = os.path.join(folder, "chart")
            write_files(chart, place)
            try:
                return self._render(chart, place)
            except self._helm.HelmError as error:
                said = str(error).replace(f"{place}/", "").replace(place, chart.path)
                raise ChartError(f"the chart {chart.path} cannot be rendered: {said}", hint=HINT) from error

    def _render(self, chart: Chart, place: str) -> Rendered:
        values = self._values(chart)
        # Rendering changes a chart that is loaded: each use takes one of its own.
        with self._helm.Chart.load(place) as loaded:
            present = {str(one.get("name")) for one in loaded.dependencies}
            written = loaded.metadata.get("dependencies") or []
            crds = {f"{chart.name}/crds/{one['filename']}": str(one["data"]) for one in loaded.crds}
        with self._helm.Chart.load(place) as loaded:
            manifests = dict(loaded.render(values, name=chart.release, is_install=True))
            declared = loaded.metadata.get("dependencies") or []
        # After rendering, those that a condition or tag switches off are gone from the list, and aliases are names.
        names = {str(one.get("alias") or one.get("name")): str(one.get("name")) for one in written}
        wanted = [names.get(str(one.get("name")), str(one.get("name"))) for one in declared]
        return Rendered({**crds, **manifests}, tuple(name for name in wanted if name not in present))

    def _values(self, chart: Chart) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for text in chart.values:
            try:
                merged = merge_values(merged, self._helm.values_from_yaml(text.decode("utf-8")))
            except UnicodeDecodeError:
                raise ChartError(f"the chart {chart.path} has values that are not UTF-8") from None
        return merged


def merge_values(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one set of values over another, as several ``--values`` do."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge_values(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
