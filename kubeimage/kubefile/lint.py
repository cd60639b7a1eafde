"""Advice on a Kubefile that is valid: what its author probably did not mean."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from itertools import pairwise

from kubeimage.errors import Diagnostic, Location, ReferenceFormatError
from kubeimage.image.compatibility import DEFAULT_DIALECT
from kubeimage.image.reference import DEFAULT_TAG, Reference
from kubeimage.kubefile.codes import Advice, Mistake
from kubeimage.kubefile.expansion import KEY, UNSUPPORTED, USE, names_used, unsupported_forms
from kubeimage.kubefile.heredocs import HERE_DOCUMENT, HINT, begins_document
from kubeimage.kubefile.ignores import Ignores
from kubeimage.kubefile.instructions import KEYWORDS, Arg, Cmd, Copy, From, Instruction, Kubefile, Run, find_stage
from kubeimage.kubefile.scope import ARCHITECTURE
from kubeimage.kubefile.source import BLANKS, Span
from kubeimage.kubefile.statement import cut, quoted
from kubeimage.patterns import pattern

AUTH_LIST = "imageListWithAuth.yaml"

_SECRET_PARTS = frozenset(
    {"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "CREDENTIALS", "APIKEY", "PRIVATEKEY"}
)
_SECRET_KEYS = frozenset({("API", "KEY"), ("ACCESS", "KEY"), ("SECRET", "KEY"), ("PRIVATE", "KEY"), ("SSH", "KEY")})
_KEY_WORD = pattern(rf"(?<![A-Za-z0-9_])({KEY})")
_SWALLOWED = rf"(?:{'|'.join(KEYWORDS)})[{BLANKS}]"
_NOT_SHELL_TEXT = r'--[a-z]|\[ *"'
_OPEN_END = pattern(r"(?<!\\)(&&|\|\|?)$")


def lint(kubefile: Kubefile) -> tuple[Diagnostic, ...]:
    """Return the advice that the text of ``kubefile`` alone is worth, in the order of its lines.

    Comments such as ``# lint: ignore=W06`` are heeded.
    """
    ignores = Ignores(kubefile)
    if kubefile.dialect != DEFAULT_DIALECT:
        # The rest of the advice is about sealer's own rules.
        outside = [
            one.base for one in kubefile.stages if find_stage(one.base.name, kubefile.stages[: one.number]) is None
        ]
        found = [*ignores.complaints, *(advice for base in outside for advice in _about_base(base))]
        if kubefile.dialect == "sealos":
            from kubeimage.kubefile.dockerfile.advice import about_sealos

            found += about_sealos(kubefile)
        return tuple(sorted((one for one in found if not ignores.silence(one.code, _place(one)[0])), key=_place))
    advice = [
        *ignores.complaints,
        *_about_uses(kubefile),
        *_about_arguments(kubefile),
        *_about_commands(kubefile),
        *(diagnostic for instruction in kubefile.instructions for diagnostic in _about_one(instruction)),
    ]
    heard = [one for one in advice if not ignores.silence(one.code, _place(one)[0])]
    return tuple(sorted(heard, key=_place))


def _place(diagnostic: Diagnostic) -> tuple[int, int]:
    location = diagnostic.location
    return (location.line, location.column) if location else (0, 0)


def _advise(advice: Advice, message: str, span: Span, hint: str) -> Diagnostic:
    return Diagnostic(advice.code, message, span.location, hint, "warning")


def _expanded_texts(instruction: Instruction) -> tuple[str, ...]:
    """The texts of an instruction that the build expands."""
    match instruction:
        case From():
            return (instruction.name,)
        case Arg():
            return tuple(value for _, value in instruction.pairs if value is not None)
        case Copy():
            return (*instruction.sources, instruction.destination)
        case _:
            return ()


def _texts(instruction: Instruction) -> tuple[str, ...]:
    match instruction:
        case Run():
            return (instruction.command,)
        case Cmd():
            return instruction.commands
        case _:
            return _expanded_texts(instruction)


def _names(texts: tuple[str, ...]) -> dict[str, None]:
    return dict.fromkeys(name for text in texts for name in names_used(text))


def _about_uses(kubefile: Kubefile) -> Iterator[Diagnostic]:
    """What is used above its ARG, or without one."""
    declared, above = frozenset(kubefile.declared), set[str]()
    for instruction in kubefile.instructions:
        names = _unknown_names(instruction, above)
        if isinstance(instruction, Run | Cmd):
            names = [name for name in names if name in declared]
        places = _places(instruction, USE) if names else {}
        for name in names:
            span = places.get(name, instruction.span)
            yield _used_above(name, span) if name in declared else _undeclared(name, span)


def _unknown_names(instruction: Instruction, above: set[str]) -> list[str]:
    """The names that an instruction uses and that are not in ``above``, where an ARG adds its own keys one by one."""
    if not isinstance(instruction, Arg):
        predefined = ARCHITECTURE if isinstance(instruction, Copy) else None
        return [name for name in _names(_texts(instruction)) if name not in above and name != predefined]
    unknown: dict[str, None] = {}
    for key, value in instruction.pairs:
        unknown.update((name, None) for name in names_used(value or "") if name not in above)
        above.add(key)
    return list(unknown)


def _places(instruction: Instruction, pattern: re.Pattern[str]) -> dict[str, Span]:
    """Where each match of ``pattern`` stands first, by its groups' text: one pass, however many there are."""
    places: dict[str, Span] = {}
    for found, span in instruction.span.find_all(pattern):
        for name in filter(None, found.groups()):
            places.setdefault(name, span)
    return places


