"""Renders charts with helm-python-sdk, which brings Helm itself as a library."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from typing import Any

from kubeimage.discovery.charts import Chart, Rendered
from kubeimage.discovery.helmprogram import HINT
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
        helm, packed = self._helm, _pack(chart)
        try:
            values = self._values(chart)
            # Rendering changes a chart that is loaded: each use takes one of its own.
            with helm.Chart.load_archive(packed) as loaded:
                present = {str(one.get("name")) for one in loaded.dependencies}
                written = loaded.metadata.get("dependencies") or []
                crds = {f"{chart.name}/crds/{one['filename']}": str(one["data"]) for one in loaded.crds}
            with helm.Chart.load_archive(packed) as loaded:
                manifests = dict(loaded.render(values, name=chart.name, is_install=True))
                declared = loaded.metadata.get("dependencies") or []
        except helm.HelmError as error:
            raise ChartError(f"the chart {chart.path} cannot be rendered: {error}", hint=HINT) from error
        # After rendering, those that a condition or tag switches off are gone from the list.
        names = {str(one.get("alias") or one.get("name")): str(one.get("name")) for one in written}
        wanted = [names.get(str(one.get("name")), str(one.get("name"))) for one in declared]
        return Rendered({**crds, **manifests}, tuple(name for name in wanted if name not in present))

    def _values(self, chart: Chart) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for text in chart.values:
            merged = merge_values(merged, self._helm.values_from_yaml(text.decode("utf-8")))
        return merged


def merge_values(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one set of values over another, as several ``--values`` do."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge_values(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _pack(chart: Chart) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for path, data in sorted(chart.files.items()):
            member = tarfile.TarInfo(f"chart/{path}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
