"""A parsed Kubefile: one frozen dataclass an instruction; where one stood makes no difference to equality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any, ClassVar, NamedTuple

from kubeimage.image.compatibility import DEFAULT_DIALECT, Dialect
from kubeimage.kubefile.arrays import format_array, looks_like_array
from kubeimage.kubefile.dialects import read_directives
from kubeimage.kubefile.source import BLANKS, NOWHERE, Source, Span, ends_in_odd_backslash
from kubeimage.kubefile.words import is_plain, quote
from kubeimage.values import dataclass


@dataclass(frozen=True)
class _Spanned:
    """What all instructions have.

    Shape: ``written`` is what follows the keyword, in the dialects that follow Docker's rules; empty in sealer's.
    """

    span: Span = field(default=NOWHERE, compare=False, repr=False, kw_only=True)
    written: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class From(_Spanned):
    """The base image, as it is written: ``scratch``, a reference, or one with ``${KEY}`` in it.

    Shape: ``platform`` and ``stage`` (what AS gives) are empty where they are not said.
    """

    keyword: ClassVar[str] = "FROM"

    name: str
    platform: str = ""
    stage: str = ""

    @property
    def value(self) -> str:
        """The name, in quotes if it needs them."""
        return self.written or (self.name if is_plain(self.name) else quote(self.name))


@dataclass(frozen=True)
class Arg(_Spanned):
    """Declared arguments with their defaults, not expanded.

    Shape: keys differ; a None (no default) stands alone.
    """

    keyword: ClassVar[str] = "ARG"

    pairs: tuple[tuple[str, str | None], ...]

    @property
    def value(self) -> str:
        """``KEY=VALUE,...``, each value in quotes if it needs them."""
        from kubeimage.kubefile.arguments import format_pairs

        return self.written or format_pairs(self.pairs)


@dataclass(frozen=True)
class Copy(_Spanned):
    """Sources of the build context and the place they get, not expanded.

    Shape: ``sources`` are patterns, at least one; exactly one with ``exact``. ``excludes`` are patterns as in a
           ``.dockerignore``. ``origin`` is the stage or the image that ``--from`` names; empty for the build context.
           ``owner`` is what ``--chown`` says. With ``parents`` each source keeps the folders that it stands in.
    Units: ``chmod`` holds permission bits, or is None.
    """

    keyword: ClassVar[str] = "COPY"

    sources: tuple[str, ...]
    destination: str
    exact: bool = False
    chmod: int | None = None
    excludes: tuple[str, ...] = ()
    origin: str = ""
    owner: str = ""
    parents: bool = False

    @property
    def value(self) -> str:
        """Flags, sources and destination; as a JSON array where a name needs it."""
        if self.written:
            return self.written
        flags = ["--exact"] if self.exact else []
        if self.chmod is not None:
            flags.append(f"--chmod={self.chmod:o}")
        names = (*self.sources, self.destination)
        plain = all(map(is_plain, names)) and not looks_like_array(names)
        return " ".join([*flags, *names] if plain else [*flags, format_array(names)])


@dataclass(frozen=True)
class Add(Copy):
    """A COPY that unpacks archives of the build context, and fetches what URLs name.

    Shape: ``checksum`` is that of the only URL, as ``sha256:HEX``; it may hold variables, and be empty.
    """

    keyword: ClassVar[str] = "ADD"

    checksum: str = ""


@dataclass(frozen=True)
class RunMount:
    """What ``RUN --mount`` shows a command.

    Shape: ``kind`` is ``bind``, ``cache``, ``tmpfs`` or ``secret``. ``source`` is a path of the build context, or of
           the stage or image ``origin``. ``name`` is a cache's or a secret's. ``sharing`` is ``shared``, ``private`` or
           ``locked``. ``variable`` gets a secret's value; without a ``target`` no file does. A build without a secret
           that is ``required`` is none.
    Units: ``mode`` holds permission bits; ``size`` in bytes, or None.
    """

    kind: str
    target: str
    source: str = ""
    origin: str = ""
    name: str = ""
    sharing: str = "shared"
    read_only: bool = False
    mode: int = 0o755
    owner: tuple[int, int] = (0, 0)
    size: int | None = None
    variable: str = ""
    required: bool = False


@dataclass(frozen=True)
class Run(_Spanned):
    """A command for ``sh -c``, byte for byte.

    Shape: ``words`` are the exec form's, which no shell reads; then ``command`` is empty.
    """

    keyword: ClassVar[str] = "RUN"

    command: str
    words: tuple[str, ...] = ()
    network: str = ""
    mounts: tuple[RunMount, ...] = ()

    @property
    def value(self) -> str:
        """The command."""
        return self.written or self.command


@dataclass(frozen=True)
class Cmd(_Spanned):
    """Commands that a cluster runs when it starts; none is run at build.

    Shape: ``is_text`` where one command stands without an array; only the dialects after Docker's tell these apart.
    """

    keyword: ClassVar[str] = "CMD"

    commands: tuple[str, ...]
    is_text: bool = False

    @property
    def value(self) -> str:
        """The command as it is, or a JSON array of commands."""
        if self.written:
            return self.written
        if len(self.commands) == 1 and _stands_on_a_line(self.commands[0]):
            return self.commands[0]
        return format_array(self.commands)


@dataclass(frozen=True)
class Configure(_Spanned):
    """An instruction that says something of the image and brings no files: ENV, LABEL, USER and their like.

    Shape: ``words`` are not expanded. Those of ENV and LABEL come in pairs: a key, then its value.
           ``is_text`` where a command stands without an array, or a value runs to the end of the line.
    """

    keyword: str
    words: tuple[str, ...]
    is_text: bool = False

    @property
    def value(self) -> str:
        """What follows the keyword."""
        return self.written


Instruction = From | Arg | Copy | Run | Cmd | Configure


class Stage(NamedTuple):
    """A part of a Kubefile that begins with a FROM.

    Shape: ``number`` counts from 0, as COPY --from does.
    """

    number: int
    instructions: tuple[Instruction, ...]

    @property
    def base(self) -> From:
        """The FROM that begins it."""
        first = self.instructions[0]
        assert isinstance(first, From)
        return first

    @property
    def name(self) -> str:
        """What AS calls it, else its number."""
        return self.base.stage or str(self.number)

    @property
    def layered(self) -> tuple[Instruction, ...]:
        """The instructions that can add a layer, in order."""
        return tuple(one for one in self.instructions if isinstance(one, Copy | Run) or _brings_files(one))


def find_stage(name: str, stages: Sequence[Stage]) -> Stage | None:
    """Return the stage that FROM or another word calls ``name``; None where it is an image's name."""
    return next((one for one in stages if one.base.stage and one.base.stage == name.lower()), None)


