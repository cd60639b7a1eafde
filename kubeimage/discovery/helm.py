"""Renders charts with helm-python-sdk, which brings Helm itself as a library, in a process with bounds."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from importlib.util import find_spec
from typing import Any

from kubeimage.discovery.charts import Chart, Rendered
from kubeimage.discovery.helmprogram import HINT, write_files
from kubeimage.discovery.limited import run_limited
from kubeimage.discovery.search import Installation
from kubeimage.errors import ChartError

_CHILD = "kubeimage.discovery.helmchild"
_BROKEN = "helm-python-sdk is installed and cannot be loaded"


class LibraryRenderer:
    """Renders in a process of its own.

    Raises: ImportError where helm-python-sdk is not installed.
    """

    def __init__(self) -> None:
        if find_spec("helm_python") is None:
            raise ImportError("helm-python-sdk is not installed", name="helm_python")

    def render(self, chart: Chart, installation: Installation) -> Rendered:
        """Render ``chart`` as Helm would install it; templates see the newest Kubernetes that the library knows.

        Raises: ChartError with what failed.
        """
        if installation.kube_version_is_asked or installation.api_versions:
            raise ChartError(
                "helm-python-sdk cannot be told of another Kubernetes",
                hint="put the helm program on PATH and uninstall helm-python-sdk; "
                "or leave out --kube-version and --api-versions",
            )
        with tempfile.TemporaryDirectory(prefix="kubeimage-helm-") as folder:
            # From a folder, for then a .helmignore holds.
            place = os.path.join(folder, "chart")
            write_files(chart, place)
            answer = self._ask(chart, place, installation, folder)
        if "error" in answer:
            said = str(answer["error"]).replace(f"{place}/", "").replace(place, chart.path)
            raise ChartError(f"the chart {chart.path} cannot be rendered: {said}", hint=HINT)
        manifests = {str(path): str(text) for path, text in answer["manifests"].items()}
        return Rendered(manifests, tuple(map(str, answer["missing"])))

    def _ask(self, chart: Chart, place: str, installation: Installation, folder: str) -> dict[str, Any]:
        request, result = os.path.join(folder, "request.json"), os.path.join(folder, "result.json")
        fields = {"place": place, "name": chart.name, "release": chart.release, "namespace": installation.namespace}
        with open(request, "w", encoding="utf-8") as stream:
            json.dump({**fields, "values": _texts(chart)}, stream)
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": folder, "LANG": "C.UTF-8"}
        # The child finds the same modules, wherever this process has them from.
        environment["PYTHONPATH"] = os.pathsep.join(one for one in sys.path if one)
        try:
            ended = run_limited([sys.executable, "-m", _CHILD, request, result], environment, folder)
        except OSError as error:
            raise ChartError(f"{_BROKEN}: {error.strerror}") from error
        if ended.trouble is not None:
            raise ChartError(f"the chart {chart.path} cannot be rendered: {ended.trouble}", hint=HINT)
        if ended.status or not os.path.exists(result):
            said = ended.said.rpartition("\n")[2] or f"it ended with exit status {ended.status}"
            raise ChartError(f"{_BROKEN}: {said}", hint="install it again, or put the helm program on PATH")
        with open(result, encoding="utf-8") as stream:
            answer: dict[str, Any] = json.load(stream)
        return answer


def _texts(chart: Chart) -> list[str]:
    try:
        return [text.decode("utf-8") for text in chart.values]
    except UnicodeDecodeError:
        raise ChartError(f"the chart {chart.path} has values that are not UTF-8") from None
