"""Values of options as people type them, and what they mean; each mistake names the option that has it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from kubeimage.errors import BuildArgError, UsageError

if TYPE_CHECKING:
    from kubeimage.image.platform import Platform
    from kubeimage.image.referrers import ReferrerChoice

EPOCH_VARIABLE = "SOURCE_DATE_EPOCH"
# The last second that RFC 3339 can write.
_LAST_EPOCH = 253_402_300_799


def parse_build_args(texts: tuple[str, ...], environment: Mapping[str, str]) -> dict[str, str]:
    """Read ``KEY=VALUE``, or ``KEY`` alone, whose value is the environment's; the last one of a key counts.

    Raises: BuildArgError, which never shows a value.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key:
            raise BuildArgError("--build-arg has no key", hint="write it as --build-arg KEY=VALUE")
        if not equals:
            if key not in environment:
                message = f"--build-arg {key} takes its value from the environment, where {key} is not set"
                raise BuildArgError(message, hint=f"set {key}, or write --build-arg {key}=VALUE")
            value = environment[key]
        found[key] = value
    return found


def parse_keep_failed(path: str | None) -> str | None:
    """Read the directory that a failed RUN's tree goes to.

    Raises: UsageError where something is there already, or nothing can be made.
    """
    if path is None:
        return None
    if os.path.lexists(path):
        raise UsageError(f"--keep-failed: {path!r} is there already", hint="name a directory that can be made")
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise UsageError(f"--keep-failed: {path!r} cannot be made, for it has no parent directory")
    return os.path.abspath(path)


def parse_labels(texts: tuple[str, ...]) -> dict[str, str]:
    """Read ``KEY=VALUE``; the last one of a key counts.

    Raises: UsageError.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"not a label: {text!r}", hint="write it as --label KEY=VALUE")
        found[key] = value
    return found


def parse_platform(text: str | None) -> Platform | None:
    """Read one platform.

    Raises: PlatformFormatError; UsageError for several.
    """
    from kubeimage.image.platform import Platform

    if text is None:
        return None
    if "," in text:
        raise UsageError(f"--platform takes one platform, found several: {text!r}", hint="name one after the other")
    return Platform.parse(text)


def parse_platforms(text: str | None) -> tuple[Platform, ...]:
    """Read platforms with commas between them; none where there is no text.

    Raises: PlatformFormatError; UsageError where one comes twice.
    """
    from kubeimage.image.platform import Platform

    found = [Platform.parse(part) for part in text.split(",")] if text is not None else []
    for number, one in enumerate(found):
        twin = next((other for other in found[:number] if other.matches(one)), None)
        if twin is not None:
            raise UsageError(f"--platform names one platform twice: {twin} and {one}")
    return tuple(found)


def parse_epoch(text: str | None) -> int | None:
    """Read ``SOURCE_DATE_EPOCH``; unset and empty are none.

    Raises: UsageError.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_LAST_EPOCH)) and int(text) <= _LAST_EPOCH):
        raise UsageError(
            f"{EPOCH_VARIABLE} is no time: {text!r}",
            hint="it holds whole seconds since 1970, as `git log -1 --format=%ct` prints them",
        )
    return int(text)


def referrers_of(_context: click.Context, _parameter: click.Parameter, value: str | None) -> ReferrerChoice | None:
    """Read which artefacts travel, as a click option has it; None where it is not given."""
    from kubeimage.image.referrers import ReferrerChoice

    try:
        return ReferrerChoice.parse(value) if value is not None else None
    except UsageError as error:
        raise UsageError(f"--referrers: {error.message}", hint=error.hint) from None


def size_of(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """Read a size as a click option has it; None where it is not given."""
    from kubeimage.settings import SIZES, parse_size

    size = parse_size(value) if value is not None else None
    if value is not None and size is None:
        raise click.BadParameter(f"{value!r}: {SIZES}")
    return size
