"""Processes of this machine, and places where nobody makes namespaces."""

import os


def locked_down() -> list[str]:
    """Return the argv of a place where nobody makes namespaces or mounts."""
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set -sys_admin -- "$@"'
    return ["unshare", "-U", "-r", "sh", "-c", script, "locked-down"]


def processes_with(text: str) -> list[str]:
    """Return the command lines that hold ``text``, our own left out."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    line = file.read().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if text in line:
                found.append(line)
    return found
