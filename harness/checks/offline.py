"""offline-complete: every container image that the image names is inside, and whole."""

from __future__ import annotations

from harness.cases.case import Case
from harness.checks.failed import CheckFailedError
from kubeimage.api.airgap import verify_image

_LISTED = 10


def check_offline_complete(case: Case) -> None:
    """Check that each container image that is named leads to its tag, manifest, config and blobs, all of them right.

    Raises: CheckFailedError that lists what is not whole.
    """
    image = case.result.image
    with case.open() as backends:
        flaws = verify_image(image, backends).flaws
    if flaws:
        raise CheckFailedError(
            "the image is not complete without a network",
            details=[f"  {flaw}" for flaw in flaws[:_LISTED]],
            hint="the base image has to be built with --pull-images as well",
            location=case.kubefile.base.span.location,
        )
