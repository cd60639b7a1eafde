"""What an image's commands say of the charts that they install: the namespace of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_INSTALLING = frozenset({"install", "upgrade", "template"})
_SEPARATORS = frozenset({"&&", "||", ";", "|", "&"})


def namespaces_of(commands: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the charts' paths that ``helm install`` and its like are given, each with the namespace for it."""
    found = {
        chart: namespace
        for command in commands
        for words in _parts(command)
        if (namespace := _namespace(words)) and not _is_variable(namespace)
        for chart in _charts(words)
    }
    return tuple(sorted(found.items()))


def _parts(command: str) -> Iterator[list[str]]:
    """Yield the words of each helm command in a script."""
    for line in command.replace("\\\n", " ").split("\n"):
        if "helm" not in line:
            continue
        try:
            words = _split(line)
        except ValueError:
            continue
        part: list[str] = []
        for word in [*words, ";"]:
            if word not in _SEPARATORS:
                part.append(word)
                continue
            if "helm" in part and not _INSTALLING.isdisjoint(part):
                yield part[part.index("helm") + 1 :]
            part = []


def _split(line: str) -> list[str]:
    import shlex

    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&")
    lexer.whitespace_split = True
    return list(lexer)


def _namespace(words: list[str]) -> str:
    for number, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in ("-n", "--namespace"):
            return value if equals else next(iter(words[number + 1 : number + 2]), "")
    return ""


def _charts(words: list[str]) -> Iterator[str]:
    for word in words:
        path = word.removeprefix("./").rstrip("/")
        if "/" in path and not word.startswith("-"):
            yield path


def _is_variable(text: str) -> bool:
    return "$" in text or "{" in text
