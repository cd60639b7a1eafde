"""What each runner of the family would run of an image, read from where that runner reads it.

| runner | reads |
| --- | --- |
| sealer v0.8 | the Image document: ``cmd.parent``, then what ``cmd.current`` adds |
| sealer 0.9 | the annotation: ``launch.cmds``; without any, the applications that it names |
| sealos | OCI's config: ``Entrypoint``, then ``Cmd``, each element but a shell and its ``-c`` |
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from kubeimage.image import canonical
from kubeimage.image.config import Image
from kubeimage.kubefile import Cmd, Configure, From, Instruction

_SHELL_WORDS = ("/bin/sh", "-c")


def commands_by_runner(image: Image) -> dict[str, list[str]]:
    """Return the commands that each runner would run; one that launches applications by name is left out."""
    config = canonical.decode(image.config)
    cmd = config["spec"]["image_config"]["cmd"]
    found = {
        "sealer v0.8": [*cmd["parent"], *(one for one in cmd["current"] if one not in cmd["parent"])],
        "sealos": _of_sealos(config["config"]),
    }
    extension: Any = json.loads(image.manifest_annotations.get("sealer.image.extension", "{}"))
    launch = extension.get("launch", {})
    if not launch.get("app_names"):
        found["sealer 0.9"] = launch.get("cmds", [])
    return found


def own_commands(instructions: Sequence[Instruction], dialect: str, base: Image | None) -> list[str] | None:
    """Return what a Kubefile after Docker's rules comes to; None where applications are launched by name.

    Source: moby's Dockerfile reference, CMD and ENTRYPOINT; the project's design, "Dialects and runners".
    """
    if dialect == "sealer-0.9":
        launches = any(isinstance(one, Configure) and one.keyword == "LAUNCH" for one in instructions)
        return None if launches else list(_of_sealer(instructions))
    inherited: Any = canonical.decode(base.config).get("config") or {} if base is not None else {}
    entrypoint, cmd, has_cmd = inherited.get("Entrypoint") or [], inherited.get("Cmd") or [], False
    for one in instructions:
        if isinstance(one, From):
            # What a stage says counts as inherited in the one that stands on it.
            has_cmd = False
        elif isinstance(one, Cmd):
            cmd, has_cmd = list(one.commands), True
        elif isinstance(one, Configure) and one.keyword == "ENTRYPOINT":
            entrypoint, cmd = list(one.words), cmd if has_cmd else []
    return _of_sealos({"Entrypoint": entrypoint, "Cmd": cmd})


def _of_sealos(config: Any) -> list[str]:
    words = [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]
    return [word for word in words if word not in _SHELL_WORDS]


def _of_sealer(instructions: Sequence[Instruction]) -> Iterator[str]:
    for one in instructions:
        if isinstance(one, Cmd):
            yield from one.commands
        elif isinstance(one, Configure) and one.keyword == "CMDS":
            yield from one.words
