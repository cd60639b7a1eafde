"""The category of the plugin's warnings, so that ``filterwarnings`` can speak of it."""

import pytest


class KubefileWarning(pytest.PytestWarning):
    """Something in a Kubefile that its author probably did not mean; the check holds all the same."""
