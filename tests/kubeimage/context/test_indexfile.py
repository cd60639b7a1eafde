"""Which of the files that remember something of contexts are damaged."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kubeimage.context.indexfile import IndexFile, damaged_indexes

# What becomes of a file, and whether it is damage.
CHANGES: dict[str, tuple[Callable[[bytes], bytes], bool]] = {
    "none": (lambda data: data, False),
    "another last byte": (lambda data: data[:-1] + bytes([data[-1] ^ 1]), True),
    "the end cut off": (lambda data: data[:-1], True),
    "a byte more": (lambda data: data + b"x", True),
    "another checksum": (lambda data: data.replace(b"\n", b"\nx", 1), True),
    "nothing left": (lambda _: b"", True),
    "another first line": (lambda data: b"x" + data, True),
    "a later version's": (lambda data: data.replace(b"index 1 ", b"index 2 ", 1), False),
}


@pytest.mark.parametrize(("change", "is_damage"), CHANGES.values(), ids=CHANGES)
def test_a_file_that_is_not_as_it_was_written_is_damaged(
    tmp_path: Path, change: Callable[[bytes], bytes], is_damage: bool
) -> None:
    files = [IndexFile(str(tmp_path), f"/context/{number}", "stat", None) for number in range(2)]
    for one in files:
        one.write(b"what is remembered")
    changed = Path(files[0].path)

    changed.write_bytes(change(changed.read_bytes()))

    assert damaged_indexes(str(tmp_path)) == ([files[0].path] if is_damage else [])


def test_what_is_being_written_and_what_is_not_there_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / ".half.stat.1.tmp").write_bytes(b"half")

    assert damaged_indexes(str(tmp_path)) == damaged_indexes(str(tmp_path / "none")) == []
