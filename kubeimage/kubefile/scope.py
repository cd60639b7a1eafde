"""Which ARG values each instruction sees, and what FROM and COPY become with them.

- An ARG is visible from its line on. A later ARG of the same key replaces its value from there on.
- A build argument takes the place of the default in every ARG of its key; it is taken as it is, not expanded.
- A default may use the ARGs above it.
- ``ARG KEY`` without a build argument declares the key and leaves it unset: RUN does not get it, and FROM, COPY or
  another ARG cannot use it.
- What a base image declares is not visible here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType

from kubeimage.errors import BuildArgError, Diagnostic, KubefileError
from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.expansion import USE, expand, expanded_length, name_of, names_used
from kubeimage.kubefile.instructions import Arg, Copy, From, Instruction, Kubefile
from kubeimage.kubefile.names import check_base, check_destination, check_source
from kubeimage.kubefile.source import Span
from kubeimage.kubefile.statement import Problem, closest, cut, quoted
from kubeimage.values import dataclass

ARCHITECTURE = "ARCH"

# In characters, for one instruction or for all defaults; about what Linux lets a process be given at all.
LONGEST_EXPANSION = 1 << 20

Settings = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Visible:
    """The ARGs that one instruction sees.

    Shape: ``settings`` are the whole file's, in order; the first ``count`` of them stand above the instruction.
    """

    settings: Settings
    count: int

    @cached_property
    def values(self) -> Mapping[str, str]:
        """The value of each key that has one, in the order of their first ARG: what RUN gets."""
        return MappingProxyType({key: value for key, value in self._latest.items() if value is not None})

    @cached_property
    def unset(self) -> frozenset[str]:
        """The keys that are declared and have no value."""
        return frozenset(key for key, value in self._latest.items() if value is None)

    @cached_property
    def _latest(self) -> Mapping[str, str | None]:
        return dict(self.settings[: self.count])

    def expand_base(self, base: From) -> str:
        """Return the name of the base image.

        Raises: KubefileError where an ARG that it uses is unset, or the result is no image reference.
        """
        name = _Expander(self.values, self.unset).expand(base.name, base.span)
        _refuse(check_base(name, expanded=True), base.span)
        return name

    def expand_copy(self, copy: Copy, architecture: str) -> Copy:
        """Return ``copy`` with all its names expanded; ``${ARCH}`` is ``architecture``, whatever an ARG says.

        Raises: KubefileError where an ARG that it uses is unset, or a name becomes empty or leaves its root.
        """
        expander = _Expander({**self.values, ARCHITECTURE: architecture}, self.unset - {ARCHITECTURE})
        sources = tuple(expander.expand(source, copy.span) for source in copy.sources)
        destination = expander.expand(copy.destination, copy.span)
        for written, source in zip(copy.sources, sources, strict=True):
            _refuse(check_source(source, expanded=True), copy.span, written)
        _refuse(check_destination(destination, expanded=True), copy.span, copy.destination)
        return replace(copy, sources=sources, destination=destination)


@dataclass(frozen=True)
class Scope:
    """What every ARG of a Kubefile amounts to, with the build arguments applied.

    Shape: ``settings`` has one (key, value) for each pair of each ARG, in order; None stands for unset.
    """

    kubefile: Kubefile
    settings: Settings

    @classmethod
    def of(cls, kubefile: Kubefile, build_args: Mapping[str, str] = MappingProxyType({})) -> Scope:
        """Apply ``build_args`` to the ARGs of ``kubefile``.

        Raises: BuildArgError for a key that no ARG declares; KubefileError for a default that uses an unset ARG, or
                that grows beyond measure.
        """
        _check_declared(kubefile, build_args)
        return cls(kubefile, tuple(_settle(kubefile, build_args)))

    @cached_property
    def arguments(self) -> Mapping[str, str]:
        """The value of each key at the end of the file, but for unset ones: what the image records."""
        return Visible(self.settings, len(self.settings)).values

    def walk(self) -> Iterator[tuple[Instruction, Visible]]:
        """Yield each instruction, in order, with what it sees; an ARG sees its own keys as well."""
        visible = Visible(self.settings, 0)
        for instruction in self.kubefile.instructions:
            if isinstance(instruction, Arg):
                visible = Visible(self.settings, visible.count + len(instruction.pairs))
            yield instruction, visible

    @cached_property
    def base_name(self) -> str:
        """The name of the base image.

        Raises: KubefileError, as ``Visible.expand_base`` does.
        """
        visible = next(visible for instruction, visible in self.walk() if isinstance(instruction, From))
        return visible.expand_base(self.kubefile.base)


def _check_declared(kubefile: Kubefile, build_args: Mapping[str, str]) -> None:
    for key, value in build_args.items():
        if "\0" in value:
            raise BuildArgError(f"the build argument {quoted(key)} holds a NUL character, which no program takes")
    declared = dict.fromkeys(kubefile.declared)
    unknown = [key for key in build_args if key not in declared]
    if not unknown:
        return
    known = f"declared: {', '.join(declared)}" if declared else "the Kubefile declares none"
    meant = closest(unknown[0], declared)
    asked = f" (did you mean {meant}?)" if meant else ""
    undeclared = f"leave it out, or add to {kubefile.file}: ARG {cut(unknown[0])}"
    raise BuildArgError(
        f"no ARG declares the build argument {', '.join(map(quoted, unknown))}{asked}; {known}",
        hint=f"write --build-arg {meant}=…" if meant else undeclared,
    )


def _settle(kubefile: Kubefile, build_args: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    values: dict[str, str] = {}
    unset: set[str] = set()
    expander = _Expander(values, unset)
    for argument in kubefile.arguments:
        for key, default in argument.pairs:
            value = build_args.get(key)
            if value is None and default is not None:
                value = expander.expand(default, argument.span)
            if value is None:
                values.pop(key, None)
                unset.add(key)
            else:
                values[key] = value
                unset.discard(key)
            yield key, value


class _Expander:
    """Expands texts up to a total length: defaults that double each other would exhaust any memory."""

    def __init__(self, values: Mapping[str, str], unset: AbstractSet[str]) -> None:
        self.values = values
        self.unset = unset
        self.made = 0

    def expand(self, text: str, span: Span) -> str:
        if "$" not in text:
            return text
        for name in names_used(text):
            if name in self.unset:
                _refuse_unset(name, span)
        self.made += expanded_length(text, self.values)
        if self.made > LONGEST_EXPANSION and self.made > len(text):
            message = f"expanding the ARGs gives more than {LONGEST_EXPANSION} characters"
            _refuse(Problem(Mistake.LONG_EXPANSION, message, "do the values repeat each other?"), span)
        return expand(text, self.values)


def _refuse_unset(name: str, span: Span) -> None:
    uses = (place for use, place in span.find_all(USE) if name_of(use) == name)
    message = f"{cut(name)} is used, and has no value"
    hint = f"give it one: --build-arg {cut(name)}=VALUE, or a default: ARG {cut(name)}=VALUE"
    _refuse(Problem(Mistake.UNSET_ARGUMENT, message, hint), next(uses, span))


def _refuse(problem: Problem | None, span: Span, word: str | None = None) -> None:
    if problem is not None:
        location = (span if word is None else span.word(word)).location
        raise KubefileError([Diagnostic(problem.mistake.code, problem.message, location, problem.hint)])
