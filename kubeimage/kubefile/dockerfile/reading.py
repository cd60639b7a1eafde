"""One reader for each of Docker's instructions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.dockerfile.copying import read_add, read_copy
from kubeimage.kubefile.dockerfile.lines import HereDocument
from kubeimage.kubefile.dockerfile.mounts import read_mount
from kubeimage.kubefile.dockerfile.statement import Reading, read_array
from kubeimage.kubefile.expansion import KEY
from kubeimage.kubefile.instructions import Arg, Cmd, Configure, From, Instruction, Run
from kubeimage.kubefile.source import BLANKS
from kubeimage.kubefile.statement import cut, quoted

_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+")


def _read_from(reading: Reading) -> From | None:
    flags, text = reading.take_flags()
    words = text.split()
    unknown = [name for name, _ in flags if name != "platform"]
    if unknown:
        reading.refuse(Mistake.UNKNOWN_FLAG, f"FROM has no flag --{unknown[0]}", "it has --platform")
        return None
    if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
        hint = "as in: FROM kubernetes:v1.25.0, or: FROM kubernetes:v1.25.0 AS base"
        reading.refuse(
            Mistake.MANY_BASES, f"FROM takes an image, or an image AS a name; found {len(words)} words", hint
        )
        return None
    stage = words[2].lower() if len(words) == 3 else ""
    platform = dict(flags).get("platform", "")
    return From(words[0], platform, stage, span=reading.span, written=reading.written)


def _read_arg(reading: Reading) -> Arg | None:
    pairs: list[tuple[str, str | None]] = []
    for word in reading.words():
        key, equals, value = word.partition("=")
        if not re.fullmatch(KEY, key):
            reading.refuse(
                Mistake.BAD_KEY,
                f"a key is letters, digits and _, and starts with no digit; found {quoted(key)}",
                "as in: ARG VERSION=1.2",
            )
            return None
        pairs.append((key, value if equals else None))
    return Arg(tuple(pairs), span=reading.span, written=reading.written)


def _read_pairs(reading: Reading) -> Configure | None:
    words = reading.words()
    if "=" not in words[0]:
        key, *rest = re.split(rf"[{BLANKS}]+", reading.text, maxsplit=1)
        if not rest:
            hint = f"as in: {reading.keyword} {key}=VALUE"
            reading.refuse(
                Mistake.BAD_PAIR, f"{reading.keyword} takes a key and a value, found {quoted(key)} alone", hint
            )
            return None
        return Configure(reading.keyword, (key, rest[0]), is_text=True, span=reading.span, written=reading.written)
    found: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            hint = 'quote a value that holds blanks, as in: KEY="two words"'
            reading.refuse(Mistake.BAD_PAIR, f"{reading.keyword} takes KEY=VALUE, found {quoted(word)}", hint)
            return None
        found += (key, value)
    return Configure(reading.keyword, tuple(found), span=reading.span, written=reading.written)


def _read_command(reading: Reading) -> Configure:
    array = read_array(reading.text)
    words = (reading.text,) if array is None else array
    return Configure(reading.keyword, words, is_text=array is None, span=reading.span, written=reading.written)


def _read_cmd(reading: Reading) -> Cmd:
    array = read_array(reading.text)
    words = (reading.text,) if array is None else array
    return Cmd(words, is_text=array is None, span=reading.span, written=reading.written)


def _read_run(reading: Reading) -> Run | None:
    flags, text = reading.take_flags()
    mounts = []
    for name, value in flags:
        if name == "mount":
            mount = read_mount(reading, value)
            if mount is None:
                return None
            mounts.append(mount)
        elif name != "network" or value not in ("default", "host", "none"):
            known = "--network=default|host|none and --mount are taken; --security is not"
            reading.refuse(Mistake.NOT_TAKEN, f"RUN does not take --{name}{'=' + value if value else ''}", known)
            return None
    network = dict(flags).get("network", "")
    array = read_array(text)
    command, words = ("", array) if array is not None else (_script(text, reading.documents), ())
    return Run(command, words, network, tuple(mounts), span=reading.span, written=reading.written)


def _script(text: str, documents: tuple[HereDocument, ...]) -> str:
    """Return what the shell gets: a here-document that stands alone is the script itself."""
    if len(documents) == 1 and re.fullmatch(r"<<-?[\"']?\w+[\"']?", text.strip()):
        return documents[0].text
    return text + "".join(f"\n{one.text}{one.name}" for one in documents) + ("\n" if documents else "")


def _read_text(reading: Reading) -> Configure:
    return Configure(reading.keyword, (reading.text,), is_text=True, span=reading.span, written=reading.written)


def _read_trigger(reading: Reading) -> Configure | None:
    keyword = reading.text.split(maxsplit=1)[0].upper()
    if keyword not in READERS or keyword in ("ONBUILD", "FROM", "MAINTAINER"):
        message = f"ONBUILD does not take {cut(keyword)}"
        reading.refuse(Mistake.BAD_VALUE, message, "as in: ONBUILD COPY charts ./charts")
        return None
    return _read_text(reading)


def _read_words(reading: Reading) -> Configure:
    array = read_array(reading.text) if reading.keyword == "VOLUME" else None
    words = tuple(reading.text.split()) if array is None else array
    return Configure(reading.keyword, words, is_text=array is None, span=reading.span, written=reading.written)


def _read_shell(reading: Reading) -> Configure | None:
    array = read_array(reading.text)
    if not array:
        reading.refuse(Mistake.BROKEN_ARRAY, "SHELL takes a JSON array", 'as in: SHELL ["/bin/bash", "-c"]')
        return None
    return Configure(reading.keyword, array, span=reading.span, written=reading.written)


_CHECK = "as in: HEALTHCHECK --interval=30s --retries=3 CMD curl -f http://localhost/"
_CHECK_FLAGS = ("interval", "timeout", "start-period", "retries")


def _read_healthcheck(reading: Reading) -> Configure | None:
    flags, text = reading.take_flags()
    for name, value in flags:
        if name not in _CHECK_FLAGS or not (value.isdigit() if name == "retries" else _DURATION.fullmatch(value)):
            reading.refuse(
                Mistake.BAD_VALUE,
                f"HEALTHCHECK does not take --{name}={value}",
                _CHECK,
            )
            return None
    kind, _, command = text.partition(" ")
    if kind.upper() == "NONE" and not command.strip():
        words: tuple[str, ...] = ("NONE",)
    elif kind.upper() == "CMD" and command.strip():
        array = read_array(command.strip())
        words = ("CMD", *array) if array is not None else ("CMD-SHELL", command.strip())
    else:
        reading.refuse(Mistake.BAD_VALUE, "HEALTHCHECK takes CMD and a command, or NONE", _CHECK)
        return None
    options = tuple(f"--{name}={value}" for name, value in flags)
    return Configure(reading.keyword, (*words, *options), span=reading.span, written=reading.written)


READERS: Mapping[str, Callable[[Reading], Instruction | None]] = {
    "FROM": _read_from,
    "ARG": _read_arg,
    "ENV": _read_pairs,
    "LABEL": _read_pairs,
    "COPY": read_copy,
    "ADD": read_add,
    "RUN": _read_run,
    "CMD": _read_cmd,
    "ENTRYPOINT": _read_command,
    "USER": _read_text,
    "WORKDIR": _read_text,
    "MAINTAINER": _read_text,
    "STOPSIGNAL": _read_text,
    "ONBUILD": _read_trigger,
    "EXPOSE": _read_words,
    "VOLUME": _read_words,
    "SHELL": _read_shell,
    "HEALTHCHECK": _read_healthcheck,
}