def _used_above(name: str, span: Span) -> Diagnostic:
    message = f"{cut(name)} is used above its ARG, where it has no value"
    return _advise(Advice.USED_ABOVE_ARG, message, span, f"move ARG {cut(name)} up")


def _undeclared(name: str, span: Span) -> Diagnostic:
    message = f"no ARG declares {cut(name)}, so ${cut(name)} stays as it is written"
    hint = f"declare it with ARG {cut(name)}, or write \\${cut(name)} to mean the text"
    return _advise(Advice.UNDECLARED, message, span, hint)


def _about_arguments(kubefile: Kubefile) -> Iterator[Diagnostic]:
    shell = any(isinstance(instruction, Run | Cmd) for instruction in kubefile.instructions)
    used = {name for instruction in kubefile.instructions for name in _names(_expanded_texts(instruction))}
    for argument in kubefile.arguments:
        places = _places(argument, _KEY_WORD)
        for key, value in argument.pairs:
            span = places.get(key, argument.span)
            if looks_secret(key):
                yield _secret(key, span, shown=value is None)
            if key == ARCHITECTURE:
                message = f"in COPY, {key} is always the target architecture; this ARG reaches RUN alone"
                yield _advise(Advice.SHADOWED_ARCH, message, span, "choose another key")
            elif not shell and key not in used:
                message = f"{cut(key)} is used by nothing: there is no RUN and no CMD"
                yield _advise(Advice.UNUSED_ARGUMENT, message, span, "take the ARG away")


def looks_secret(key: str) -> bool:
    """Whether an ARG's key sounds as if its value should stay secret."""
    parts = key.upper().split("_")
    return not _SECRET_PARTS.isdisjoint(parts) or any(pair in _SECRET_KEYS for pair in pairwise(parts))


def _secret(key: str, span: Span, *, shown: bool) -> Diagnostic:
    message = f"{cut(key)} looks like a secret, and the value of an ARG stands in the image for everybody to read"
    hint = "let the cluster provide it, or read it from a file that no COPY takes"
    # The line of a default would show the secret in every log of the advice.
    place = span.location
    location = place if shown else Location(place.file, place.line, place.column)
    return Diagnostic(Advice.SECRET_ARGUMENT.code, message, location, hint, "warning")


def _about_commands(kubefile: Kubefile) -> Iterator[Diagnostic]:
    before: str | None = None
    for instruction in kubefile.instructions:
        for command in instruction.commands if isinstance(instruction, Cmd) else ():
            if command == before:
                message = f"the same command twice in a row: {quoted(command)}"
                hint = "take one away; a cluster would run both"
                yield _advise(Advice.REPEATED_COMMAND, message, instruction.span, hint)
            before = command


def _about_one(instruction: Instruction) -> Iterator[Diagnostic]:
    yield from _about_swallowed(instruction)
    yield from _about_forms(instruction)
    match instruction:
        case From():
            yield from _about_base(instruction)
        case Copy():
            yield from _about_copy(instruction)
        case Run():
            yield from _about_run(instruction)
            yield from _about_shell_text(instruction, instruction.command)
        case Cmd():
            yield from _about_array(instruction)
            for command in instruction.commands:
                yield from _about_shell_text(instruction, command)
        case Arg():
            pass


