"""The charts below ``charts/``: which files belong to which, and with which values each is rendered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from kubeimage.discovery.chartarchive import read_archive
from kubeimage.discovery.charts import (
    Chart,
    Renderer,
    chart_folders,
    find_in_chart,
    identify,
    is_archive,
)
from kubeimage.discovery.findings import NOT_RENDERED, Findings, Notebook, passed_over
from kubeimage.discovery.kinds import merged_kinds
from kubeimage.discovery.search import VALUES_SUFFIXES, Files, Search
from kubeimage.errors import DiscoveryError
from kubeimage.values import dataclass

_IGNORED = "left out by --ignore-chart"


@dataclass(frozen=True)
class ChartPlan:
    """What the files below ``charts/`` are, by their names alone.

    Shape: ``folders`` are charts with their files, ``archives`` packed ones; ``values`` stand beside charts.
    """

    folders: Mapping[str, tuple[str, ...]]
    archives: tuple[str, ...]
    values: tuple[str, ...]
    others: tuple[str, ...]

    @classmethod
    def of(cls, paths: Sequence[str]) -> ChartPlan:
        """Sort the files by what they are."""
        folders = {
            folder: tuple(path for path in paths if path.startswith(f"{folder}/")) for folder in chart_folders(paths)
        }
        inside = {path for own in folders.values() for path in own}
        outside = [path for path in paths if path not in inside]
        archives = tuple(path for path in outside if is_archive(path))
        values = tuple(path for path in outside if path.endswith(VALUES_SUFFIXES))
        others = tuple(path for path in outside if path not in {*archives, *values})
        return cls(folders, archives, values, others)

    @property
    def charts(self) -> tuple[str, ...]:
        """The places of all charts, sorted."""
        return tuple(sorted((*self.folders, *self.archives)))


def find_in_charts(
    paths: Sequence[str],
    files: Files,
    search: Search,
    renderer: Callable[[], Renderer] | None,
    kube_version: str | None,
) -> Findings:
    """Find the images that charts name; without a ``renderer`` no chart is even read.

    Raises: ChartError, DiscoveryError; what reading raises.
    """
    plan, notes = ChartPlan.of(paths), Notebook()
    kinds = merged_kinds(search.kinds)
    for path in plan.others:
        notes.add(passed_over(path, "neither a chart nor part of one"))
    if renderer is None:
        for path in plan.charts:
            notes.add(passed_over(path, _IGNORED if search.ignores_chart(path, path) else NOT_RENDERED))
        return notes.close()
    ready, beside = cache(renderer), dict(files.read(plan.values))
    names, used = set[str](), set[str]()
    for path in plan.charts:
        own = dict(files.read(plan.folders.get(path, (path,))))
        identity = identify(path, own)
        if search.ignores_chart(path, path):
            notes.add(passed_over(path, _IGNORED)._replace(charts=(identity,)))
            continue
        chart = _read(path, own)
        names |= _names_of(chart)
        used |= beside.keys() & _places_of_values(chart)
        if search.ignores_chart(path, chart.name):
            notes.add(passed_over(path, _IGNORED)._replace(charts=(identity,)))
        elif identity in search.known_charts:
            notes.add(passed_over(path, "rendered when it was packed"))
        else:
            for group in search.groups:
                values = _values_of(chart, beside, search, group)
                installation = search.installation(path, kube_version)
                findings = find_in_chart(replace(chart, values=values), ready(), installation, kinds)
                notes.add(_with_group(findings, group)._replace(charts=(identity,)))
    for path in sorted(beside.keys() - used):
        notes.add(passed_over(path, "values of no chart that is there"))
    _check_values(names, search)
    return notes.close()


def _with_group(findings: Findings, group: str) -> Findings:
    """Say of each image with which set of values the chart names it."""
    if not group:
        return findings
    return findings._replace(found=tuple(one._replace(rule=f"{one.rule}, with {group}") for one in findings.found))


def _read(path: str, own: Mapping[str, bytes]) -> Chart:
    if path in own:
        return read_archive(own[path], path)
    return Chart(path, {name.removeprefix(f"{path}/"): data for name, data in own.items()})


def _names_of(chart: Chart) -> set[str]:
    """Return what people call a chart: its path, the end of that, and its own name."""
    base = chart.path.rpartition("/")[2].removesuffix(".tgz").removesuffix(".tar.gz")
    return {chart.path, base, chart.name}


def _places_of_values(chart: Chart) -> set[str]:
    folder = chart.path.rpartition("/")[0]
    return {f"{folder}/{name}{suffix}" for name in _names_of(chart) for suffix in VALUES_SUFFIXES}


def _values_of(chart: Chart, beside: Mapping[str, bytes], search: Search, group: str) -> tuple[bytes, ...]:
    """Return the values files of a chart: the one beside it first, then those that people name."""
    names = _names_of(chart)
    own = [beside[path] for path in sorted(_places_of_values(chart) & beside.keys())]
    wanted = [one for one in search.values if one.chart is None or one.chart in names]
    return (
        *own,
        *(one.text for one in wanted if not one.group),
        *(one.text for one in wanted if one.group and one.group == group),
    )


def _check_values(names: set[str], search: Search) -> None:
    for values in search.values:
        if values.chart is not None and values.chart not in names:
            raise DiscoveryError(
                f"--values {values.chart}={values.name}: there is no chart of that name",
                hint=f"there are {', '.join(sorted(names))}" if names else "there are no charts",
            )
