"""What can be said of the names in FROM and COPY without looking at any file or store."""

from __future__ import annotations

import re

from kubeimage.errors import ReferenceFormatError
from kubeimage.image.reference import Reference
from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.expansion import expand, names_used, unsupported_forms
from kubeimage.kubefile.statement import Problem, quoted

WHITEOUT_PREFIX = ".wh."

_REFERENCE_AROUND_KEYS = r"[A-Za-z0-9._:/@\[\]${}\\-]*"
_REMOTE = r"[A-Za-z][A-Za-z0-9+.-]*+://|[Gg][Ii][Tt]@"


def check_base(name: str, *, expanded: bool = False) -> Problem | None:
    """Say what is wrong with the name of a base image; before it is ``expanded``, only what no ARG could mend."""
    forms = () if expanded else unsupported_forms(name)
    if forms:
        message = f"not an image reference: {quoted(name)}: {quoted(forms[0])} is not expanded"
        return Problem(
            Mistake.BAD_BASE, message, "only $KEY and ${KEY} are: give the ARG a default, as in: ARG KEY=VALUE"
        )
    try:
        if expanded or not names_used(name):
            Reference.parse(name if expanded else expand(name, {}))
        elif not re.fullmatch(_REFERENCE_AROUND_KEYS, name):
            message = f"not an image reference: {quoted(name)}"
            return Problem(Mistake.BAD_BASE, message, "a reference holds no blanks, and only the signs . _ - / : @")
    except ReferenceFormatError as error:
        return Problem(Mistake.BAD_BASE, error.message if len(name) <= 200 else "not an image reference", error.hint)
    return None


def check_source(name: str, *, expanded: bool = False) -> Problem | None:
    """Say what is wrong with a SRC; before it is ``expanded``, what stands behind a ``$`` is not known."""
    if not name:
        return Problem(Mistake.EMPTY_TEXT, "an empty source", "write . to mean the whole build context")
    if re.match(_REMOTE, name):
        hint = "fetch it first and COPY the file; sources from http, https and git come later"
        return Problem(Mistake.REMOTE_SOURCE, f"COPY takes files of the build context, found {quoted(name)}", hint)
    if _leaves_root(name, expanded=expanded):
        hint = "build with a context folder that holds the file"
        return Problem(Mistake.SOURCE_ESCAPES, f"the source {quoted(name)} leaves the build context", hint)
    return None


def check_destination(name: str, *, expanded: bool = False) -> Problem | None:
    """Say what is wrong with a DEST; before it is ``expanded``, what stands behind a ``$`` is not known."""
    if not name:
        return Problem(Mistake.EMPTY_TEXT, "an empty destination", "write . to mean the image root")
    if _leaves_root(name, expanded=expanded):
        hint = "a destination is relative to the image root"
        return Problem(Mistake.DESTINATION_ESCAPES, f"the destination {quoted(name)} leaves the image root", hint)
    if any(part.startswith(WHITEOUT_PREFIX) for part in name.split("/")):
        message = f"the destination {quoted(name)} holds a reserved name: {WHITEOUT_PREFIX} marks deletions in layers"
        return Problem(Mistake.RESERVED_NAME, message, "choose another name")
    return None


def _leaves_root(name: str, *, expanded: bool) -> bool:
    depth = 0
    for part in name.split("/"):
        if "$" in part and not expanded:
            break
        depth += -1 if part == ".." else part not in {"", "."}
        if depth < 0:
            return True
    return False
