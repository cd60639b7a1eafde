"""offline-complete: every container image that the image names is inside, and whole."""

from __future__ import annotations

import pytest

from harness.case import Case
from harness.checks.failed import CheckFailedError
from kubeimage.airgap import has_packed, images_of_image, verify_image
from kubeimage.discovery.search import Search

_LISTED = 10
_PACK = "--kubefile-pull-images=missing packs them"


def check_offline_complete(case: Case) -> None:
    """Check that each container image leads from its tag to its manifest, its config and every blob, all of them right.

    Skipped where the run packs no container images and some are named.
    Raises: CheckFailedError that lists what is not whole.
    """
    image = case.result.image
    with case.open() as backends:
        if case.options.pull_images == "off" and not has_packed(image, backends.layers):
            found = images_of_image(image, backends.layers, Search(ignored_charts=("*",)))
            if found.images or found.charts:
                pytest.skip(f"no container images were packed: {_PACK}")
            return
        verification = verify_image(image, backends.layers)
    if verification.flaws:
        raise CheckFailedError(
            "the image is not complete without a network",
            details=[f"  {flaw}" for flaw in verification.flaws[:_LISTED]],
            hint=_PACK if case.options.pull_images == "off" else "build it again with --no-cache",
            location=case.kubefile.base.span.location,
        )
