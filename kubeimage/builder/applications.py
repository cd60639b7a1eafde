"""The applications of an image: what kind each is, which files it has, and how it is launched.

Source: sealer at f4f89c58, build/kubefile/parser/utils.go and pkg/define/application/v1; the project's design,
"Dialects and runners".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from kubeimage.builder.metadata import Metadata
from kubeimage.image.document import Commands
from kubeimage.image.extension import Application
from kubeimage.layer.entry import Entry, Kind
from kubeimage.protocols.context import CopyRequest, SourceCollector

APPLICATIONS = "application/apps"

_KINDS = {".sh": "shell", ".yaml": "kube", ".yml": "kube"}
_PROBE = "source"


class _Source(NamedTuple):
    """What one source of an application brings. Shape: ``files`` are paths below a folder, or one file's name."""

    is_folder: bool
    files: tuple[str, ...]

    @property
    def is_chart(self) -> bool:
        """Whether it is a Helm chart: sealer wants values.yaml as well, Helm does not."""
        return self.is_folder and "Chart.yaml" in self.files and any(one.startswith("templates/") for one in self.files)


def describe(name: str, request: CopyRequest, collector: SourceCollector) -> Application:
    """Return the application that is made of the sources of ``request``, without what other instructions say of it.

    Raises: a ContextError that names the source.
    """
    fetched = [_Source(is_folder=False, files=(remote.name,)) for remote in request.remotes]
    sources = [*(_look(source, request, collector) for source in request.sources), *fetched]
    if any(source.is_chart for source in sources):
        return Application(name, "helm", (name,))
    endings = {_ending(path) for source in sources for path in source.files}
    kinds = {_KINDS.get(ending, "") for ending in endings}
    kind = kinds.pop() if len(kinds) == 1 else ""
    counted = sources[:1] if kind == "shell" else sources if kind else []
    return Application(name, kind, tuple(path for source in counted for path in _listed(source)))


def with_applications(metadata: Metadata, described: Sequence[Application]) -> Metadata:
    """Return what an image says of itself once its own applications are known; of one name the last one counts."""
    extension = metadata.extension
    known = {one.name: one for one in (*extension.applications, *described)}
    for name, commands in metadata.app_commands.items():
        known[name] = replace(known[name], commands=commands)
    for name, env in metadata.app_env.items():
        known[name] = replace(known[name], env={**known[name].env, **env})
    commands = extension.commands or tuple(launch_command(known[name]) for name in extension.launch)
    return replace(
        metadata,
        cmd=Commands((), commands),
        runtime=replace(metadata.runtime, cmd=commands),
        extension=replace(extension, applications=tuple(known.values())),
    )


def launch_command(application: Application) -> str:
    """Return the command that launches an application, from the root of the image.

    >>> launch_command(Application("web", "kube", ("a.yaml", "/b/c.yaml")))
    'kubectl apply -f application/apps/web/a.yaml && kubectl apply -f application/apps/web/b/c.yaml'
    """
    root = f"{APPLICATIONS}/{application.name}/"
    if application.commands:
        return f"cd {root} && {' '.join(application.commands)}"
    if application.kind == "helm":
        return f"helm install {application.name} {root}"
    program = "kubectl apply -f" if application.kind == "kube" else "bash"
    return " && ".join(f"{program} {root}{file.lstrip('/')}" for file in application.files)


def _look(source: str, request: CopyRequest, collector: SourceCollector) -> _Source:
    alone = replace(request, sources=(source,), remotes=(), destination=_PROBE, into=False)
    entries = collector.collect(alone).entries
    files = [entry for entry in entries if entry.kind is not Kind.DIRECTORY]
    if [entry.path for entry in files] == [_PROBE]:
        return _Source(is_folder=False, files=(source.rstrip("/").rpartition("/")[2],))
    return _Source(is_folder=True, files=tuple(_below(entry) for entry in files))


def _below(entry: Entry) -> str:
    return entry.path.removeprefix(f"{_PROBE}/")


def _listed(source: _Source) -> tuple[str, ...]:
    return tuple(f"/{path}" for path in source.files) if source.is_folder else source.files


def _ending(path: str) -> str:
    name = path.rpartition("/")[2]
    return name[name.rfind(".") :].lower() if "." in name else ""
