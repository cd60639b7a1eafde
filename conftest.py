"""Plugins and Hypothesis profiles for every test of the repository."""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

_ROOT = Path(__file__).parent


def _can_write_to(folder: Path) -> bool:
    return os.access(folder if folder.exists() else _ROOT, os.W_OK)


_COMPILED = _ROOT / ".pytest_cache/bytecode"
if "PYTHONDONTWRITEBYTECODE" in os.environ and _can_write_to(_COMPILED):
    # The tests start Python some thousand times: without compiled files each would compile all it imports again.
    # They go to a folder beside the tests' other leftovers, not among the sources.
    del os.environ["PYTHONDONTWRITEBYTECODE"]
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(_COMPILED)

if not _can_write_to(_ROOT / ".hypothesis"):
    # Somebody else's checkout: there is no place to keep examples, which Hypothesis would warn of.
    settings.register_profile("default", database=None)
    settings.load_profile("default")

# How long it takes to draw an example is the machine's business: beside others it may take a second.
_PATIENT = [HealthCheck.too_slow]
settings.register_profile("dev", max_examples=60, deadline=None, suppress_health_check=_PATIENT)
settings.register_profile("ci", max_examples=60, deadline=None, suppress_health_check=_PATIENT, derandomize=True)
settings.register_profile(
    "nightly",
    max_examples=5_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# Nobody's first run, and no landing, hangs on chance: examples are looked for under "dev" and "nightly".
settings.load_profile("ci")


def pytest_xdist_auto_num_workers() -> int:
    """Return one worker more than there are cores: many tests wait, for a program that they started or for the disk."""
    return len(os.sched_getaffinity(0)) + 1
