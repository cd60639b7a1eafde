"""The grammar of ``RUN --mount=type=secret``, which every dialect takes.

Source: moby's Dockerfile reference, "RUN --mount=type=secret"; the project's design, "Images travel light, and whole".
"""

from __future__ import annotations

from collections.abc import Mapping

from kubeimage.kubefile.instructions import RunMount
from kubeimage.patterns import pattern

SECRET_KEYS = ("id", "target", "env", "required", "mode", "uid", "gid")
FOLDER = "run/secrets"
"""Where a secret is shown, where nothing else is said."""

SECRET_ID = pattern(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_]*")
_SWITCH = ("", "true", "false")
_DEFAULT_MODE = "0400"


def secret_problem(found: Mapping[str, str]) -> str | None:
    """Say what is wrong with the keys and values of a secret's mount; None where nothing is."""
    name = found.get("id") or found.get("target", "").rpartition("/")[2]
    if not SECRET_ID.fullmatch(name):
        return "a mount of type secret needs its id: letters, digits, '.', '_' and '-'"
    if "env" in found and not _NAME.fullmatch(found["env"]):
        return "--mount: env takes the name of a variable"
    if found.get("required", "true") not in _SWITCH:
        return "--mount: required is true or false"
    return None


def secret_mount(found: Mapping[str, str]) -> RunMount:
    """Return the mount that keys and values say, which have no `secret_problem`."""
    name = found.get("id") or found["target"].rpartition("/")[2]
    # With a variable alone no file is made.
    target = found.get("target") or ("" if "env" in found else f"/{FOLDER}/{name}")
    return RunMount(
        "secret",
        target,
        name=name,
        variable=found.get("env", ""),
        read_only=True,
        required=found.get("required", "false") in ("", "true"),
        mode=int(found.get("mode", _DEFAULT_MODE), 8),
        owner=(int(found.get("uid", "0")), int(found.get("gid", "0"))),
    )


__all__ = ["SECRET_ID", "SECRET_KEYS", "secret_mount", "secret_problem"]
