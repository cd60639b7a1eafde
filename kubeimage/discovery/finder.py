"""Finds the images that all files of an application name: manifests, image lists, charts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from kubeimage.discovery.findings import NOT_RENDERED, Findings, Found, Notebook, Place, Skipped
from kubeimage.discovery.search import (
    CHARTS,
    IMAGE_LIST,
    MANIFEST_SUFFIXES,
    MANIFESTS,
    OWN_FOLDER,
    VALUES_SUFFIXES,
    Files,
    Search,
)
from kubeimage.errors import ChartError, DiscoveryError

if TYPE_CHECKING:
    from kubeimage.discovery.charts import Chart, Renderer
    from kubeimage.image.reference import Reference

RULE_ADDED = "--add-image"


@dataclass(frozen=True)
class Plan:
    """Which files are looked into, before any is read."""

    lists: tuple[str, ...]
    manifests: tuple[str, ...]
    charts: tuple[str, ...]
    symlinks: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.lists or self.manifests or self.charts or self.symlinks)


def plan_search(files: Files, search: Search) -> Plan:
    """Choose the files to look into, by their names alone."""
    folders = tuple(f"{folder}/" if folder else "" for folder in (MANIFESTS, *search.folders))
    inside = [path for path in files.paths() if path.startswith((*folders, f"{CHARTS}/"))]
    links = [path for path in inside if files.is_symlink(path)]
    plain = [path for path in inside if path not in set(links)] if links else inside
    in_charts = [path for path in plain if path.startswith(f"{CHARTS}/")]
    manifests = [
        path
        for path in plain
        if path.startswith(folders)
        and path.endswith(MANIFEST_SUFFIXES)
        and not path.startswith((f"{CHARTS}/", OWN_FOLDER))
    ]
    lists = [path for path in plain if path == IMAGE_LIST]
    return Plan(tuple(lists), tuple(manifests), tuple(in_charts), tuple(links))


def find_images(
    files: Files, search: Search, renderer: Callable[[], Renderer] | None = None, kube_version: str | None = None
) -> Findings:
    """Find the images that ``files`` name; without a ``renderer`` charts are passed over, each by name.

    Raises: ChartError, DiscoveryError; what reading raises.
    """
    plan = plan_search(files, search)
    notes = Notebook()
    ready = cache(renderer) if renderer is not None else None
    if plan:
        contents = dict(files.read([*plan.lists, *plan.manifests, *plan.charts]))
        for link in plan.symlinks:
            notes.add(_passed_over(link, "a symlink: what it leads to is searched where it stands"))
        _find_in_files(plan, contents, notes)
        for chart in _charts(plan, contents, search, notes):
            notes.add(_find_in_one(chart, search, ready, kube_version))
    return _overrule(notes.close(), search)


def find_strays(files: Files, search: Search) -> dict[str, tuple[Reference, ...]]:
    """Give the images that YAML names which is not looked into, by the file's path; only what is certain counts.

    Raises: what reading raises.
    """
    plan = plan_search(files, search)
    known = {*plan.manifests, *plan.charts, *plan.symlinks}
    outside = [
        path
        for path in files.paths()
        if path.endswith((".yaml", ".yml"))
        and path not in known
        and not path.startswith(OWN_FOLDER)
        and not files.is_symlink(path)
    ]
    if not outside:
        return {}
    from kubeimage.discovery.manifests import find_in_manifest

    strays = {}
    for path, data in files.read(outside):
        findings = find_in_manifest(decode(data), path) if b"image" in data else Findings()
        certain = {found.image for found in findings.found if found.certain}
        images = [image for image in sorted(certain, key=str) if search.choice.ignores(image) is None]
        if images:
            strays[path] = tuple(images)
    return strays


def _find_in_files(plan: Plan, contents: Mapping[str, bytes], notes: Notebook) -> None:
    if not plan.lists and not plan.manifests:
        return
    from kubeimage.discovery.imagelist import find_in_list
    from kubeimage.discovery.manifests import find_in_manifest

    for path in plan.lists:
        notes.add(find_in_list(decode(contents[path]), path))
    for path in plan.manifests:
        notes.add(find_in_manifest(decode(contents[path]), path))


def _find_in_one(
    chart: Chart, search: Search, renderer: Callable[[], Renderer] | None, kube_version: str | None
) -> Findings:
    from kubeimage.discovery.charts import find_in_chart

    if search.ignores_chart(chart.path, chart.name):
        return replace(_passed_over(chart.path, "left out by --ignore-chart"), charts=(chart.identity,))
    if chart.identity in search.known_charts:
        return _passed_over(chart.path, "rendered when it was packed")
    if renderer is None:
        return _passed_over(chart.path, NOT_RENDERED)
    return find_in_chart(chart, renderer(), kube_version)


def _passed_over(path: str, reason: str) -> Findings:
    return Findings(skipped=(Skipped(path, Place(path), reason),))


def _charts(plan: Plan, contents: Mapping[str, bytes], search: Search, notes: Notebook) -> Sequence[Chart]:
    """Put together the charts of the files below ``charts/``, each with its values."""
    if not plan.charts:
        return ()
    from kubeimage.discovery.charts import Chart, chart_folders, is_archive, read_archive

    folders = chart_folders(plan.charts)
    charts, used = [], set[str]()
    for folder in folders:
        own = [path for path in plan.charts if path.startswith(f"{folder}/")]
        used.update(own)
        charts.append(Chart(folder, {path.removeprefix(f"{folder}/"): contents[path] for path in own}))
    for path in plan.charts:
        if path not in used and is_archive(path):
            used.add(path)
            try:
                charts.append(read_archive(contents[path], path))
            except ChartError:
                if not search.ignores_chart(path, path.rpartition("/")[2]):
                    raise
                notes.add(_passed_over(path, "left out by --ignore-chart"))
    values = {path for path in plan.charts if path not in used and path.endswith(VALUES_SUFFIXES)}
    charts = [Chart(one.path, one.files, _values_of(one, values, contents, search)) for one in charts]
    for path in plan.charts:
        if path not in used and path not in values:
            notes.add(_passed_over(path, "neither a chart nor part of one"))
    _check_values(charts, search)
    return sorted(charts, key=lambda one: one.path)


def _names_of(chart: Chart) -> set[str]:
    folder, _, base = chart.path.rpartition("/")
    bare = base.removesuffix(".tgz").removesuffix(".tar.gz")
    return {f"{folder}/{name}" for name in (bare, chart.name)}


def _values_of(chart: Chart, beside: set[str], contents: Mapping[str, bytes], search: Search) -> tuple[bytes, ...]:
    """Give the values files of a chart: the one beside it first, then those that people name."""
    names = {name + suffix for name in _names_of(chart) for suffix in VALUES_SUFFIXES}
    own = [contents[path] for path in sorted(names & beside)]
    known = {name.rpartition("/")[2] for name in _names_of(chart)} | {chart.path}
    return (*own, *(one.text for one in search.values if one.chart is None or one.chart in known))


def _check_values(charts: Sequence[Chart], search: Search) -> None:
    known = {name.rpartition("/")[2] for chart in charts for name in _names_of(chart)} | {one.path for one in charts}
    for values in search.values:
        if values.chart is not None and values.chart not in known:
            raise DiscoveryError(
                f"--values {values.chart}={values.name}: there is no chart of that name",
                hint=f"there are {', '.join(sorted(known))}" if known else "there are no charts",
            )


def _overrule(findings: Findings, search: Search) -> Findings:
    """Take out what people ignore, and put in what they add."""
    choice, notes = search.choice, Notebook()
    for found in findings.found:
        pattern = choice.ignores(found.image)
        if pattern is None:
            notes.found.append(found)
        else:
            notes.skipped.append(Skipped(str(found.image), found.place, f"left out by the pattern {pattern!r}"))
    notes.found += [Found(image, Place(RULE_ADDED), RULE_ADDED) for image in choice.added]
    notes.skipped = [*findings.skipped, *notes.skipped]
    return replace(findings, found=notes.close().found, skipped=notes.close().skipped)


def decode(data: bytes) -> str:
    """Give a file's text; what is no UTF-8 becomes a replacement character, which is in no image's name."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8", "replace")
