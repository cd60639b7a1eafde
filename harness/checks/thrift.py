"""size-limit and efficiency: what an image may weigh, and how much of it a later layer may throw away again."""

from __future__ import annotations

from collections.abc import Iterator

from harness.cases.case import Case
from harness.checks.failed import CheckFailedError
from harness.images.image import AnyImage
from harness.images.layerindex import BuiltLayer
from kubeimage.errors import Location

_LISTED = 10


def check_size_limit(case: Case) -> None:
    """Check that the image has at most the size that ``--kubefile-max-size`` allows.

    Raises: CheckFailedError with the layers and files that weigh most.
    """
    most, image = case.settings.max_size, case.image
    if most is None or image.size <= most:
        return
    layers = sorted(image.layers, key=lambda layer: -layer.size)
    raise CheckFailedError(
        f"the image has {image.size:,} bytes, and --kubefile-max-size allows {most:,}",
        details=[*layer_lines(layers), *file_lines(image)],
        location=_location(case, layers[0]),
    )


def check_efficiency(case: Case) -> None:
    """Check that the image is as efficient as ``--kubefile-min-efficiency`` asks for.

    Raises: CheckFailedError with the paths that waste most, and the layers that they stand in.
    """
    least, image = case.settings.min_efficiency, case.image
    if least is None or image.efficiency >= least:
        return
    # Down, or one below the limit could look like one at the limit.
    shown = int(image.efficiency * 10_000) / 10_000
    worst = worst_paths(image)
    raise CheckFailedError(
        f"the image has an efficiency of {shown:g}, and --kubefile-min-efficiency asks for {least:g}",
        details=wasted_lines(image, worst),
        hint="write a path in one instruction only, and delete what a RUN needs for itself in that RUN",
        location=_location(case, worst[0][1][-1][0]),
    )


def _location(case: Case, layer: BuiltLayer) -> Location:
    lines = {one.span.first_line: one.span.location for one in case.kubefile.instructions}
    return lines.get(layer.line or 0, case.kubefile.base.span.location)


def layer_lines(layers: list[BuiltLayer]) -> Iterator[str]:
    """Yield the largest layers."""
    yield "the largest layers:"
    for layer in layers[:_LISTED]:
        yield f"  {layer.size:>13,}  {layer.origin}"


def file_lines(image: AnyImage) -> Iterator[str]:
    """Yield the largest files."""
    yield "the largest files:"
    files = sorted(image.rootfs.values(), key=lambda entry: (-entry.size, entry.path))
    for entry in files[:_LISTED]:
        if entry.is_file:
            yield f"  {entry.size:>13,}  {entry.path}"


def worst_paths(image: AnyImage) -> list[tuple[str, tuple[tuple[BuiltLayer, int], ...]]]:
    """Return what stands in several layers or is deleted again, the most bytes first."""
    return sorted(image.repeated.items(), key=lambda item: (-_bytes(item[1]), item[0]))


def wasted_lines(image: AnyImage, worst: list[tuple[str, tuple[tuple[BuiltLayer, int], ...]]]) -> Iterator[str]:
    """Yield what wastes most, and the layers that it stands in."""
    yield f"{image.wasted:,} bytes are in files that stand in several layers, or are deleted again:"
    for path, found in worst[:_LISTED]:
        yield f"  {_bytes(found):>13,}  {path}, in {'; '.join(layer.origin for layer, _ in found)}"


def _bytes(found: tuple[tuple[BuiltLayer, int], ...]) -> int:
    return sum(size for _, size in found)
