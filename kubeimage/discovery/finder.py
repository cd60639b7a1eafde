"""Finds the images that all files of an application name: manifests, image lists, charts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kubeimage.discovery.findings import Findings, Found, Notebook, Place, Skipped, passed_over
from kubeimage.discovery.search import (
    ARCHIVE_LIST,
    CHARTS,
    IMAGE_LISTS,
    LISTS_FOLDER,
    MANIFEST_SUFFIXES,
    MANIFESTS,
    OWN_FOLDER,
    Files,
    Search,
)
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.discovery.charts import Renderer
    from kubeimage.discovery.kinds import Kinds
    from kubeimage.image.reference import Reference

RULE_ADDED = "--add-image"
LISTED_GUESS = "a guess, which is listed and not packed"
"""Why an image that something seems to name is not packed where people want guesses listed."""
_IN_CHARTS = f"{CHARTS}/"
_LARGEST_STRAY = 16 << 20
_LARGEST_OTHER = 1 << 20


@dataclass(frozen=True)
class Plan:
    """Which files are looked into, before any is read."""

    lists: tuple[str, ...]
    manifests: tuple[str, ...]
    charts: tuple[str, ...]
    symlinks: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.lists or self.manifests or self.charts or self.symlinks or self.others)


def plan_search(files: Files, search: Search) -> Plan:
    """Return the files to look into, chosen by their names alone; of unknown files those that are small.

    Example: ``manifests/app.yaml`` is a manifest, ``charts/app/Chart.yaml`` belongs to the charts,
             ``manifests/install.sh`` is one of the others.
    """
    folders = tuple(f"{folder}/" if folder else "" for folder in (MANIFESTS, *search.folders))
    inside = [path for path in files.paths() if path.startswith((*folders, _IN_CHARTS)) or is_list(path)]
    symlinks = {path: None for path in inside if files.is_symlink(path)}
    plain = [path for path in inside if path not in symlinks]
    lists = [path for path in plain if is_list(path)]
    manifests = [path for path in plain if path.startswith(folders) and _is_manifest(path)]
    charts = [path for path in plain if path.startswith(_IN_CHARTS)]
    known = {*manifests, *lists}
    unknown = [path for path in plain if path.startswith(f"{MANIFESTS}/") and path not in known]
    others = [path for path in unknown if files.size(path) <= _LARGEST_OTHER]
    return Plan(tuple(lists), tuple(manifests), tuple(charts), tuple(symlinks), tuple(others))


def _is_manifest(path: str) -> bool:
    """Whether a file in a folder of manifests is one, by its name."""
    if path.startswith((_IN_CHARTS, OWN_FOLDER)):
        return False
    return path.lower().endswith(MANIFEST_SUFFIXES)


def is_list(path: str) -> bool:
    """Whether a file is a list of images by its place."""
    return path in IMAGE_LISTS or path == ARCHIVE_LIST or path.startswith(LISTS_FOLDER)


def find_images(
    files: Files, search: Search, renderer: Callable[[], Renderer] | None = None, kube_version: str | None = None
) -> Findings:
    """Find the images that ``files`` name; without a ``renderer`` charts are passed over, each by name.

    Raises: ChartError, DiscoveryError; what reading raises.
    """
    from kubeimage.discovery.kinds import merged_kinds

    plan = plan_search(files, search)
    notes = Notebook()
    if plan:
        for link in plan.symlinks:
            notes.add(passed_over(link, "a symlink: what it leads to is searched where it stands"))
        _find_in_files(plan, files, notes, merged_kinds(search.kinds))
    if plan.charts:
        from kubeimage.discovery.chartsearch import find_in_charts

        notes.add(find_in_charts(plan.charts, files, search, renderer, kube_version))
    return _overrule(notes.close(), search)


def find_strays(files: Files, search: Search) -> dict[str, tuple[Reference, ...]]:
    """Return the images that YAML names which is not looked into, by the file's path; only what is certain counts.

    Raises: what reading raises.
    """
    outside = _unsearched_yaml(files, search)
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


def _unsearched_yaml(files: Files, search: Search) -> list[str]:
    """Return the YAML files that a search passes by, but for those that are too large to be read."""
    plan = plan_search(files, search)
    known = {*plan.manifests, *plan.charts, *plan.symlinks}
    yaml = [path for path in files.paths() if path.lower().endswith((".yaml", ".yml"))]
    passed_by = [path for path in yaml if path not in known and not path.startswith(OWN_FOLDER)]
    return [path for path in passed_by if not files.is_symlink(path) and files.size(path) <= _LARGEST_STRAY]


def _find_in_files(plan: Plan, files: Files, notes: Notebook, kinds: Kinds) -> None:
    """Look into files one by one, so that the largest is all that is in memory; the findings stand by their paths."""
    if not (plan.lists or plan.manifests or plan.others):
        return
    from kubeimage.discovery.imagelist import find_in_archive_list, find_in_list
    from kubeimage.discovery.manifests import find_in_manifest, list_in_file

    lists, others = set(plan.lists), set(plan.others)
    found: dict[str, Findings] = {}
    for path, data in files.read([*plan.lists, *plan.manifests, *plan.others]):
        text = decode(data)
        if path == ARCHIVE_LIST:
            found[path] = find_in_archive_list(text, path)
        elif path in lists:
            found[path] = find_in_list(text, path)
        elif path in others:
            found[path] = list_in_file(text, path) if b"\0" not in data else Findings()
        else:
            found[path] = find_in_manifest(text, path, kinds)
    for path in (*plan.lists, *plan.manifests, *plan.others):
        notes.add(found.get(path, Findings()))


def _overrule(findings: Findings, search: Search) -> Findings:
    """Take out what people ignore or want listed alone, and put in what they add."""
    choice, notes = search.choice, Notebook()
    certain = {found.image for found in findings.found if found.certain}
    for found in findings.found:
        pattern = choice.ignores(found.image)
        is_guess = found.image not in certain
        if pattern is not None:
            reason = f"left out by the pattern {pattern!r}"
        elif is_guess and (search.guesses == "list" or str(found.image) in search.listed):
            reason = LISTED_GUESS
        else:
            notes.found.append(found)
            continue
        notes.skipped.append(Skipped(str(found.image), found.place, reason))
    for one in findings.unreadable:
        if choice.ignores_text(one.text):
            notes.skipped.append(Skipped(one.text, one.place, "left out by a pattern"))
        else:
            notes.unreadable.append(one)
    notes.found += [Found(image, Place(RULE_ADDED), RULE_ADDED) for image in choice.added]
    closed = notes.close()
    return findings._replace(
        found=closed.found, skipped=(*findings.skipped, *closed.skipped), unreadable=closed.unreadable
    )


def decode(data: bytes) -> str:
    """Return a file's text; what is no UTF-8 becomes a replacement character, which is in no image's name."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8", "replace")
