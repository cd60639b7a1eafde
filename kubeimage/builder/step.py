"""One instruction with its inputs resolved, and what of these its cache key holds.

Source: the project's design, "Execution" (Cache).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kubeimage.errors import Location
from kubeimage.image.digest import Digest
from kubeimage.kubefile import Copy, Instruction, Run, looks_secret
from kubeimage.kubefile.instructions import RunMount
from kubeimage.layer.entry import ROOT, Owner
from kubeimage.protocols.cachekey import Fields
from kubeimage.protocols.context import CopyRequest
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.protocols.running import Command, ImageRoot


@dataclass(frozen=True)
class StepMount:
    """A ``--mount`` of a RUN with everything expanded.

    Shape: ``copy`` is what a bind shows, None for the other kinds. ``origin``, ``taken`` and ``taken_key`` are as those
           of a `Step`.
    """

    mount: RunMount
    copy: CopyRequest | None = None
    origin: tuple[Digest, ...] | None = None
    taken: int | None = None
    taken_key: Digest | None = None

    def fields(self, number: int) -> Iterator[tuple[str, str]]:
        """Yield what a cache key says of it."""
        one = self.mount
        about = (one.kind, one.target, one.source, one.name or "", "ro" if one.read_only else "rw")
        if one.variable:
            yield f"mount {number} variable", one.variable
        yield f"mount {number}", " ".join(about)
        if self.taken_key is not None:
            yield f"mount {number} stage", str(self.taken_key)
        for place, layer in enumerate(self.origin or (), 1):
            yield f"mount {number} from {place}", str(layer)


@dataclass(frozen=True)
class Step:
    """One instruction behind FROM, with its inputs resolved.

    Shape: ``number`` counts from 1. Exactly one of ``copy``, ``run`` and ``directory`` is set where the step may make a
           layer; the last is a folder that must be there afterwards. It belongs to ``as_user``, who is ``owner`` once
           the image is known. ``application`` is the name of the one that
           ``copy`` brings the files of. ``origin`` are the layers of the image or the stage that ``copy`` takes from,
           where that is not the build context. Of a stage, ``taken`` is the number, and ``taken_key`` the last key;
           layers and key are known once it is built. ``mounts`` are those of a RUN.
           ``stage`` is the name of the step's own stage, empty where there is only one. ``of_image`` is whether what
           it makes is the image's, and not another stage's.
           ``given`` are the keys of an ARG that a build argument gives a value, in place of what is written.
    Units: ``mtime`` in seconds, of the entries that have no times of their own: SOURCE_DATE_EPOCH, or 0.
    """

    number: int
    instruction: Instruction
    copy: CopyRequest | None = None
    run: Command | None = None
    directory: str | None = None
    as_user: str = ""
    owner: Owner = ROOT
    application: str | None = None
    origin: tuple[Digest, ...] | None = None
    taken: int | None = None
    taken_key: Digest | None = None
    mounts: tuple[StepMount, ...] = ()
    stage: str = ""
    of_image: bool = True
    mtime: int = 0
    given: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """The instruction on one line."""
        return f"{self.instruction.keyword} {self.instruction.value}"

    @property
    def shown(self) -> str:
        """The instruction on one line, and what holds in place of an ARG's default; a secret's value is left out."""
        held = (f"{key}={'…' if looks_secret(key) else value}" for key, value in self.given)
        return f"{self.text} ({', '.join(held)} by --build-arg)" if self.given else self.text

    @property
    def location(self) -> Location:
        """Where it stands."""
        return self.instruction.span.location

    @property
    def makes_layer(self) -> bool:
        """Whether it may add a layer."""
        return self.copy is not None or self.run is not None or self.directory is not None

    @property
    def needed(self) -> tuple[int, ...]:
        """The numbers of the stages that it takes from."""
        numbers = (self.taken, *(one.taken for one in self.mounts))
        return tuple(dict.fromkeys(number for number in numbers if number is not None))

    def taking(self, stages: Mapping[int, tuple[Digest, Sequence[Digest]]]) -> Step:
        """Return the step once the stages that it takes from are built: the last key of each, and its layers."""
        if not self.needed:
            return self
        mounts = []
        for one in self.mounts:
            key, layers = stages[one.taken] if one.taken is not None else (one.taken_key, one.origin)
            mounts.append(replace(one, origin=tuple(layers) if layers is not None else None, taken_key=key))
        step = replace(self, mounts=tuple(mounts))
        if self.taken is None:
            return step
        key, layers = stages[self.taken]
        return replace(step, origin=tuple(layers), taken_key=key)

    def cache_fields(self) -> Fields:
        """What, beside the steps before and the sources, this step's result depends on."""
        if self.copy is not None:
            layers = [(f"from {number}", str(one)) for number, one in enumerate(self.origin or (), 1)]
            stage = [("from stage", str(self.taken_key))] if self.taken_key is not None else []
            return (*_copy_fields(self.copy), *stage, *layers)
        if self.directory is not None:
            owner = [("owner", _owner(self.owner))] if self.owner != ROOT else []
            return (("kind", "WORKDIR"), ("directory", self.directory), *owner, ("timestamps", str(self.mtime)))
        assert self.run is not None
        network = "host" if self.run.network else "none"
        arguments = [(f"arg {name}", _readable(name, value)) for name, value in sorted(self.run.environment.items())]
        times = [("timestamps", str(self.mtime))] if self.mtime else []
        if self.run.image is not None:
            arguments += _image_fields(self.run.image)
        for number, mount in enumerate(self.mounts, 1):
            arguments += mount.fields(number)
        return (("kind", Run.keyword), ("command", self.run.script), ("network", network), *arguments, *times)


def _readable(name: str, value: str) -> str:
    """A cache record can be read by anybody who reads the store: a secret enters it as a digest."""
    return str(Digest.of(value.encode())) if looks_secret(name) else value


def _image_fields(image: ImageRoot) -> list[tuple[str, str]]:
    words = [(f"word {number}", word) for number, word in enumerate(image.argv, 1)]
    return [("root", "image"), ("directory", image.directory), ("user", ":".join(map(str, image.user))), *words]


def _owner(owner: Owner) -> str:
    return ":".join(map(str, owner))


def _copy_fields(request: CopyRequest) -> Fields:
    return (
        ("kind", "ADD" if request.unpack else Copy.keyword),
        *((f"source {number}", source) for number, source in enumerate(request.sources, 1)),
        *_remote_fields(request),
        ("destination", request.destination),
        ("exact", str(request.exact).lower()),
        ("chmod", "" if request.chmod is None else f"{request.chmod:o}"),
        *((("into", str(request.into).lower()),) if request.by_docker else ()),
        *((("chown", _owner(request.owner)),) if request.owner is not None else ()),
        *((("parents", "true"),) if request.parents else ()),
        *((f"exclude {number}", one) for number, one in enumerate(request.excludes, 1) if request.from_image),
        ("timestamps", "preserve" if request.mtime is None else str(request.mtime)),
    )


def _remote_fields(request: CopyRequest) -> Iterator[tuple[str, str]]:
    """What is fetched goes by its checksum; one that has none is a part of the key once it is there."""
    for number, remote in enumerate(request.remotes, 1):
        yield f"url {number}", remote.url
        if remote.checksum is not None:
            yield f"content {number}", str(remote.checksum)