def _about_swallowed(instruction: Instruction) -> Iterator[Diagnostic]:
    span = instruction.span
    for index, line in enumerate(span.lines[1:], start=1):
        if re.match(_SWALLOWED, line):
            keyword, number = line.split(maxsplit=1)[0], span.first_line + index
            message = f"this {keyword} is part of the {instruction.keyword} above, whose line ends in a \\"
            here = Span(span.file, number, number, 1, len(keyword), (line,))
            hint = f"take that \\ away, or indent the line if {keyword} is a word of it"
            yield _advise(Advice.SWALLOWED_INSTRUCTION, message, here, hint)


def _about_forms(instruction: Instruction) -> Iterator[Diagnostic]:
    forms = dict.fromkeys(form for text in _expanded_texts(instruction) for form in unsupported_forms(text))
    places = _places(instruction, UNSUPPORTED) if forms else {}
    for form in forms:
        message = f"{quoted(form)} is not expanded: only $KEY and ${{KEY}} are"
        hint = "give the ARG a default: ARG KEY=VALUE"
        yield _advise(Advice.UNSUPPORTED_EXPANSION, message, places.get(form, instruction.span), hint)


def _about_base(base: From) -> Iterator[Diagnostic]:
    if base.name == "scratch" or "$" in base.name:
        return
    try:
        reference = Reference.parse(base.name)
    except ReferenceFormatError as error:
        hint = "as in: FROM kubernetes:v1.25.0"
        yield Diagnostic(Mistake.BAD_BASE.code, error.message, base.span.location, hint)
        return
    if reference.digest is None and reference.tag == DEFAULT_TAG:
        message = f"{quoted(base.name)} may be another image tomorrow"
        yield _advise(
            Advice.FLOATING_BASE, message, base.span, f"name a tag, as in: FROM {reference.with_tag('v1').familiar()}"
        )


def _about_copy(copy: Copy) -> Iterator[Diagnostic]:
    for source in copy.sources:
        if source.rstrip("/").rpartition("/")[2] == AUTH_LIST:
            message = f"{AUTH_LIST} holds passwords and never enters a layer"
            yield _advise(
                Advice.AUTH_LIST, message, copy.span.word(source), "leave it out: the build finds it by itself"
            )

    if not copy.exact:
        for source in copy.sources:
            yield from _about_slash(copy, source)


def _about_slash(copy: Copy, source: str) -> Iterator[Diagnostic]:
    name, folder = _last_name(source), _last_name(copy.destination)
    if not source.endswith("/") or name in {"", ".", "..", folder} or "*" in name:
        return
    place = posixpath.normpath("/" + copy.destination.lstrip("/"))
    made = posixpath.join(place, name)
    message = f"the / at the end of {quoted(source)} changes nothing: this makes {cut(made)}"
    hint = f"to copy what is in it: COPY {cut(source)}. {cut(copy.destination)}; to mean the folder: leave the / out"
    yield _advise(Advice.TRAILING_SLASH, message, copy.span.word(source), hint)


def _last_name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _about_shell_text(instruction: Run | Cmd, text: str) -> Iterator[Diagnostic]:
    found = begins_document(text)
    if found:
        message = f"{quoted(found[1])} begins a here-document, whose text would have to stand on lines of its own"
        yield _advise(Advice.HERE_DOCUMENT, message, instruction.span.search(HERE_DOCUMENT), HINT)
    end = _OPEN_END.search(text.rstrip(BLANKS))
    if end:
        message = f"the command ends in {end[1]}, and nothing follows"
        hint = "take it away; if a line was to follow, end this one with a \\"
        yield _advise(Advice.OPEN_COMMAND, message, _last_place(instruction.span, end[1]), hint)


def _last_place(span: Span, text: str) -> Span:
    """Return where ``text`` stands last in an instruction."""
    found = [place for _, place in span.find_all(re.compile(f"{re.escape(text)}(?=[{BLANKS}\\\\]*$)"))]
    return found[-1] if found else span


def _about_run(run: Run) -> Iterator[Diagnostic]:
    found = re.match(_NOT_SHELL_TEXT, run.command)
    if found:
        what = "a flag" if found[0].startswith("--") else "an array"
        message = f"RUN gives its text to the shell as it is; this is not {what} to it"
        yield _advise(Advice.RUN_IS_SHELL_TEXT, message, run.span, "write the command as you would type it")


def _about_array(cmd: Cmd) -> Iterator[Diagnostic]:
    commands = cmd.commands
    if len(commands) < 2:
        return
    if commands[1].startswith("-") or not any(" " in command or "\t" in command for command in commands):
        message = f"a CMD array is a list of commands; these look like the {len(commands)} words of one"
        hint = f"write one command as it is typed: CMD {' '.join(commands)[:60]}"
        yield _advise(Advice.ARGV_ARRAY, message, cmd.span, hint)
