"""The programs of others that tests are judged by: whoever starts one says so by ``@pytest.mark.needs``.

Without that a test would fail on a machine that lacks the program, and nobody would know before.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

PEERS = frozenset(
    {
        "bsdtar",
        "buildah",
        "chromium",
        "docker",
        "docker-registry",
        "dockerd",
        "getfattr",
        "openssl",
        "redis-server",
        "setcap",
        "setfattr",
        "skopeo",
        "strace",
        "umoci",
    }
)
_AS_A_COMMAND = re.compile(rf"^(?:\w+=\S+\s+)*({'|'.join(sorted(PEERS, key=len, reverse=True))})\s", re.MULTILINE)
_begin = subprocess.Popen.__init__
_running: list[pytest.Item] = []


def expect(item: pytest.Item) -> None:
    """Let nothing be started from now on but what the marks of a test name."""
    _running[:] = [item]


def needs(item: pytest.Item) -> set[str]:
    """Return the programs that a test's marks name."""
    return {program for mark in item.iter_markers("needs") for program in mark.args}


def started_by(script: str) -> Sequence[str]:
    """Return the peers that a script for the shell starts, each at the beginning of a line or behind variables."""
    return sorted(set(_AS_A_COMMAND.findall(script)))


def _begin_what_is_named(process: Any, args: Any, *others: Any, **named: Any) -> None:
    first = os.fsdecode(args if isinstance(args, (str, bytes, os.PathLike)) else args[0])
    program = os.path.basename(first)
    if (
        program in PEERS
        and not _is_stand_in(first, named.get("env"))
        and any(program not in needs(item) for item in _running)
    ):
        pytest.fail(f"this test starts {program}: it needs @pytest.mark.needs({program!r})")
    _begin(process, args, *others, **named)


def _is_stand_in(program: str, environment: Mapping[str, str] | None) -> bool:
    """Whether it is a script of the tests, which has the name of a program."""
    found = shutil.which(program, path=(os.environ if environment is None else environment).get("PATH"))
    return found is not None and not found.startswith(("/usr/", "/bin/", "/sbin/"))


subprocess.Popen.__init__ = _begin_what_is_named  # type: ignore[assignment, method-assign]
