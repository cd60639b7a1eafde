"""Numbers of bytes as people say them."""

from __future__ import annotations

_UNITS = ("kB", "MB", "GB", "TB", "PB")


def format_size(size: int) -> str:
    """Return a number of bytes as people say it: ``999 B``, ``12 kB``, ``1.3 MB``."""
    if size < 1000:
        return f"{size} B"
    amount, unit = size / 1000, 0
    while round(amount) >= 1000 and unit + 1 < len(_UNITS):
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if amount < 9.95 else f"{amount:.0f} {_UNITS[unit]}"
