"""What packing would fetch, as a table and as JSON: for ``plan`` and ``images-of``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from kubeimage.cli.output import count, format_table, harmless
from kubeimage.report.sizes import format_size

if TYPE_CHECKING:
    from kubeimage.api.forecasting import ImageForecast

_HEADER = ("IMAGE", "FROM", "SIZE", "COMES", "THERE", "UNKNOWN")

ask_option = click.option(
    "--ask", is_flag=True, help="Ask registries how large the container images are that were never fetched."
)


def show_forecast(forecasts: Sequence[ImageForecast]) -> str:
    """Return a table, a line for each image."""
    return format_table(_HEADER, [_row(one) for one in forecasts])


def _row(one: ImageForecast) -> tuple[str, ...]:
    if one.unknown:
        return (str(one.image), one.registry, "", "", "", one.unknown)
    there = f"{len(one.blobs) - len(one.missing)} of {count(len(one.blobs), 'blob')}"
    return (str(one.image), one.registry, format_size(one.size), format_size(one.coming), there, "")


def sum_up_forecast(forecasts: Sequence[ImageForecast]) -> str:
    """Return what has to come for all of them, on one line."""
    from kubeimage.api.forecasting import bytes_to_come

    hosts = {one.registry for one in forecasts if one.missing}
    unknown = sum(bool(one.unknown) for one in forecasts)
    come = f"{count(len(forecasts), 'image')}: {format_size(bytes_to_come(forecasts))} to come"
    places = (
        f" from {', '.join(sorted(hosts))}"
        if 0 < len(hosts) <= 3
        else f" from {len(hosts)} registries"
        if hosts
        else ""
    )
    return harmless(f"{come}{places}{f', {unknown} unknown' if unknown else ''}")


def forecast_to_json(one: ImageForecast) -> dict[str, Any]:
    """Return a forecast as an object; what nobody knows is null."""
    known = not one.unknown
    missing = {blob.digest for blob in one.missing}
    return {
        "image": str(one.image),
        "registry": one.registry,
        "digest": str(one.digest) if one.digest else None,
        "size": one.size if known else None,
        "comes": one.coming if known else None,
        "unknown": one.unknown or None,
        "blobs": [
            {"digest": str(blob.digest), "size": blob.size, "there": blob.digest not in missing} for blob in one.blobs
        ],
    }
