"""Users and groups by the names that an image itself has for them, in its /etc/passwd and /etc/group.

Source: moby's Dockerfile reference, "COPY --chown" and "USER"; buildah 1.28, tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kubeimage.builder.step import Step
from kubeimage.errors import BuildError, DestinationError
from kubeimage.kubefile.statement import closest, quoted
from kubeimage.layer.entry import Kind, Owner
from kubeimage.layer.stack import LayerStack

_LARGEST = 2**32 - 2
_LONGEST = 4 << 20
_PASSWD, _GROUP = "etc/passwd", "etc/group"
_USER_FIELDS, _GROUP_FIELDS = 7, 4


def with_numbers(step: Step, rootfs: LayerStack) -> Step:
    """Return a step whose users are numbers, as the image has them by now.

    Raises: BuildError for a name that the image has not.
    """
    if step.copy is not None and step.copy.chown:
        return replace(step, copy=replace(step.copy, owner=owner_of(step.copy.chown, rootfs)))
    if step.as_user:
        return replace(step, owner=owner_of(step.as_user, rootfs))
    if step.run is not None and step.run.image is not None and step.run.image.as_user:
        image = replace(step.run.image, user=user_of(step.run.image.as_user, rootfs))
        return replace(step, run=replace(step.run, image=image))
    return step


def owner_of(text: str, rootfs: LayerStack) -> Owner:
    """Return whose files ``--chown`` makes, and whose folder WORKDIR: ``USER``, ``USER:GROUP`` or ``:GROUP``.

    Each is a name or a number. The group of a name is that of the image's list; a number is its own group.
    Raises: BuildError for a name that the image has not.
    """
    user, colon, group = text.partition(":")
    number, own = _user(user, rootfs) if user else (0, 0)
    if own is None or _number(user) is not None:
        own = number
    return number, _group(group, rootfs) if colon and group else own


def user_of(text: str, rootfs: LayerStack) -> Owner:
    """Return as whom USER has a RUN run; a number that the image's list has not is in the group 0.

    Raises: BuildError for a name that the image has not.
    """
    user, colon, group = text.partition(":")
    number, own = _user(user, rootfs) if user else (0, 0)
    return number, _group(group, rootfs) if colon and group else own or 0


def _user(name: str, rootfs: LayerStack) -> tuple[int, int | None]:
    """Return a user's number, and its group's; None where the image's list does not say it."""
    number = _number(name)
    if number == 0 or name == "root":
        return 0, 0
    known = {}
    for fields in _lines(_PASSWD, _USER_FIELDS, rootfs):
        if fields[0] == name or (number is not None and fields[2] == str(number)):
            return int(fields[2]), int(fields[3])
        known[fields[0]] = fields
    if number is not None:
        return number, None
    raise _unknown("user", name, _PASSWD, list(known))


def _group(name: str, rootfs: LayerStack) -> int:
    number = _number(name)
    if number is not None or name == "root":
        return number or 0
    known = {fields[0]: int(fields[2]) for fields in _lines(_GROUP, _GROUP_FIELDS, rootfs)}
    if name not in known:
        raise _unknown("group", name, _GROUP, list(known))
    return known[name]


def _number(name: str) -> int | None:
    """Return the number that a name is; None for a name.

    Raises: BuildError for a number that no user has.
    """
    if not (name.isascii() and name.isdigit()):
        return None
    if len(name) > len(str(_LARGEST)) or int(name) > _LARGEST:
        raise BuildError(f"no user or group has the number {quoted(name)}", hint=f"the largest is {_LARGEST}")
    return int(name)


def _lines(path: str, count: int, rootfs: LayerStack) -> Iterator[list[str]]:
    """Yield the lines of a list of the image, as their fields; what is no such line is passed over."""
    try:
        real = rootfs.tree.resolve_leaf(path)
    except DestinationError:
        return
    found = rootfs.tree.get(real)
    if found is None or found.kind is not Kind.FILE:
        return
    for _, content in rootfs.contents([real]):
        text = content.read(_LONGEST).decode("utf-8", "replace")
        for line in text.splitlines():
            fields = line.split(":")
            if len(fields) >= count and all(field.isascii() and field.isdigit() for field in fields[2 : count - 3]):
                yield fields


def _unknown(what: str, name: str, path: str, known: list[str]) -> BuildError:
    meant = closest(name, known)
    hint = f"did you mean {meant}?" if meant else "add it before this line, or use its number"
    return BuildError(f"the image has no {what} {quoted(name)} in its /{path}", hint=hint)
