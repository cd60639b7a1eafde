"""PAX records: what a ustar header cannot hold, as ``LENGTH KEY=VALUE`` lines.

Source: POSIX.1-2017, pax, "pax Extended Header"; SCHILY.xattr from star, as GNU tar, bsdtar and Go write and read it.
"""

from __future__ import annotations

from collections.abc import Iterable

from kubeimage.errors import LayerFormatError

XATTR_PREFIX = "SCHILY.xattr."


def render_records(records: Iterable[tuple[str, bytes]]) -> bytes:
    """Return ``records`` as the content of an extended header."""
    return b"".join(_render_record(key.encode(), value) for key, value in records)


def _render_record(key: bytes, value: bytes) -> bytes:
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    # The length counts its own digits, so it may need one more of them than the rest alone.
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def parse_records(data: bytes) -> dict[str, bytes]:
    """Read the content of an extended header; of a key that comes twice the last value counts.

    Raises: LayerFormatError for a record that lies about its length, or has no key.
    """
    records = {}
    position = 0
    while position < len(data):
        length, start = _parse_length(data, position)
        record = data[start : position + length]
        key, equals, value = record[:-1].partition(b"=")
        if record[-1:] != b"\n" or len(record) != position + length - start or not key or not equals:
            raise LayerFormatError(f"a PAX record of {length} bytes is damaged: {record[:60]!r}")
        records[_decode_key(key)] = value
        position += length
    return records


def _parse_length(data: bytes, position: int) -> tuple[int, int]:
    """The record's length, and where what follows the length begins."""
    digits, blank, _ = data[position : position + 20].partition(b" ")
    if not blank or not digits.isdigit():
        raise LayerFormatError(f"a PAX record starts with its length, found {data[position : position + 20]!r}")
    length = int(digits)
    if length <= len(digits) + 1:
        raise LayerFormatError(f"a PAX record gives its length as {length}, which is less than it has")
    return length, position + len(digits) + 1


def _decode_key(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError as error:
        raise LayerFormatError(f"a PAX record's key is not UTF-8: {key!r}") from error
