"""The process of its own that renders one chart with helm-python-sdk: its library has no bounds, a process has.

    python -m kubeimage.discovery.helmchild REQUEST RESULT

Shape: REQUEST is a JSON file of `Request`, RESULT one of ``manifests`` and ``missing``, or of ``error``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple


class Request(NamedTuple):
    """What is to be rendered. Shape: ``place`` is the chart's folder, ``values`` are texts of values files."""

    place: str
    name: str
    release: str
    namespace: str
    values: tuple[str, ...] = ()


def render(request: Request) -> dict[str, Any]:
    """Return what a chart makes, or what keeps it from it."""
    import helm_python

    try:
        return _render(helm_python, request)
    except helm_python.HelmError as error:
        return {"error": str(error)}


def _render(helm: Any, request: Request) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for text in request.values:
        values = merge_values(values, helm.values_from_yaml(text))
    # Rendering changes a chart that is loaded: each use takes one of its own.
    with helm.Chart.load(request.place) as loaded:
        present = {str(one.get("name")) for one in loaded.dependencies}
        written = loaded.metadata.get("dependencies") or []
        crds = {f"{request.name}/crds/{one['filename']}": str(one["data"]) for one in loaded.crds}
    with helm.Chart.load(request.place) as loaded:
        manifests = dict(loaded.render(values, name=request.release, namespace=request.namespace, is_install=True))
        declared = loaded.metadata.get("dependencies") or []
    # After rendering, those that a condition or tag switches off are gone from the list, and aliases are names.
    names = {str(one.get("alias") or one.get("name")): str(one.get("name")) for one in written}
    wanted = [names.get(str(one.get("name")), str(one.get("name"))) for one in declared]
    return {"manifests": {**crds, **manifests}, "missing": [name for name in wanted if name not in present]}


def merge_values(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one set of values over another, as several ``--values`` do."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge_values(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def main(request: str, result: str) -> None:
    """Read a request's file and write the result's."""
    with open(request, encoding="utf-8") as stream:
        fields = json.load(stream)
    answer = render(Request(**fields))
    with open(result, "w", encoding="utf-8") as stream:
        json.dump(answer, stream)


if __name__ == "__main__":
    main(*sys.argv[1:])
