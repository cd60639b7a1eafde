"""OCI's ``config`` object: what a container of an image starts with, and what sealos runs.

Source: OCI image-spec v1.1, config.md, "Properties"; moby's image spec for ``Healthcheck``, ``OnBuild`` and ``Shell``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kubeimage.image.canonical import JsonObject
from kubeimage.values import dataclass

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Elements that sealos throws away wherever they stand; all others are commands.
_SHELL_WORDS = frozenset({"/bin/sh", "-c"})

Variables = tuple[tuple[str, str], ...]


class Healthcheck(NamedTuple):
    """How to find out whether a container is well.

    Units: times in nanoseconds, 0 for the runner's own.
    """

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    retries: int = 0


@dataclass(frozen=True)
class RuntimeConfig:
    """What OCI's ``config`` object holds beside the labels.

    Shape: an absent field is an empty one. ``env`` keeps the order in which the variables first appeared.
           ``exposed_ports`` and ``volumes`` are sorted.
    """

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Variables = ()
    user: str = ""
    working_dir: str = ""
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    shell: tuple[str, ...] = ()
    on_build: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None

    @property
    def cluster_commands(self) -> tuple[str, ...]:
        """The commands that sealos would run.

        Source: sealos, pkg/guest/guest.go: every element of Entrypoint, then of Cmd, but for a shell and its ``-c``.
        """
        return tuple(word for word in (*self.entrypoint, *self.cmd) if word not in _SHELL_WORDS)

    def to_json(self, labels: Mapping[str, str]) -> JsonObject:
        """Return OCI's object; what is empty is left out."""
        value: JsonObject = {
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.cmd),
            "Env": [f"{key}={text}" for key, text in self.env],
            "User": self.user,
            "WorkingDir": self.working_dir,
            "ExposedPorts": {port: {} for port in self.exposed_ports},
            "Volumes": {path: {} for path in self.volumes},
            "StopSignal": self.stop_signal,
            "Shell": list(self.shell),
            "OnBuild": list(self.on_build),
            "Healthcheck": _healthcheck_to_json(self.healthcheck),
            "Labels": dict(labels),
        }
        return {key: found for key, found in value.items() if found}

    @classmethod
    def from_json(cls, value: object) -> RuntimeConfig:
        """Read OCI's object, whoever wrote it; what has another shape counts as absent."""
        found = value if isinstance(value, dict) else {}
        return cls(
            entrypoint=_texts(found.get("Entrypoint")),
            cmd=_texts(found.get("Cmd")),
            env=overlay((), (_split(text) for text in _texts(found.get("Env")))),
            user=_text(found.get("User")),
            working_dir=_text(found.get("WorkingDir")),
            exposed_ports=_keys(found.get("ExposedPorts")),
            volumes=_keys(found.get("Volumes")),
            stop_signal=_text(found.get("StopSignal")),
            shell=_texts(found.get("Shell")),
            on_build=_texts(found.get("OnBuild")),
            healthcheck=_healthcheck_from_json(found.get("Healthcheck")),
        )


def overlay(below: Variables, above: Iterable[tuple[str, str]]) -> Variables:
    """Return variables with others laid over them: a known key keeps its place, and gets the new value.

    >>> overlay((("A", "1"), ("B", "2")), [("A", "3"), ("C", "4")])
    (('A', '3'), ('B', '2'), ('C', '4'))
    """
    values = dict(below)
    values.update(above)
    return tuple(values.items())


def overlay_all(configs: Sequence[RuntimeConfig]) -> RuntimeConfig:
    """Return what images that are put on top of each other start with: the last one that says something decides.

    Variables, ports and volumes are gathered. Commands are the caller's business.
    """

    def last(name: str) -> Any:
        return next((found for one in reversed(configs) if (found := getattr(one, name))), getattr(EMPTY, name))

    env: Variables = ()
    for one in configs:
        env = overlay(env, one.env)
    return RuntimeConfig(
        env=env,
        user=last("user"),
        working_dir=last("working_dir"),
        exposed_ports=tuple(sorted({port for one in configs for port in one.exposed_ports})),
        volumes=tuple(sorted({path for one in configs for path in one.volumes})),
        stop_signal=last("stop_signal"),
        shell=last("shell"),
        healthcheck=last("healthcheck"),
    )


def _split(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _keys(value: object) -> tuple[str, ...]:
    return tuple(sorted(map(str, value))) if isinstance(value, dict) else ()


_TIMES = {"interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod", "retries": "Retries"}


def _healthcheck_to_json(check: Healthcheck | None) -> JsonObject:
    if check is None:
        return {}
    times = {name: getattr(check, field) for field, name in _TIMES.items() if getattr(check, field)}
    return {"Test": list(check.test), **times}


def _healthcheck_from_json(value: object) -> Healthcheck | None:
    if not isinstance(value, dict) or not _texts(value.get("Test")):
        return None
    times = {field: found for field, name in _TIMES.items() if isinstance(found := value.get(name), int)}
    return Healthcheck(_texts(value["Test"]), **times)


EMPTY = RuntimeConfig()