KEYWORDS = tuple(kind.keyword for kind in (From, Arg, Copy, Run, Cmd))


@dataclass(frozen=True)
class Kubefile:
    """A valid Kubefile.

    Shape: a From for each stage, with nothing but Args before the first. Only the dialect sealos has several stages.
    """

    instructions: tuple[Instruction, ...]
    source: Source = field(default=Source("Kubefile", ""), compare=False, repr=False)
    dialect: Dialect = DEFAULT_DIALECT

    def __post_init__(self) -> None:
        kinds = [type(instruction) for instruction in self.instructions if not isinstance(instruction, Arg)]
        if kinds[:1] != [From] or (kinds.count(From) != 1 and self.dialect != "sealos"):
            raise ValueError("a Kubefile has exactly one FROM, and nothing but ARG before it")

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """Print it, for Hypothesis and IPython, as what can be pasted into a test."""
        text = "".join(f"{one.keyword} {one.value}\n" for one in self.instructions)
        if self.dialect != DEFAULT_DIALECT:
            text = f"# syntax={self.dialect}\n{text}"
        raw = "r" if "\\" in text else ""
        printer.text(f"parse({text!r})" if '"""' in text else f'parse({raw}"""\n{text}""")')

    @property
    def escape(self) -> str:
        """The character that continues a line, and takes the next one as it is."""
        return read_directives(self.source).escape

    @property
    def file(self) -> str:
        """The name of the file that was parsed."""
        return self.source.file

    @property
    def base(self) -> From:
        """The FROM of the image itself: of several, the last one."""
        return next(one for one in reversed(self.instructions) if isinstance(one, From))

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, in order."""
        starts = [at for at, one in enumerate(self.instructions) if isinstance(one, From)]
        ends = [*starts[1:], len(self.instructions)]
        return tuple(
            Stage(number, self.instructions[start:end])
            for number, (start, end) in enumerate(zip(starts, ends, strict=True))
        )

    @property
    def arguments(self) -> tuple[Arg, ...]:
        """Every ARG, in order."""
        return tuple(instruction for instruction in self.instructions if isinstance(instruction, Arg))

    @property
    def declared(self) -> tuple[str, ...]:
        """Every key that an ARG declares, in the order of its first ARG."""
        return tuple(dict.fromkeys(key for argument in self.arguments for key, _ in argument.pairs))

    @property
    def layered(self) -> tuple[Instruction, ...]:
        """The instructions that can add a layer to the image, in order."""
        return tuple(one for stage in self._chain for one in stage.layered)

    @property
    def of_image(self) -> tuple[Instruction, ...]:
        """The instructions of the last stage, and before them those of the stages that it stands on."""
        return tuple(one for stage in self._chain for one in stage.instructions)

    @property
    def _chain(self) -> list[Stage]:
        stages = self.stages
        chain = [stages[-1]]
        while (below := find_stage(chain[0].base.name, stages[: chain[0].number])) is not None:
            chain.insert(0, below)
        return chain

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands of every CMD, in order."""
        return tuple(
            command
            for instruction in self.instructions
            if isinstance(instruction, Cmd)
            for command in instruction.commands
        )


def _brings_files(one: Instruction) -> bool:
    return isinstance(one, Configure) and one.keyword in ("WORKDIR", "APP", "CNI", "CSI")


def _stands_on_a_line(command: str) -> bool:
    """Whether CMD followed by ``command`` would be read as just that."""
    return (
        command == command.strip(BLANKS)
        and command[:1] not in {"", "["}
        and not ends_in_odd_backslash(command)
        and "\n" not in command
    )
