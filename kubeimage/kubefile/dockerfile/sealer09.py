"""The words that sealer after v0.8 adds to Docker's: applications, and how they are launched.

Source: sealer at f4f89c58, build/kubefile/parser; the project's design, "Dialects and runners".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.dockerfile.copying import is_checksum, is_web
from kubeimage.kubefile.dockerfile.reading import READERS
from kubeimage.kubefile.dockerfile.statement import Reading, read_array
from kubeimage.kubefile.instructions import Cmd, Configure, Instruction
from kubeimage.kubefile.statement import Problem, Statement, quoted

APPLICATION_WORDS = ("APP", "CNI", "CSI")
LOCAL = "local://"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def _read_application(reading: Reading) -> Configure | None:
    words = _words(reading)
    if len(words) < 2:
        hint = f"as in: {reading.keyword} web local://charts/web"
        reading.refuse(
            Mistake.FEW_NAMES, f"{reading.keyword} takes a name and a source, found {len(words)} words", hint
        )
        return None
    if not _is_name(reading, words[0]):
        return None
    for source in words[1:]:
        if is_web(source):
            if is_checked(source):
                continue
            hint = "as in: https://example.org/a.yaml#sha256:… with 64 hex digits"
            reading.refuse(Mistake.BAD_VALUE, f"behind # stands a checksum, found {quoted(source)}", hint)
            return None
        if not source.startswith(LOCAL) or source == LOCAL:
            hint = "as in: local://charts/web, which is relative to the build context"
            reading.refuse(
                Mistake.BAD_VALUE, f"a source says where it is by local:// or https://, found {quoted(source)}", hint
            )
            return None
    return _configure(reading, words)


def is_checked(source: str) -> bool:
    """Whether what stands behind a URL's ``#``, if anything does, is a checksum."""
    _, mark, checksum = source.partition("#")
    return not mark or is_checksum(checksum) or "$" in checksum


def _read_app_commands(reading: Reading) -> Configure | None:
    name, _, rest = reading.text.partition(" ")
    commands = read_array(rest.strip())
    if not commands:
        hint = 'as in: APPCMDS web ["kubectl apply -f app.yaml"]'
        reading.refuse(Mistake.BROKEN_ARRAY, "APPCMDS takes a name and a JSON array of commands", hint)
        return None
    return _configure(reading, (name, *commands))


def _read_app_env(reading: Reading) -> Configure | None:
    name, *pairs = _words(reading)
    bad = next((pair for pair in pairs if "=" not in pair or pair.startswith("=")), None)
    if bad is not None or not pairs:
        found = f"found {quoted(bad)}" if bad is not None else "found none"
        reading.refuse(Mistake.BAD_PAIR, f"APPENV takes a name and KEY=VALUE, {found}", "as in: APPENV web REPLICAS=2")
        return None
    return _configure(reading, (name, *pairs))


def _read_launch(reading: Reading) -> Configure:
    return _configure(reading, _words(reading))


def _read_commands(reading: Reading) -> Configure | None:
    commands = read_array(reading.text)
    if not commands:
        hint = 'as in: CMDS ["kubectl get nodes", "kubectl apply -f a.yaml"]'
        reading.refuse(Mistake.BROKEN_ARRAY, "CMDS takes a JSON array of commands", hint)
        return None
    return _configure(reading, commands)


def _read_command(reading: Reading) -> Cmd | None:
    if read_array(reading.text) is not None:
        hint = "write the command as it is typed, or several as an array behind CMDS"
        reading.refuse(Mistake.BAD_VALUE, "CMD takes one command as it is typed, found an array", hint)
        return None
    return Cmd((reading.text,), is_text=True, span=reading.span, written=reading.written)


def _read_kube_version(reading: Reading) -> Configure:
    return _configure(reading, (reading.text,))


def _words(reading: Reading) -> tuple[str, ...]:
    array = read_array(reading.text)
    return tuple(reading.text.split()) if array is None else array


def _is_name(reading: Reading, name: str) -> bool:
    if _NAME.fullmatch(name):
        return True
    hint = "letters, digits, and the signs . _ - behind the first one"
    reading.refuse(Mistake.BAD_VALUE, f"an application's name is a folder's name, found {quoted(name)}", hint)
    return False


def _configure(reading: Reading, words: Sequence[str]) -> Configure:
    return Configure(reading.keyword, tuple(words), span=reading.span, written=reading.written)


_KEPT = ("FROM", "COPY", "ADD", "ARG", "RUN", "LABEL", "MAINTAINER", "ENV")
SEALER_09_READERS: Mapping[str, Callable[[Reading], Instruction | None]] = {
    **{word: READERS[word] for word in _KEPT},
    **dict.fromkeys(APPLICATION_WORDS, _read_application),
    "APPCMDS": _read_app_commands,
    "APPENV": _read_app_env,
    "LAUNCH": _read_launch,
    "CMDS": _read_commands,
    "CMD": _read_command,
    "KUBEVERSION": _read_kube_version,
}


def check_order(statements: Sequence[Statement]) -> None:
    """Complain where LAUNCH or CMDS is not the last instruction, or CMD stands beside LAUNCH."""
    words = [statement.keyword.upper() for statement in statements]
    for index, statement in enumerate(statements):
        if words[index] in ("LAUNCH", "CMDS") and index < len(statements) - 1:
            message = f"{words[index]} is the last instruction, and stands once"
            statement.complain(Problem(Mistake.NOT_LAST, message, f"move it behind the {words[-1]} at the end"))
        if words[index] == "CMD" and "LAUNCH" in words:
            hint = "leave out one of them: sealer runs the commands, and then launches nothing"
            statement.complain(Problem(Mistake.NOT_LAST, "CMD and LAUNCH do not go together", hint))
