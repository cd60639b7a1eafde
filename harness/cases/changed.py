"""Whether something that a Kubefile is built of has changed: itself, what its COPYs read, or a base.

What cannot be told counts as changed: a check too many costs time, and one too few an error that nobody sees.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from harness.asking.kubefiles import kubefile_in
from harness.asking.options import EMPTY
from harness.asking.repository import Repositories
from harness.cases.bases import TAR, Bases, project_of
from harness.cases.case import Case
from kubeimage.api.building import BuildOptions
from kubeimage.builder.dockerscope import DockerScope
from kubeimage.builder.planning import make_plan, scope_of
from kubeimage.context import AUTH_LIST, IGNORE_FILE, ContextCollector
from kubeimage.context.dockercopy import clamp
from kubeimage.context.dockerignore import IGNORE_FILES
from kubeimage.context.sources import parse_source
from kubeimage.context.wildcards import compile_name
from kubeimage.errors import KubeimageError
from kubeimage.kubefile import Kubefile
from kubeimage.lock.lockfile import SUFFIX
from kubeimage.protocols.context import CopyRequest

_RULES = {IGNORE_FILE, *IGNORE_FILES}


class ChangeFinder:
    """Finds out which Kubefiles have changed."""

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories
        self._sources: dict[tuple[object, ...], bool] = {}

    def has_changed(self, case: Case) -> bool:
        """Whether ``case``, or a base that it stands on, differs from what was committed.

        Raises: pytest.UsageError where no git repository is around the Kubefile, or git cannot tell.
        """
        path = case.subject.path
        self._repositories.need(os.path.dirname(path))
        if self.differs(path) or (case.settings.locked and self.differs(path + SUFFIX)):
            return True
        try:
            return self._project_changed(case.kubefile, case.context, case.options, case.bases)
        except KubeimageError:
            return True

    def differs(self, path: str) -> bool:
        """Whether the file ``path``, or what it leads to, differs; where no repository is around it, it does."""
        ways = {os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)), os.path.realpath(path)}
        found = ((way, self._repositories.around(way)) for way in ways)
        return any(changes is None or bool(changes.below(way)) for way, changes in found)

    def _project_changed(self, kubefile: Kubefile, context: str, options: BuildOptions, bases: Bases) -> bool:
        scope = scope_of(kubefile, options)
        outside = [one.name for one in scope.outside] if isinstance(scope, DockerScope) else [scope.base_name]
        below = (bases.find(name) for name in outside)
        if any(self._source_changed(source, options, bases) for source in below if source is not None):
            return True
        steps = make_plan(kubefile, None, options, scope).steps
        copies = [step.copy for step in steps if step.copy is not None and not step.copy.from_image]
        if not copies or not context:
            return False
        root = os.path.realpath(context)
        changes = self._repositories.around(root)
        if changes is None:
            return True
        return _reads_any(changes.below(root), root, copies)

    def _source_changed(self, source: str, options: BuildOptions, bases: Bases) -> bool:
        """Whether what stands in for a base has changed; one that stands on itself is an error that its check tells."""
        if source == EMPTY:
            return False
        only = BuildOptions(platform=options.platform)
        key = source, only.target, frozenset(bases.sources.items())
        if key not in self._sources:
            self._sources[key] = True
            self._sources[key] = self._made_anew(source, only, bases)
        return self._sources[key]

    def _made_anew(self, source: str, options: BuildOptions, bases: Bases) -> bool:
        own = kubefile_in(source) if os.path.isdir(source) else source
        if own is not None and self.differs(own):
            return True
        if source.endswith(TAR):
            return False
        return self._project_changed(*project_of(source), options, bases)


def _reads_any(paths: Iterable[str], root: str, copies: Iterable[CopyRequest]) -> bool:
    """Whether one of ``paths`` is read by one of ``copies`` in the context ``root``.

    Raises: ContextError where a COPY cannot be followed.
    """
    live: set[tuple[int, int]] = set()
    others: list[str] = []
    for path in paths:
        relative = os.path.relpath(path, root)
        is_above = not path.startswith(root.rstrip(os.sep) + os.sep)
        if is_above or relative in _RULES or os.path.basename(path) == AUTH_LIST:
            return True
        if (file := _regular_file(path)) is not None:
            live.add(file)
        else:
            others.append(relative)
    if not live and not others:
        return False
    collector = ContextCollector(root)
    for request in copies:
        found = [entry.identity for entry in collector.collect(request).entries if entry.identity is not None]
        if any((one.inode, one.device) in live for one in found):
            return True
        if any(_would_read(request, path, collector) for path in others):
            return True
    return False


def _regular_file(path: str) -> tuple[int, int] | None:
    """Return what tells a file from all others, None where there is none at ``path``."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return (status.st_ino, status.st_dev) if stat.S_ISREG(status.st_mode) else None


def _would_read(request: CopyRequest, path: str, collector: ContextCollector) -> bool:
    """Whether ``request`` means ``path`` of the context: one that is gone, a symlink, or a folder."""
    if collector.leaves_out(path, request):
        return False
    names = path.split("/")
    return any(_leads_to(source, names, request) for source in request.sources)


def _leads_to(source: str, names: list[str], request: CopyRequest) -> bool:
    """Whether ``names`` are on the way to what ``source`` means, or below it."""
    parts = parse_source(clamp(source) if request.by_docker else source).parts
    return all(part == name or _matches(part, name) for part, name in zip(parts, names, strict=False))


def _matches(part: str, name: str) -> bool:
    pattern = compile_name(part)
    return pattern is not None and pattern.fullmatch(name) is not None
