"""The errors of a check that does not hold."""

from __future__ import annotations

from collections.abc import Iterable

from kubeimage.errors import KubeimageError, Location


class CheckError(KubeimageError):
    """A check that does not hold for a Kubefile."""

    code = "E0900"


class CheckFailedError(CheckError):
    """A check that does not hold, with the facts that show it.

    Shape: ``details`` are lines that stand below the message.
    """

    def __init__(
        self,
        message: str,
        *,
        details: Iterable[str] = (),
        hint: str | None = None,
        location: Location | None = None,
    ) -> None:
        super().__init__(message, hint=hint, location=location)
        self.details = tuple(details)
