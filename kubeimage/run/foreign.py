"""Programs for another processor than this machine's: the kernel runs them where binfmt_misc names an interpreter.

Source: Linux, Documentation/admin-guide/binfmt-misc.rst; elf.h for the machines' numbers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from kubeimage.errors import PlatformMismatchError
from kubeimage.image.platform import Platform

HANDLERS = "/proc/sys/fs/binfmt_misc"

# An ELF header's machine stands at byte 18; the tests' masks leave it whole.
_MACHINE_AT = 18
_MACHINES = {
    3: "386",
    8: "mips",
    21: "ppc64le",
    22: "s390x",
    40: "arm",
    62: "amd64",
    183: "arm64",
    243: "riscv64",
    258: "loong64",
}
_ELF = b"\x7fELF"
_MAGIC = re.compile(r"^magic ([0-9a-f]+)$", re.MULTILINE)


def check_platform(platform: Platform, handlers: str | None = None) -> None:
    """Make sure that a RUN for ``platform`` can run on this machine.

    Raises: PlatformMismatchError that says what is missing.
    """
    _check(platform, handlers or HANDLERS, "a RUN", "build on such a machine, or build without RUN")


def check_programs(platform: Platform, handlers: str | None = None) -> None:
    """Make sure that programs of an image for ``platform`` can run on this machine.

    Raises: PlatformMismatchError that says what is missing.
    """
    _check(platform, handlers or HANDLERS, "a program", "or run it on such a machine")


def _check(platform: Platform, handlers: str, what: str, way_out: str) -> None:
    host = Platform.host()
    if host.runs(platform) or platform.architecture in set(_handled(handlers)):
        return
    raise PlatformMismatchError(
        f"{what} for {platform} cannot run on this {host} machine: the kernel has no binfmt handler "
        f"for {platform.architecture} in {handlers}",
        hint=f"install one (on Debian: apt install qemu-user-static), {way_out}",
    )


def _handled(handlers: str) -> Iterator[str]:
    """Yield the architectures that an interpreter is registered for."""
    try:
        names = sorted(os.listdir(handlers))
    except OSError:
        return
    for name in names:
        try:
            with open(os.path.join(handlers, name), encoding="ascii", errors="replace") as file:
                text = file.read(4096)
        except OSError:
            continue
        magic = _MAGIC.search(text)
        if magic is not None and text.startswith("enabled"):
            header = bytes.fromhex(magic[1]) if len(magic[1]) % 2 == 0 else b""
            if header.startswith(_ELF) and len(header) > _MACHINE_AT + 1:
                yield _machine(header)


def _machine(header: bytes) -> str:
    is_big_endian = header[5] == 2
    number = int.from_bytes(header[_MACHINE_AT : _MACHINE_AT + 2], "big" if is_big_endian else "little")
    if number == 21 and is_big_endian:
        return "ppc64"
    return _MACHINES.get(number, "")
