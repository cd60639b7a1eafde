"""What stands in for a base image: built, or brought in, when a FROM asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from harness.asking.kubefiles import kubefile_in
from harness.asking.options import EMPTY
from harness.cases.standins import StandInImageStore
from harness.cases.workshop import Job, Workshop
from kubeimage.api.backends import Backends
from kubeimage.api.building import BuildOptions, read_kubefile
from kubeimage.builder.plan import SCRATCH
from kubeimage.errors import BaseImageError, KubeimageError
from kubeimage.image.config import Image
from kubeimage.image.document import History, Layer
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.kubefile import Kubefile, parse

TAR = ".tar"
_WHOLE_FOLDER = b"FROM scratch\nCOPY . .\n"
_NOTHING = b"FROM scratch\n"


@dataclass(frozen=True)
class Bases:
    """Stand-ins by name.

    Shape: values of ``sources`` are the path of a folder, of a Kubefile or of a tar, or ``empty``.
    """

    sources: Mapping[Reference, str]
    workshop: Workshop
    root: str | None
    building: list[Reference] = field(default_factory=list)

    def over(self, backends: Backends) -> Backends:
        """Return ``backends`` whose image store knows the stand-ins too."""
        if not self.sources:
            return backends

        def look_up(reference: Reference, platform: Platform | None) -> Image | None:
            source = self.sources.get(reference)
            return None if source is None else self._make(reference, source, platform, backends)

        return replace(backends, images=StandInImageStore(backends.images, look_up))

    def find(self, name: str) -> str | None:
        """Return what stands in for the base image ``name``; None where it is the real one."""
        return self.sources.get(Reference.parse(name)) if self.sources and name != SCRATCH else None

    def stand_in(self, name: str) -> str | None:
        """Say what stands in for the base image ``name``; None where it is the real one."""
        source = self.find(name)
        if source is None:
            return None
        shown = source if source == EMPTY else os.path.relpath(source)
        return f"{source if shown.startswith(os.pardir) else shown} stands in for {name}"

    def advice(self, hint: str | None) -> str | None:
        """Say what to do where a base image is not there, in place of the builder's ``hint``, if it had one."""
        if hint is None:
            return None
        names = sorted(reference.familiar() for reference in self.sources)
        there = f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} one already" if names else ""
        return (
            "let something stand in for it, --kubefile-base=NAME=DIR, or name the store that has it, "
            f"--kubefile-root=DIR{'; ' + there if there else ''}"
        )

    def _make(self, reference: Reference, source: str, platform: Platform | None, backends: Backends) -> Image:
        if reference in self.building:
            raise BaseImageError(f"{source} stands in for {reference.familiar()}, and is built FROM it")
        self.building.append(reference)
        try:
            return self._bring(source, platform or Platform.host(), backends)
        except KubeimageError as error:
            raise BaseImageError(
                f"{source}, which stands in for {reference.familiar()}, cannot be made: {error.message}",
                hint=error.hint,
                location=error.location,
            ) from error
        finally:
            self.building.pop()

    def _bring(self, source: str, platform: Platform, backends: Backends) -> Image:
        if source.endswith(TAR):
            return _from_tar(source, platform, backends)
        kubefile, context = project_of(source)
        options = BuildOptions(platform=platform)
        outcome = self.workshop.build(
            Job(kubefile, context or self.workshop.new_folder(), options, lambda: self._opened(backends), self.root)
        )
        if outcome.result is None:
            assert outcome.error is not None
            raise outcome.error
        return outcome.result.image

    @contextmanager
    def _opened(self, backends: Backends) -> Iterator[Backends]:
        """Stay in the session of the build that asks: what it finds must be there until it is done."""
        yield self.over(backends)


def project_of(source: str) -> tuple[Kubefile, str]:
    """Return the Kubefile and the context of a stand-in; an empty context's path is ``""``, that of a tar the tar's.

    Raises: KubefileError, UsageError.
    """
    if source.endswith(TAR):
        return parse(_WHOLE_FOLDER, file=f"({source})"), source
    if source == EMPTY:
        return parse(_NOTHING, file=f"({EMPTY})"), ""
    if not os.path.isdir(source):
        return read_kubefile(source), os.path.dirname(source)
    own = kubefile_in(source)
    return (read_kubefile(own) if own else parse(_WHOLE_FOLDER, file=f"({source})")), source


def _from_tar(source: str, platform: Platform, backends: Backends) -> Image:
    with open(source, "rb") as tar:
        stored = backends.layers.add(tar)
    name = os.path.basename(source)
    image = Image(platform, (Layer(stored.diff_id, stored.size, "COPY", name),), (History(f"COPY {name}"),))
    backends.images.put(image)
    return image
