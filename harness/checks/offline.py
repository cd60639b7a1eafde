"""What the image names is inside and whole, a node gets it, and no name is left out unseen.

The checks offline-complete, offline-rehearsal, nothing-skipped and signed.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from harness.cases.case import Case
from harness.checks.failed import CheckFailedError
from kubeimage.api.airgap import rehearse_image, verify_image
from kubeimage.api.signing import verify_signatures

_LISTED = 10


def check_offline_complete(case: Case) -> None:
    """Check that each container image that is named leads to its tag, manifest, config and blobs, all of them right.

    Raises: CheckFailedError that lists what is not whole.
    """
    image = case.result.image
    with case.open() as backends:
        found = verify_image(image, backends)
    if not found.is_whole:
        raise CheckFailedError(
            "the image is not complete without a network",
            details=[f"  {one}" for one in (*found.unreadable, *found.flaws)][:_LISTED],
            hint="the base image has to be built with --pull-images as well" if found.flaws else None,
            location=case.kubefile.base.span.location,
        )


def check_offline_rehearsal(case: Case) -> None:
    """Check that a node without internet pulls each container image that is named from what is packed.

    Skipped where no container image is named or packed.
    Raises: CheckFailedError that lists what a node would not get, and why.
    """
    image = case.result.image
    with case.open() as backends:
        found = rehearse_image(image, backends)
    if not (found.images or found.unreadable):
        pytest.skip("it names no container image, and packs none")
    lost = [f"  {one.image}: {one.pulled.what} ({one.places[0]})" for one in found.images if one.status != "pulled"]
    if not found.is_complete:
        raise CheckFailedError(
            "a node without internet would not get every container image",
            details=[*(f"  {one}" for one in found.unreadable), *lost][:_LISTED],
            hint="kubeimage rehearse IMAGE lists all of them",
            location=case.kubefile.base.span.location,
        )


def check_signed(case: Case) -> None:
    """Check that one of the keys of ``--kubefile-signed-by`` has signed each container image that is packed.

    The signatures must be packed as well, so that the site finds them. Skipped where nothing is packed.
    Raises: CheckFailedError that lists what nobody has signed, and why; UsageError for a key that cannot be read.
    """
    image = case.result.image
    with case.open() as backends:
        _, *packed = verify_signatures(image, case.settings.signed_by or (), backends).images
    if not packed:
        pytest.skip("it packs no container image")
    unsigned = [one for one in packed if not one.is_signed]
    if unsigned:
        are = "1 container image is" if len(unsigned) == 1 else f"{len(unsigned)} container images are"
        raise CheckFailedError(
            f"{are} not signed by the keys that are asked for",
            details=[f"  {one.name}: {one.reason}" for one in unsigned[:_LISTED]],
            hint='referrers = "signature" in the configuration file packs signatures with their images',
            location=case.kubefile.base.span.location,
        )


def check_nothing_skipped(case: Case) -> None:
    """Check that nothing that reads as an image's name is left out, but for what ``--kubefile-allow-skipped`` allows.

    Raises: CheckFailedError that lists what is left out, with its place and the reason.
    """
    image = case.result.image
    with case.open() as backends:
        skipped = verify_image(image, backends).skipped
    allowed = case.settings.allowed_skipped
    left = [one for one in skipped if not any(fnmatchcase(one.text, glob) for glob in allowed)]
    if left:
        are = "1 name is" if len(left) == 1 else f"{len(left)} names are"
        raise CheckFailedError(
            f"{are} left out",
            details=[f"  {one.text}: {one.reason} ({one.place})" for one in left[:_LISTED]],
            hint="pack it: --add-image NAME; or say that it is not meant: --kubefile-allow-skipped GLOB",
            location=case.kubefile.base.span.location,
        )
