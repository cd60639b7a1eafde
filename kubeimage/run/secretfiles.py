"""Secrets as files: what only a sandbox by bubblewrap can show, for elsewhere they would lie on a disk."""

from __future__ import annotations

from kubeimage.errors import SandboxError
from kubeimage.protocols.running import Command


def refuse_secret_files(command: Command, where: str) -> None:
    """Refuse a command that is to find a secret in a file.

    Raises: SandboxError for such a command.
    """
    named = next((one.name for one in command.secrets if one.target), None)
    if named is not None:
        raise SandboxError(
            f"the secret {named} cannot be shown as a file {where}",
            hint=f"let a variable hold it: --mount=type=secret,id={named},env=NAME",
        )


__all__ = ["refuse_secret_files"]
