"""The options about the example database that Hypothesis's tests share with other workers and machines."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from harness.asking.options import Option
from harness.asking.settings import RawSettings
from harness.databases.place import Kind, Place, parse_place

DATABASE_OPTIONS = (
    Option(
        "--database",
        "let Hypothesis's tests share what failed with everybody who names this database: redis://HOST:PORT/NUMBER, a "
        "folder, or github://OWNER/REPO for what CI kept as an artifact. May be repeated",
        "linelist",
        {"action": "append", "metavar": "URL|DIR"},
    ),
    Option(
        "--database-read-only",
        "take examples from --database, and write none to it",
        "bool",
        {"action": "store_true"},
    ),
)


@dataclass(frozen=True)
class DatabaseSettings:
    """What a run was asked for about databases."""

    places: tuple[Place, ...] = ()
    read_only: bool = False


def read_database_settings(config: pytest.Config) -> DatabaseSettings:
    """Read options and settings.

    Raises: pytest.UsageError that says which option is wrong, and what to do.
    """
    raw = RawSettings(config, prefix="kubeimage_")
    try:
        places = [parse_place(text) for text in raw.texts("database")]
    except ValueError as error:
        raise pytest.UsageError(f"--database: {error}") from error
    placed = (
        one if one.kind is not Kind.FOLDER else one._replace(text=raw.place("database", one.text)) for one in places
    )
    return DatabaseSettings(tuple(placed), read_only=bool(raw.value("database_read_only")))
