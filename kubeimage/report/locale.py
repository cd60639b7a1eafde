"""A locale that cannot say what a Kubefile says."""

from __future__ import annotations

import sys

from kubeimage.errors import UsageError


def locale_error(error: BaseException) -> UsageError | None:
    """Return what a person can do about ``error``, where the locale's encoding lacks a character; else None.

    Names of files and commands are bytes to the system, and Python makes them by the locale.
    Source: Python's documentation, sys.getfilesystemencoding.
    """
    encoding = sys.getfilesystemencoding()
    if not isinstance(error, UnicodeEncodeError) or encoding == "utf-8":
        return None
    lacking = error.object[error.start : error.end]
    return UsageError(
        f"the locale's encoding, {encoding}, has no {lacking!a}, which a file's name or a command holds",
        hint="use a locale of UTF-8: LC_ALL=C.UTF-8, or PYTHONUTF8=1",
    )
