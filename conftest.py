"""Plugins and Hypothesis profiles for every test of the repository."""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

settings.register_profile("dev", max_examples=60, deadline=None)
settings.register_profile("ci", max_examples=60, deadline=None, derandomize=True)
settings.register_profile(
    "nightly",
    max_examples=5_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# A landing must not hang on chance; `--hypothesis-profile=nightly` is where examples are looked for.
settings.load_profile("ci" if os.environ.get("CI") else "dev")
