"""What a RUN's command finds in its environment: nothing of the host's but proxies.

Source: the project's design, "Execution" (RUN).
"""

from __future__ import annotations

from collections.abc import Mapping

HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")


def command_environment(
    rootfs: str, home: str, arguments: Mapping[str, str], host: Mapping[str, str]
) -> dict[str, str]:
    """Return a command's whole environment; what ``arguments`` say comes before all else."""
    return {"PATH": f"{rootfs}/bin:{HOST_PATH}", "HOME": home, "LANG": "C.UTF-8", **proxies(host), **arguments}


def proxies(host: Mapping[str, str]) -> dict[str, str]:
    """Return the host's proxy variables."""
    return {name: host[name] for lower in _PROXIES for name in (lower, lower.upper()) if name in host}
