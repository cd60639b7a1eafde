"""The category of the plugin's warnings, so that ``filterwarnings`` can speak of it."""

from __future__ import annotations

import pytest

from kubeimage.errors import Diagnostic


class KubefileWarning(pytest.PytestWarning):
    """Something in a Kubefile that its author probably did not mean; the check holds all the same.

    Shape: ``diagnostic`` has the facts, where the warning is not one that a worker process has sent.
    """

    def __init__(self, message: str, diagnostic: Diagnostic | None = None) -> None:
        super().__init__(message)
        self.diagnostic = diagnostic
