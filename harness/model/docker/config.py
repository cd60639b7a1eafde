"""What instructions say of an image beside its files.

Source: moby's Dockerfile reference; OCI image-spec v1.1, config.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from harness.model.docker.words import expand
from harness.model.failure import Failed
from kubeimage.kubefile import Cmd, Configure

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHELL = ("/bin/sh", "-c")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


@dataclass
class Config:
    """What an image says of itself, while a stage is read. Shape: ``env`` keeps its order."""

    env: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    labels: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: str = ""
    folder: str = ""
    ports: frozenset[str] = frozenset()
    volumes: frozenset[str] = frozenset()
    signal: str = ""
    shell: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    check: dict[str, Any] = field(default_factory=dict)
    author: str = ""

    @property
    def cluster_commands(self) -> tuple[str, ...]:
        """What sealos runs: all words but a shell and its ``-c``."""
        return tuple(one for one in self.entrypoint + self.cmd if one not in _SHELL)

    def to_json(self) -> dict[str, Any]:
        """Return OCI's object."""
        found = {
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.cmd),
            "Env": [f"{key}={value}" for key, value in self.env.items()],
            "User": self.user,
            "WorkingDir": self.folder,
            "ExposedPorts": {port: {} for port in self.ports},
            "Volumes": {path: {} for path in self.volumes},
            "StopSignal": self.signal,
            "Shell": list(self.shell),
            "OnBuild": list(self.triggers),
            "Healthcheck": self.check,
            "Labels": self.labels,
        }
        return {key: value for key, value in found.items() if value}

    def command(self, words: tuple[str, ...], *, is_text: bool) -> tuple[str, ...]:
        """Return the words of a command; a text is for the shell."""
        return (*(self.shell or _SHELL), *words) if is_text else words

    def set_cmd(self, one: Cmd) -> None:
        """Do CMD."""
        self.cmd = self.command(one.commands, is_text=one.is_text)

    def set_entrypoint(self, one: Configure, *, keep_cmd: bool) -> None:
        """Do ENTRYPOINT; the CMD of a base goes."""
        self.entrypoint = self.command(one.words, is_text=one.is_text)
        self.cmd = self.cmd if keep_cmd else ()

    def configure(self, one: Configure, known: dict[str, str]) -> None:
        """Do any other word that brings no files.

        Raises: Failed for a value that the word does not take.
        """
        words = one.words
        match one.keyword:
            case "ENV" | "LABEL":
                expanded = [expand(word, known) for word in words]
                pairs = dict(zip(expanded[::2], expanded[1::2], strict=True))
                if "" in pairs:
                    raise Failed("E0263", "an empty key")
                (self.env if one.keyword == "ENV" else self.labels).update(pairs)
            case "MAINTAINER":
                self.author = words[0]
            case "USER":
                self.user = expand(words[0], known)
            case "STOPSIGNAL":
                self.signal = expand(words[0], known)
            case "SHELL":
                self.shell = words
            case "ONBUILD":
                self.triggers += (words[0],)
            case "EXPOSE":
                self.ports |= {port for word in words for text in expand(word, known).split() for port in _ports(text)}
            case "VOLUME":
                self.volumes |= {expand(word, known) if one.is_text else word for word in words}
            case "HEALTHCHECK":
                self.check = _check(words)


def _ports(text: str) -> list[str]:
    first, _, kind = text.partition("/")
    first, _, last = first.partition("-")
    if not first.isdigit() or (last and not last.isdigit()) or (kind or "tcp").lower() not in {"tcp", "udp", "sctp"}:
        raise Failed("E0264", f"{text!r} is no port")
    return [f"{port}/{(kind or 'tcp').lower()}" for port in range(int(first), int(last or first) + 1)]


def _check(words: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {"Test": [word for word in words if not word.startswith("--")]}
    for word in words:
        name, _, value = word.removeprefix("--").partition("=")
        if word.startswith("--retries="):
            found["Retries"] = int(value)
        elif word.startswith("--"):
            key = "".join(part.title() for part in name.split("-"))
            found[key] = round(
                sum(float(n) * _SECONDS[unit] for n, unit in re.findall(r"([\d.]+)([nuµm]s|[smh])", value)) * 1e9
            )
    return found
