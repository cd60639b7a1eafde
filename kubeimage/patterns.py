"""Regular expressions that are compiled when they are first used.

A command imports many more than it uses, and compiling one takes a tenth of a millisecond or two.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, Generic, cast


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what does all that ``re.compile(text, flags)`` does, and is compiled at its first use.

    Raises: re.error, at that use.
    """
    return cast("re.Pattern[AnyStr]", _Uncompiled(text, flags))


class _Uncompiled(Generic[AnyStr]):
    """Becomes the compiled one, attribute by attribute."""

    def __init__(self, text: AnyStr, flags: int) -> None:
        self._text: AnyStr = text
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self._text, self._flags), name)
        # The next look-up does not come here.
        self.__dict__[name] = found
        return found
