"""cmd-args-merge: what the image inherits and what it adds, worked out again from the base's config and the Kubefile.

Source: the project's design, "Execution" (step 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.cases.case import Case
from harness.checks.failed import CheckFailedError
from harness.checks.runners import commands_by_runner, own_commands
from kubeimage.image import canonical
from kubeimage.image.config import Image
from kubeimage.kubefile import Arg, Cmd, Kubefile, expand


def check_cmd_args_merge(case: Case) -> None:
    """Check the image's commands, arguments and labels against the base's and the Kubefile's.

    What each runner of the family would run must be the same, wherever that runner reads it.
    Raises: CheckFailedError that shows both.
    """
    _check_runners(case)
    if case.kubefile.dialect == "sealer":
        _check_merge(case)
    else:
        _check_replaced(case)


def _check_runners(case: Case) -> None:
    each = commands_by_runner(case.result.image)
    if len({tuple(commands) for commands in each.values()}) > 1:
        raise CheckFailedError(
            "the runners of the family would not run the same commands",
            details=[f"  {runner}: {commands}" for runner, commands in each.items()],
            location=case.kubefile.base.span.location,
        )


def _check_replaced(case: Case) -> None:
    """Check a Kubefile after Docker's rules: its commands take the place of the base's."""
    kept = case.plan.base if case.options.keep_base else None
    wanted = own_commands(case.kubefile.of_image, case.kubefile.dialect, kept)
    found = commands_by_runner(case.result.image)["sealos"]
    if wanted is not None and found != wanted:
        raise CheckFailedError(
            "the image's commands are not what its base and the Kubefile give",
            details=[f"  expected: {wanted}", f"  found:    {found}"],
            location=case.kubefile.base.span.location,
        )


def _check_merge(case: Case) -> None:
    base = _image_config(case.plan.base)
    found = _image_config(case.result.image)
    inherited = _inherited_commands(base) or _foreign_commands(case.plan.base)
    expected = {
        "cmd": {
            "parent": inherited,
            "current": _own_commands(case.kubefile),
        },
        "args": {"parent": _inherited_arguments(base), "current": _own_arguments(case)},
        "labels": {**_labels(base), **case.options.labels},
    }
    present = {"cmd": found["cmd"], "args": found["args"], "labels": _labels(found)}
    for name, wanted in expected.items():
        if present[name] != wanted:
            raise CheckFailedError(
                f"the image's {name} are not what its base and the Kubefile give",
                details=[f"  expected: {wanted}", f"  found:    {present[name]}"],
                location=case.kubefile.base.span.location,
            )


def _image_config(image: Image | None) -> Mapping[str, Any]:
    if image is None:
        return {}
    spec: Mapping[str, Any] = canonical.decode(image.config).get("spec") or {}
    return spec.get("image_config") or {}


def _inherited_commands(base: Mapping[str, Any]) -> list[str]:
    cmd = base.get("cmd") or {}
    first = list(cmd.get("parent") or ())
    return first + [command for command in cmd.get("current") or () if command not in first]


def _foreign_commands(base: Image | None) -> list[str]:
    """Return the commands of a base without an Image document: those that sealos would run."""
    config = canonical.decode(base.config) if base is not None else {}
    return [] if "spec" in config else own_commands((), "sealos", base) or []


def _own_commands(kubefile: Kubefile) -> list[str]:
    return [command for one in kubefile.instructions if isinstance(one, Cmd) for command in one.commands]


def _inherited_arguments(base: Mapping[str, Any]) -> dict[str, str]:
    args = base.get("args") or {}
    return {**(args.get("parent") or {}), **(args.get("current") or {})}


def _own_arguments(case: Case) -> dict[str, str]:
    """Return the value that each ARG has at the end of the file."""
    values: dict[str, str] = {}
    for argument in (one for one in case.kubefile.instructions if isinstance(one, Arg)):
        for key, default in argument.pairs:
            value = case.options.build_args.get(key)
            if value is None and default is not None:
                value = expand(default, values)
            if value is None:
                values.pop(key, None)
            else:
                values[key] = value
    return values


def _labels(config: Mapping[str, Any]) -> dict[str, str]:
    return dict(config.get("labels") or {})
