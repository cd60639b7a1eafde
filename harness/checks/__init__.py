"""The catalogue of checks: plain functions that take a case, of use without pytest as well.

A check that does not hold raises a CheckError; one that cannot even begin, because the Kubefile does not parse or does
not build, lets that error through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.asking.options import Settings
from harness.cases.case import BUILD, PARSE, Case
from harness.checks.basic import check_build, check_lint, check_parse
from harness.checks.continuity import check_cache_continuity
from harness.checks.failed import CheckError
from harness.checks.inheritance import check_cmd_args_merge
from harness.checks.leftovers import check_no_leaks
from harness.checks.limit import check_layer_limit
from harness.checks.oci import check_oci_valid
from harness.checks.offline import check_nothing_skipped, check_offline_complete, check_offline_rehearsal, check_signed
from harness.checks.reproducible import check_reproducible
from harness.checks.thrift import check_efficiency, check_size_limit

Check = Callable[[Case], None]

CHECKS: Mapping[str, Check] = {
    PARSE: check_parse,
    "lint": check_lint,
    BUILD: check_build,
    "layer-limit": check_layer_limit,
    "cache-continuity": check_cache_continuity,
    "cmd-args-merge": check_cmd_args_merge,
    "reproducible": check_reproducible,
    "oci-valid": check_oci_valid,
    "no-leaks": check_no_leaks,
}

# Checks of what the project asks for: the setting that makes an item of each.
OF_A_SETTING: Mapping[str, tuple[str, Check]] = {
    "offline-complete": ("pull_images", check_offline_complete),
    "offline-rehearsal": ("pull_images", check_offline_rehearsal),
    "signed": ("signed_by", check_signed),
    "nothing-skipped": ("nothing_skipped", check_nothing_skipped),
    "size-limit": ("max_size", check_size_limit),
    "efficiency": ("min_efficiency", check_efficiency),
}


def catalogue(settings: Settings) -> dict[str, Check]:
    """Return the checks by name: those for every Kubefile, and those that the run's settings ask for."""
    asked = {name: check for name, (key, check) in OF_A_SETTING.items() if getattr(settings, key) is not None}
    return {**CHECKS, **asked}


__all__ = ["CHECKS", "OF_A_SETTING", "Check", "CheckError", "catalogue"]
