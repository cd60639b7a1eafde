"""Building again what has not changed: what is looked at, and what is not read."""

import mmap
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kubeimage.context.ground import ground_of
from tests.disk import folder_on_disk
from tests.e2e.program import Program, write

FILES = {f"conf/d{folder}/f{number}": f"{folder} {number}\n" for folder in range(5) for number in range(20)}
# Only files whose times lie clearly before a build began are known by their times later on.
SETTLED = 0.1


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder on a disk: stat data of a file system in memory are not believed."""
    with folder_on_disk() as folder:
        yield folder


@pytest.mark.needs("strace")
def test_no_content_of_an_unchanged_context_is_read(kubeimage: Program, tmp_path: Path, disk: Path) -> None:
    context = write(disk / "context", {"Kubefile": "FROM scratch\nCOPY conf etc\n", **FILES})
    if ground_of(str(context)) is None:
        pytest.skip("stat data of this file system are not believed")
    write(tmp_path / "xdg", {"kubeimage/config.toml": f"stat-index-age = {SETTLED / 2}\n"})
    kubeimage = replace(kubeimage, environment={**kubeimage.environment, "XDG_CONFIG_HOME": str(tmp_path / "xdg")})
    time.sleep(SETTLED)
    first = kubeimage.build("app:v1", context)

    log = tmp_path / "calls"
    again = replace(kubeimage, prefix=("strace", "-f", "-y", "-e", "trace=openat,open", "-o", str(log)))
    second = again.build("app:v1", context)

    opened = re.findall(rf'"{re.escape(str(context))}/?([^"]*)"', log.read_text())
    assert second == first
    assert "Kubefile" in opened
    assert [path for path in opened if path in FILES] == []


@pytest.mark.needs("strace")
def test_a_young_file_is_read_again(kubeimage: Program, tmp_path: Path, disk: Path) -> None:
    context = write(disk / "context", {"Kubefile": "FROM scratch\nCOPY conf etc\n", **FILES})
    time.sleep(SETTLED)
    first = kubeimage.build("app:v1", context)

    log = tmp_path / "calls"
    again = replace(kubeimage, prefix=("strace", "-f", "-y", "-e", "trace=openat,open", "-o", str(log)))

    assert again.build("app:v1", context) == first
    opened = set(re.findall(rf'"{re.escape(str(context))}/?([^"]*)"', log.read_text()))
    assert opened >= FILES.keys()


def test_a_byte_written_through_a_mapping_is_seen(kubeimage: Program, disk: Path) -> None:
    context = write(disk / "context", {"Kubefile": "FROM scratch\nCOPY f .\n", "f": "old " * 2000})
    with open(context / "f", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[0:4] = b"1st "
        time.sleep(SETTLED)
        kubeimage.build("app:v1", context)
        mapping[0:4] = b"2nd "
        mapping.flush()

    kubeimage.build("app:v2", context)

    assert (kubeimage.export("app:v2") / "f").read_bytes()[:4] == b"2nd "


def test_an_edit_in_the_same_tick_and_of_the_same_size_is_seen(kubeimage: Program, disk: Path) -> None:
    context = write(disk / "context", {"Kubefile": "FROM scratch\nCOPY conf etc\n", **FILES})
    kubeimage.build("app:v1", context)
    (context / "conf/d1/f1").write_text("X X\n")

    kubeimage.build("app:v2", context)

    assert (kubeimage.export("app:v2") / "etc/conf/d1/f1").read_text() == "X X\n"
