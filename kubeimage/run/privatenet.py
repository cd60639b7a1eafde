"""A network of a RUN's own, which leads out and nowhere else: by pasta, without any right.

What listens on this machine cannot be reached by it: neither on 127.0.0.1, nor by the address of the way out, nor by an
abstract socket. Nothing falls back to the machine's own network.

Source: pasta(1), of the project passt.
"""

from __future__ import annotations

import os
import shutil

from kubeimage.errors import SandboxError
from kubeimage.run.environment import HOST_PATH

TUN = "/dev/net/tun"

_HINT = "or use --network=none, or --network=host"
_NO_PORTS = ("-t", "none", "-u", "none", "-T", "none", "-U", "none")


def check_private() -> None:
    """Find out whether a RUN can have a network of its own here.

    Raises: SandboxError that says what is missing.
    """
    find_pasta()
    try:
        os.close(os.open(TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise SandboxError(
            f"--network=private needs {TUN}, which cannot be opened here: {error.strerror}",
            hint=f"let this user open it (in a container: --device {TUN}), {_HINT}",
        ) from error


def find_pasta() -> str:
    """Return the path of pasta.

    Raises: SandboxError.
    """
    found = shutil.which("pasta", path=HOST_PATH)
    if found is None:
        raise SandboxError("--network=private needs the program 'pasta'", hint=f"install passt, {_HINT}")
    return found


def refuse_private(where: str) -> SandboxError:
    """Return the error of a RUN that is to have a network of its own where it has no namespaces."""
    return SandboxError(
        f"--network=private cannot be kept {where}: it needs a namespace",
        hint=f"run where a sandbox can be made, {_HINT}",
    )


def pasta_command(*, has_rights: bool) -> tuple[str, ...]:
    """Return the argv that puts what follows into a network of its own.

    Without ``has_rights`` over namespaces it is in a user namespace of its own as well, as root there.
    """
    as_root = ("--runas", "0:0", "--netns-only") if has_rights else ()
    return (find_pasta(), "--config-net", "--quiet", *_NO_PORTS, "--no-map-gw", *as_root, "--")
