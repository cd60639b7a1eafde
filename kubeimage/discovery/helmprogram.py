"""Renders charts with the ``helm`` program, where it is on PATH."""

from __future__ import annotations

import os
import re
import tempfile

from kubeimage.discovery.charts import Chart, Rendered
from kubeimage.discovery.limited import run_limited
from kubeimage.discovery.search import Installation
from kubeimage.disk import programs
from kubeimage.errors import ChartError

PROGRAM = "helm"
_DEEPEST = 64
_LONGEST = 255
_SOURCE = re.compile(r"^# Source: (\S+)[ \t]*$", re.MULTILINE)
_SEPARATOR = re.compile(r"^---[ \t]*$", re.MULTILINE)


class ProgramRenderer:
    """Runs ``helm template``, with folders of its own in place of the user's."""

    def __init__(self, program: str) -> None:
        self._program = program

    def render(self, chart: Chart, installation: Installation) -> Rendered:
        """Render ``chart`` as Helm would install it, hooks and CRDs included.

        Raises: ChartError with what helm says.
        """
        with tempfile.TemporaryDirectory(prefix="kubeimage-helm-") as folder:
            place = os.path.join(folder, "chart")
            write_files(chart, place)
            arguments = ["template", chart.release, place, "--include-crds", "--namespace", installation.namespace]
            for number, text in enumerate(chart.values):
                path = os.path.join(folder, f"values-{number}.yaml")
                with open(path, "wb") as stream:
                    stream.write(text)
                arguments += ["--values", path]
            if installation.kube_version is not None:
                arguments += ["--kube-version", installation.kube_version]
            for one in installation.api_versions:
                arguments += ["--api-versions", one]
            return Rendered(split_output(self._run(arguments, folder, f"the chart {chart.path} cannot be rendered")))

    def _run(self, arguments: list[str], folder: str, wanted: str) -> str:
        homes = {f"HELM_{name}_HOME": os.path.join(folder, name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": folder, "LANG": "C.UTF-8", **homes}
        try:
            ended = run_limited([self._program, *arguments], environment, folder)
        except OSError as error:
            raise ChartError(f"{wanted}: {self._program} cannot be run: {error.strerror}") from error
        if ended.trouble is not None:
            raise ChartError(f"{wanted}: {ended.trouble}", hint=HINT)
        if ended.status:
            said = ended.said.replace(folder, "")
            raise ChartError(f"{wanted}: {said or f'helm ended with exit status {ended.status}'}", hint=HINT)
        return ended.output.decode("utf-8", "replace")


HINT = (
    "give it the values that it needs: charts/NAME.values.yaml or --values FILE; or its namespace: --namespace NAME; "
    "or pass it over: --ignore-chart NAME"
)


def find_program() -> str | None:
    """Return the path of the helm program, None where there is none."""
    return programs.find_program(PROGRAM)


def write_files(chart: Chart, place: str) -> None:
    """Write the chart's files below the folder ``place``, which is made.

    Raises: ChartError for a path that no folder can hold.
    """
    check_paths(chart)
    os.makedirs(place)
    for path, data in chart.files.items():
        target = os.path.join(place, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as stream:
            stream.write(data)


def check_paths(chart: Chart) -> None:
    """Find out whether a folder can hold the chart's files.

    Raises: ChartError that names the chart and the path.
    """
    folders = {folder for path in chart.files for folder in _folders(path)}
    for path in chart.files:
        parts = path.split("/")
        if path in folders:
            why = "it is a file and a folder"
        elif len(parts) > _DEEPEST:
            why = f"it is {len(parts)} folders deep, and {_DEEPEST} are allowed"
        elif max(len(part.encode("utf-8", "replace")) for part in parts) > _LONGEST:
            why = f"a name of its has more than {_LONGEST} bytes"
        elif "\0" in path:
            why = "a NUL is in its name"
        else:
            continue
        raise ChartError(f"the chart {chart.path} holds {path[:80]!r}, which no folder can hold: {why}")


def _folders(path: str) -> tuple[str, ...]:
    parts = path.split("/")[:-1]
    return tuple("/".join(parts[: number + 1]) for number in range(min(len(parts), _DEEPEST)))


def split_output(text: str) -> dict[str, str]:
    """Take apart what ``helm template`` prints: the documents by the template that each comes from."""
    manifests: dict[str, str] = {}
    for part in _SEPARATOR.split(text):
        source = _SOURCE.search(part)
        if part.strip():
            name = source[1] if source else ""
            manifests[name] = f"{manifests[name]}---\n{part}" if name in manifests else part
    return manifests
