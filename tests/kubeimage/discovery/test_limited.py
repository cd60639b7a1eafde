"""What is said of a program that meets a bound."""

import signal
from pathlib import Path

import pytest

from kubeimage.discovery.limited import run_limited

# How it ends, and what is said of that.
ENDS = [
    ("exit 0", None),
    ("exit 3", None),
    ("head -c 63M /dev/zero >&2", None),
    ("head -c 65M /dev/zero >&2", "it makes more than 64 MiB"),
    ("echo file too large >&2; exit 3", "it makes more than 64 MiB"),
    (f"kill -{signal.SIGXFSZ} $$", "it makes more than 64 MiB"),
    (f"kill -{signal.SIGXCPU} $$", "it took longer than 120 s"),
    (f"kill -{signal.SIGKILL} $$", "it took longer than 120 s"),
    ("echo fatal: out of memory >&2; exit 2", "it takes more than 2 GiB of memory"),
    ("echo out of memory >&2", None),
]


@pytest.mark.parametrize(("script", "trouble"), ENDS)
def test_a_bound_is_named_with_its_size(script: str, trouble: str | None, tmp_path: Path) -> None:
    ended = run_limited(["/bin/sh", "-c", f"echo out; {script}"], {}, str(tmp_path))

    assert ended.trouble == trouble
    assert ended.output == (b"" if trouble else b"out\n")
