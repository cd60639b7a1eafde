"""Read TOML; what is wrong with it is said in one way everywhere.

Source: TOML v1.0.0.
"""

from __future__ import annotations

from typing import Any


def read_toml(data: bytes) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises: ValueError, which says what is wrong and where.
    """
    import tomllib

    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"it is not TOML: {error}") from error
