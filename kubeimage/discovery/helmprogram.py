"""Renders charts with the ``helm`` program, where it is on PATH."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile

from kubeimage.discovery.charts import Chart, Rendered
from kubeimage.disk import programs
from kubeimage.errors import ChartError

PROGRAM = "helm"
_PATIENCE = 120.0
_SOURCE = re.compile(r"^# Source: (\S+)[ \t]*$", re.MULTILINE)
_SEPARATOR = re.compile(r"^---[ \t]*$", re.MULTILINE)


class ProgramRenderer:
    """Runs ``helm template``, with folders of its own in place of the user's."""

    def __init__(self, program: str) -> None:
        self._program = program

    def render(self, chart: Chart, kube_version: str | None) -> Rendered:
        """Render ``chart`` as Helm would install it, hooks and CRDs included.

        Raises: ChartError with what helm says.
        """
        with tempfile.TemporaryDirectory(prefix="kubeimage-helm-") as folder:
            place = os.path.join(folder, "chart")
            write_files(chart, place)
            arguments = ["template", chart.release, place, "--include-crds"]
            for number, text in enumerate(chart.values):
                path = os.path.join(folder, f"values-{number}.yaml")
                with open(path, "wb") as stream:
                    stream.write(text)
                arguments += ["--values", path]
            if kube_version is not None:
                arguments += ["--kube-version", kube_version]
            return Rendered(split_output(self._run(arguments, folder, f"the chart {chart.path} cannot be rendered")))

    def _run(self, arguments: list[str], folder: str, wanted: str) -> str:
        homes = {f"HELM_{name}_HOME": os.path.join(folder, name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": folder, "LANG": "C.UTF-8", **homes}
        try:
            done = subprocess.run(
                [self._program, *arguments],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ChartError(f"{wanted}: helm took longer than {_PATIENCE:g} s") from error
        except OSError as error:
            raise ChartError(f"{wanted}: {self._program} cannot be run: {error.strerror}") from error
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().replace(folder, "")
            raise ChartError(f"{wanted}: {said or f'helm ended with exit status {done.returncode}'}", hint=HINT)
        return done.stdout.decode("utf-8", "replace")


HINT = (
    "give it the values that it needs: charts/NAME.values.yaml or --values FILE; or pass it over: --ignore-chart NAME"
)


def find_program() -> str | None:
    """Return the path of the helm program, None where there is none."""
    return programs.find_program(PROGRAM)


def write_files(chart: Chart, place: str) -> None:
    """Write the chart's files below the folder ``place``, which is made."""
    for path, data in chart.files.items():
        target = os.path.join(place, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as stream:
            stream.write(data)


def split_output(text: str) -> dict[str, str]:
    """Take apart what ``helm template`` prints: the documents by the template that each comes from."""
    manifests: dict[str, str] = {}
    for part in _SEPARATOR.split(text):
        source = _SOURCE.search(part)
        if part.strip():
            name = source[1] if source else ""
            manifests[name] = f"{manifests[name]}---\n{part}" if name in manifests else part
    return manifests
