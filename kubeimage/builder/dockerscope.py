"""What is known of a Kubefile after Docker's rules before its base is there: global arguments, and what FROM names.

Source: moby's Dockerfile reference, "Understand how ARG and FROM interact".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from kubeimage.errors import Diagnostic, KubefileError
from kubeimage.image.platform import Platform
from kubeimage.kubefile import Arg, Copy, Instruction, Kubefile, Mistake
from kubeimage.kubefile.dockerfile.words import WordError, expand_word


class DockerScope(NamedTuple):
    """What is known of a Kubefile before its base is there: what FROM names."""

    kubefile: Kubefile
    base_name: str

    @property
    def origins(self) -> tuple[Copy, ...]:
        """The COPYs that take from another image."""
        return tuple(one for one in self.kubefile.instructions if isinstance(one, Copy) and one.origin)


def base_of(kubefile: Kubefile, build_args: Mapping[str, str], platform: Platform) -> str:
    """Return what FROM names.

    Raises: KubefileError for a word that cannot be expanded.
    """
    base = kubefile.base
    values = global_arguments(kubefile, build_args, platform)
    name = expand(base.name, values, base, kubefile.escape)
    if not name:
        raise refused(Mistake.UNSET_ARGUMENT, base, f"FROM {base.name} names no image: what it uses has no value")
    wanted = expand(base.platform, values, base, kubefile.escape)
    if name != "scratch" and wanted and not Platform.parse(wanted).matches(platform):
        message = f"FROM --platform={wanted} is not what is built for: {platform}"
        raise refused(Mistake.NOT_TAKEN, base, message, "leave the flag out, or build with --platform")
    return name


def global_arguments(kubefile: Kubefile, build_args: Mapping[str, str], platform: Platform) -> dict[str, str]:
    """Return what FROM can use, and a bare ARG behind it: the ARGs above FROM, and what every build knows."""
    values = automatic_arguments(platform)
    for one in kubefile.instructions:
        if not isinstance(one, Arg):
            break
        for key, default in one.pairs:
            if key in build_args:
                values[key] = build_args[key]
            elif default is not None:
                values[key] = expand(default, values, one, kubefile.escape)
    return values


def automatic_arguments(target: Platform) -> dict[str, str]:
    """Return the platform arguments that need no value.

    Source: moby's Dockerfile reference, "Automatic platform ARGs in the global scope".
    """
    return {
        f"{prefix}{name}": value
        for prefix, platform in (("TARGET", target), ("BUILD", Platform.host()))
        for name, value in (
            ("PLATFORM", str(platform)),
            ("OS", platform.os),
            ("ARCH", platform.architecture),
            ("VARIANT", platform.variant),
        )
    }


def expand(word: str, variables: Mapping[str, str], one: Instruction, escape: str) -> str:
    try:
        return expand_word(word, variables, escape)
    except WordError as error:
        hint = "close it, or put a backslash before the character to mean it"
        raise refused(Mistake.BAD_WORD, one, f"{word!r} cannot be read: {error}", hint) from error


def refused(mistake: Mistake, one: Instruction, message: str, hint: str | None = None) -> KubefileError:
    return KubefileError([Diagnostic(mistake.code, message, one.span.location, hint)])
