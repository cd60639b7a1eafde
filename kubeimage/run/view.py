"""What a RUN sees of the host: a list of what programs need, read-only, and nothing else.

docs/kubefile-sealer-0.8.md has the same table for people; a test compares them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

from kubeimage.errors import UsageError
from kubeimage.values import dataclass

SYSTEM = ("/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr")
"""Programs and libraries."""

ETC = (
    # Libraries and programs by their plain names.
    "alternatives",
    "ld-musl-*.path",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    # Whom to trust, but no private keys, which lie beside that.
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "pki/ca-trust",
    "pki/java",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/ct_log_list.cnf",
    "pki/tls/openssl.cnf",
    "pki/tls/openssl.d",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/ct_log_list.cnf",
    "ssl/openssl.cnf",
    "ssl/openssl.d",
    # Names of hosts, services and protocols.
    "gai.conf",
    "host.conf",
    "hosts",
    "networks",
    "nsswitch.conf",
    "protocols",
    "resolv.conf",
    "rpc",
    "services",
    # The time here, and what this system is.
    "localtime",
    "timezone",
    "debian_version",
    "lsb-release",
    "os-release",
    # Settings that programs of the system do not start without, or behave differently.
    "fonts",
    "java*",
    "magic",
    "magic.mime",
    "mime.types",
    "perl",
    "python3*",
    "sgml",
    "terminfo",
    "xml",
)
"""Of /etc, globs that match from there."""

ETC_FOLDER = "/etc"

ACCOUNTS = {
    "/etc/passwd": "root:x:0:0:root:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
"""Users and groups as a RUN knows them where it has a root of its own."""

_READABLE_BY_ALL = stat.S_IROTH


@dataclass(frozen=True)
class Shown:
    """One place of the host. Shape: ``source`` is the real path, or with ``is_link`` what a symlink says."""

    target: str
    source: str
    is_link: bool = False


def host_view(run_paths: Sequence[str] = ()) -> list[Shown]:
    """Return what a RUN sees, ``run_paths`` too, parents first.

    A closed file of /etc is left out: nobody but root could read it, and a RUN of root is not to be more than others'.
    """
    return [*_system(), *_settings(), *(Shown(path, os.path.realpath(path)) for path in run_paths)]


def check_run_paths(paths: Sequence[str]) -> tuple[str, ...]:
    """Return ``paths``, each without needless parts.

    Raises: UsageError for one that is not absolute, is not there, or is everything.
    """
    found = []
    for path in paths:
        # Two slashes at the beginning mean something of their own to POSIX, and nothing here.
        plain = f"/{os.path.normpath(path).lstrip('/')}"
        if not os.path.isabs(path) or plain == "/":
            raise UsageError(f"--run-path: {path!r} is no absolute path below /", hint="as in --run-path /opt/tools")
        if not os.path.exists(path):
            raise UsageError(f"--run-path: {path!r} does not exist", hint="leave it out, or name what is there")
        found.append(plain)
    return tuple(found)


def _system() -> Iterator[Shown]:
    shown: list[str] = []
    # Real folders first: whether a link leads into one is then known.
    for path in sorted(SYSTEM, key=os.path.islink):
        real = os.path.realpath(path)
        if not os.path.isdir(real):
            continue
        if os.path.islink(path) and any(real == one or real.startswith(f"{one}/") for one in shown):
            yield Shown(path, os.readlink(path), is_link=True)
        else:
            shown.append(path)
            yield Shown(path, real)


def _settings() -> Iterator[Shown]:
    import glob

    for pattern in ETC:
        for name in sorted(glob.glob(pattern, root_dir=ETC_FOLDER)) if "*" in pattern else [pattern]:
            real = os.path.realpath(f"{ETC_FOLDER}/{name}")
            try:
                mode = os.stat(real).st_mode
            except OSError:
                continue
            if mode & _READABLE_BY_ALL and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                yield Shown(f"/etc/{name}", real)
