"""Pages of the documentation that are made from the code, each by a module that is run."""

from __future__ import annotations

import sys


def put_page(page: str) -> None:
    """Write ``page`` to the file that the first argument of the command line names; without one, print it.

    Raises: OSError where the file cannot be written.
    """
    if len(sys.argv) == 1:
        sys.stdout.write(page)
        return
    with open(sys.argv[1], "w", encoding="utf-8") as stream:
        stream.write(page)


__all__ = ["put_page"]
