import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_KERNEL = tuple(int(part) for part in os.uname().release.split(".")[:2])
_AREA = Path("/sys/kernel/mm/transparent_hugepage/enabled")
# In a process of its own: this one's memory is joined already.
_SCRIPT = """
import mmap
from tests.hugepages import join_pages

area = mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for place in range(0, len(area), 4096):
    area[place] = place // 4096 % 251

def huge():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages"))

before = huge()
join_pages()
assert all(area[place] == place // 4096 % 251 for place in range(0, len(area), 4096))
print(before, huge())
"""


@pytest.mark.skipif(
    not _AREA.exists() or "[never]" in _AREA.read_text() or _KERNEL < (6, 1),
    reason="this kernel joins no pages on demand",
)
def test_memory_is_joined_and_says_what_it_said() -> None:
    ended = subprocess.run([sys.executable, "-c", _SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)

    before, after = map(int, ended.stdout.split())
    assert after - before >= 8 << 10
