"""What an image says of itself beside its layers: commands, arguments, OCI's config, and what sealer 0.9 reads.

Source: the project's design, "Execution" (step 2) and "Dialects and runners".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from kubeimage.image.config import APPLICATION, Image, ImageType
from kubeimage.image.document import Arguments, Commands
from kubeimage.image.extension import Extension, installer_type
from kubeimage.image.runtime import EMPTY, RuntimeConfig, overlay
from kubeimage.values import dataclass


@dataclass(frozen=True)
class Metadata:
    """What an image says of itself.

    Shape: ``app_commands`` and ``app_env`` are what a Kubefile says of applications beside their files, by name.
    """

    cmd: Commands = field(default_factory=Commands)
    args: Arguments = field(default_factory=Arguments)
    labels: Mapping[str, str] = field(default_factory=dict)
    runtime: RuntimeConfig = EMPTY
    author: str = ""
    image_type: ImageType = ""
    extension: Extension = field(default_factory=Extension)
    app_commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    app_env: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def sealer_metadata(
    base: Image | None,
    commands: tuple[str, ...],
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
    *,
    keep_base: bool,
) -> Metadata:
    """Return what a Kubefile of sealer's dialect makes of its base: commands are merged, arguments are overlaid.

    A base without an Image document has the commands that sealos would run. They are merged as well, so an Entrypoint
    is among the commands and does not stay beside them.
    """
    kept = base if keep_base else None
    inherited = _commands_of(kept) if kept is not None else ()
    cmd = Commands(inherited, commands)
    args = Arguments(kept.args.merged if kept else {}, arguments)
    below = kept.runtime if kept is not None else EMPTY
    env = overlay(below.env, args.merged.items())
    image_type: ImageType = (base.image_type if base is not None else "") if keep_base else APPLICATION
    earlier = Extension.from_annotations(kept.manifest_annotations if kept is not None else {})
    return Metadata(
        cmd=cmd,
        args=args,
        labels={**(base.labels if base is not None else {}), **labels},
        runtime=replace(below, entrypoint=(), cmd=cmd.merged, env=env),
        author=kept.author if kept is not None else "",
        image_type=image_type,
        extension=Extension(installer_type(image_type), earlier.applications, dict(env), cmd.merged),
    )


def _commands_of(base: Image) -> tuple[str, ...]:
    return base.cmd.merged or base.runtime.cluster_commands
