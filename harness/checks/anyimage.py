"""The checks of any image: plain functions that take an `ImageCase`, of use without pytest as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from harness.cases.ocicase import ImageCase
from harness.checks.failed import CheckFailedError
from harness.checks.oci import config_problems, digest_of, schema_problems
from harness.checks.thrift import file_lines, layer_lines, wasted_lines, worst_paths
from harness.secrets.scan import Secret, find_secrets
from kubeimage.errors import KubeimageError
from kubeimage.image import canonical
from kubeimage.image.document import MAX_LAYERS
from kubeimage.image.media_types import format_of

LEAST_EFFICIENCY = 0.9
"""What dive asks for where nobody says more."""

_LISTED = 20


def check_image_valid(case: ImageCase) -> None:
    """Check config and manifest against OCI's rules, and recompute the digest and size of every layer.

    Of a manifest in Docker's words only the digests are compared.
    Raises: CheckFailedError that lists what is wrong.
    """
    jsonschema = pytest.importorskip("jsonschema", reason="oci-valid needs jsonschema: pip install jsonschema")
    opened = case.opened
    problems = [*schema_problems(jsonschema, "config", _without_nulls(opened.image.config))]
    if format_of(opened.manifest.media_type) == "oci":
        problems += schema_problems(jsonschema, "manifest", opened.manifest.to_bytes())
    problems += config_problems(opened.image)
    problems += _layer_problems(case)
    if problems:
        raise CheckFailedError(
            f"{case.name}: other tools could not read the image",
            details=[f"  {problem}" for problem in problems[:_LISTED]],
        )


def check_image_layers(case: ImageCase) -> None:
    """Check that the image has no more layers than any image may have, and than ``--oci-image-max-layers`` allows.

    Raises: CheckFailedError with the layers.
    """
    layers, most = case.image.layers, case.settings.max_layers
    limit = min(MAX_LAYERS, most) if most is not None else MAX_LAYERS
    if len(layers) > limit:
        allowed = f"--oci-image-max-layers allows {limit}" if limit == most else f"an image has at most {limit}"
        raise CheckFailedError(
            f"{case.name} has {len(layers)} layers, and {allowed}",
            details=[f"  {layer.origin}" for layer in layers[limit : limit + _LISTED]],
            hint="join the commands of several RUNs, or copy several sources in one COPY",
        )


def check_image_size(case: ImageCase) -> None:
    """Check that the image has at most the size that ``--oci-image-max-size`` allows; without it, skip.

    Raises: CheckFailedError with the layers and files that weigh most.
    """
    most = case.settings.max_size
    if most is None:
        pytest.skip("no size is set: --oci-image-max-size=SIZE")
    image = case.image
    if image.size > most:
        layers = sorted(image.layers, key=lambda layer: -layer.size)
        raise CheckFailedError(
            f"{case.name} has {image.size:,} bytes, and --oci-image-max-size allows {most:,}",
            details=[*layer_lines(layers), *file_lines(image)],
        )


def check_image_efficiency(case: ImageCase) -> None:
    """Check that the image is as efficient as ``--oci-image-min-efficiency`` asks for, which is 0.9 unless it is set.

    Raises: CheckFailedError with the paths that waste most, and the layers that they stand in.
    """
    least = case.settings.min_efficiency
    image, least = case.image, LEAST_EFFICIENCY if least is None else least
    if image.efficiency < least:
        # Down, or one below the limit could look like one at the limit.
        shown = int(image.efficiency * 10_000) / 10_000
        raise CheckFailedError(
            f"{case.name} has an efficiency of {shown:g}, and --oci-image-min-efficiency asks for {least:g}",
            details=wasted_lines(image, worst_paths(image)),
            hint="write a path in one instruction only, and delete what a RUN needs for itself in that RUN",
        )


def check_image_secrets(case: ImageCase) -> None:
    """Check that no layer, variable or instruction holds a private key, a token or a password.

    What a later layer deletes is still in the image. ``--oci-image-allow-secret`` names what may be there.
    Raises: CheckFailedError with each secret's rule, its file, and the layer that brought it.
    """
    found = list(find_secrets(case.image, case.settings.allowed_secrets))
    if found:
        more = [f"  … and {len(found) - _LISTED} more"] if len(found) > _LISTED else []
        raise CheckFailedError(
            f"{case.name} holds {len(found)} secret{'s' if len(found) != 1 else ''}",
            details=[*map(_about_secret, found[:_LISTED]), *more],
            hint="keep them out of what is copied, and revoke those that were published; "
            "what is no secret is allowed with --oci-image-allow-secret=GLOB",
        )


def _about_secret(secret: Secret) -> str:
    where = f", from {secret.layer.origin}" if secret.layer is not None else ""
    gone = "; a later layer hides it, and it is still there" if secret.hidden else ""
    return f"  {secret.rule}: {secret.what} ({secret.shown}) in {secret.path}{where}{gone}"


def _layer_problems(case: ImageCase) -> Iterator[str]:
    opened = case.opened
    for layer in opened.image.layers:
        try:
            with opened.layers.open(layer.diff_id) as tar:
                found, _ = digest_of(tar)
        except KubeimageError as error:
            yield f"layer {layer.diff_id}: {error}"
            continue
        if found != layer.diff_id.hex:
            yield f"layer {layer.diff_id}: its tar has the digest sha256:{found}"


def _without_nulls(config: bytes) -> bytes:
    """Return a config without what is null: to Go, and so to all its readers, that is as good as absent."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: clean(one) for key, one in value.items() if one is not None}
        return value

    return canonical.encode(clean(canonical.decode(config)))


ImageCheck = Callable[[ImageCase], None]

IMAGE_CHECKS: Mapping[str, ImageCheck] = {
    "oci-valid": check_image_valid,
    "layer-limit": check_image_layers,
    "size-limit": check_image_size,
    "efficiency": check_image_efficiency,
    "no-secrets": check_image_secrets,
}
