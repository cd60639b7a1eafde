"""Keeping what a failed check or test was about, as a project that ``kubeimage build`` takes.

FOLDER/NODE-ID/
├── report.txt     what failed, and how to run it again
├── build.sh       builds it with kubeimage: what stood in for its base images first, in a store beside it
├── Kubefile
├── context/
└── bases/         NAME/ and NAME.Kubefile of what stood in for the base image NAME
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from harness.cases.bases import TAR, project_of
from harness.cases.case import Case
from harness.cases.copies import copy_context
from harness.cases.workshop import Asked, remove_folder
from kubeimage.api.building import BuildOptions
from kubeimage.builder.planning import base_name
from kubeimage.errors import KubeimageError
from kubeimage.kubefile import Kubefile, looks_secret, render
from kubeimage.layer.apply import apply_changeset

_SCRIPT = """\
#!/bin/sh
# Build this project with kubeimage, in a store beside this file unless KUBEIMAGE_ROOT names another.
set -eu
cd "$(dirname "$0")"
store={store}
export KUBEIMAGE_ROOT="${{KUBEIMAGE_ROOT:-$store}}"
{commands}
"""


def save_failure(folder: str, node_id: str, case: Case, text: str) -> str:
    """Write the project and the report below ``folder``, and say what was written where; what an earlier run left goes.

    Where it cannot be written, that is said: the failure itself is what people must see.
    """

    def write(place: str) -> None:
        _Project(place, case).write(folder)
        _write(os.path.join(place, "report.txt"), f"{text}\n\nagain: {_command(case, node_id)}\n")

    return _saved(folder, node_id, write)


def save_asked(folder: str, node_id: str, asked: Asked, text: str) -> str:
    """Write what a test asked ``kube_build`` for last: after Hypothesis has shrunk it, the smallest that fails.

    Of a base image its files are kept.
    """

    def write(place: str) -> None:
        _write(os.path.join(place, "Kubefile"), render(asked.kubefile))
        copy_context(asked.context, os.path.join(place, "context"), disguised=False, leave_out=folder)
        commands = []
        platform = f"--platform={asked.options.target}"
        if asked.base is not None:
            name = base_name(asked.kubefile, asked.options)
            os.makedirs(os.path.join(place, "bases/base"))
            with asked.place.open() as backends:
                for layer in asked.base.layers:
                    with backends.layers.open(layer.diff_id) as tar:
                        apply_changeset(os.path.join(place, "bases/base"), tar)
            _write(os.path.join(place, "bases/base.Kubefile"), "FROM scratch\nCOPY . .\n")
            options = [platform, "-f", "bases/base.Kubefile", "bases/base"]
            commands.append(shlex.join(["kubeimage", "build", "-t", name, *options]))
        given = [f"--build-arg={_without_secret(f'{key}={value}')}" for key, value in asked.options.build_args.items()]
        options = [platform, *given, "-f", "Kubefile", "context"]
        commands.append(shlex.join(["kubeimage", "build", "-t", "failed:saved", *options]))
        _write_script(place, '"$PWD/store"', commands)
        _write(os.path.join(place, "report.txt"), f"{text}\n\nagain: {shlex.join(['pytest', node_id])}\n")

    return _saved(folder, node_id, write)


def _saved(folder: str, node_id: str, write: Callable[[str], None]) -> str:
    place = os.path.join(folder, re.sub(r"[^A-Za-z0-9._-]+", "-", node_id).strip("-"))
    try:
        if os.path.isdir(place):
            remove_folder(place)
        os.makedirs(place)
        write(place)
    except OSError as error:
        return f"not saved in {place}: {error.strerror or error}"
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not take the place of the failure
        return f"not saved in {place}: {type(error).__name__}: {error}"
    return f"saved: {place}"


def _write_script(place: str, store: str, commands: Iterable[str]) -> None:
    script = os.path.join(place, "build.sh")
    _write(script, _SCRIPT.format(store=store, commands="\n".join(commands)))
    os.chmod(script, os.stat(script).st_mode | 0o100)


@dataclass
class _Project:
    """A folder to which a case is written."""

    place: str
    case: Case
    commands: list[str] = field(default_factory=list)

    def write(self, leave_out: str) -> None:
        if os.path.isfile(self.case.subject.path):
            with open(self.case.subject.path, "rb") as stream:
                _write(os.path.join(self.place, "Kubefile"), stream.read())
        if os.path.isdir(self.case.context):
            context = os.path.join(self.place, "context")
            copy_context(self.case.context, context, disguised=False, leave_out=leave_out)
        try:
            self._write_bases(leave_out)
        except KubeimageError as error:
            first = str(error).partition("\n")[0]
            self.commands.append(f"# what stands in for the base cannot be kept: {first}")
        self.commands.append(
            shlex.join([*self._build("failed:saved"), *self._arguments(), "-f", "Kubefile", "context"])
        )
        root = self.case.settings.root
        _write_script(self.place, '"$PWD/store"' if root is None else shlex.quote(root), self.commands)

    def _write_bases(self, leave_out: str) -> None:
        """Write the chain of stand-ins, the lowest first."""
        for name, kubefile, source in reversed(list(_chain(self.case))):
            context = os.path.join("bases", re.sub(r"[^A-Za-z0-9._-]+", "-", name))
            target = os.path.join(self.place, context)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if os.path.isdir(source):
                copy_context(source, target, disguised=False, leave_out=leave_out)
            else:
                os.makedirs(target)
            if source.endswith(TAR):
                with open(source, "rb") as tar:
                    apply_changeset(target, tar)
            _write(f"{target}.Kubefile", render(kubefile))
            self.commands.append(shlex.join([*self._build(name), "-f", f"{context}.Kubefile", context]))

    def _build(self, name: str) -> list[str]:
        platform = self.case.subject.platform or self.case.settings.platform
        return ["kubeimage", "build", "-t", name, *([f"--platform={platform}"] if platform else [])]

    def _arguments(self) -> list[str]:
        given = [*self.case.settings.build_args, *("=".join(pair) for pair in self.case.subject.build_args)]
        return [
            f"--build-arg={_without_secret(text)}" for text in given if text.partition("=")[0] not in self._left_out()
        ]

    def _left_out(self) -> tuple[str, ...]:
        try:
            return self.case.undeclared_build_args
        except KubeimageError:
            return ()


def _chain(case: Case) -> Iterator[tuple[str, Kubefile, str]]:
    """Yield what stands in for the base, for the base of that, and so on: name, Kubefile, and context or tar."""
    name, seen = base_name(case.kubefile, case.options), set[str]()
    while (source := case.bases.find(name)) is not None and name not in seen:
        kubefile, context = project_of(source)
        yield name, kubefile, context
        seen.add(name)
        name = base_name(kubefile, BuildOptions())


def _without_secret(text: str) -> str:
    """Return a build argument as it may be kept: a value that looks secret is to come from the environment."""
    key = text.partition("=")[0]
    return key if looks_secret(key) else text


def _write(path: str, data: str | bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(data.encode() if isinstance(data, str) else data)


def _command(case: Case, node_id: str) -> str:
    prefix = "--kubefile-build-arg="
    options = [
        prefix + _without_secret(option.removeprefix(prefix)) if option.startswith(prefix) else option
        for option in case.settings.command_line()
    ]
    return shlex.join(["pytest", *options, node_id])
