"""Files are replaced whatever length their names have."""

from pathlib import Path

import pytest

from kubeimage.disk.replacing import replace_file


@pytest.mark.parametrize("name", ["a", "i" * 250, "i" * 255, "é" * 127, "漢" * 85, "😀" * 63], ids=len)
def test_a_file_of_any_name_is_replaced(tmp_path: Path, name: str) -> None:
    for data in (b"1", b"2"):
        replace_file(str(tmp_path / name), data)

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"2"
