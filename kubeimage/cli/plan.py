"""``kubeimage plan``."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from kubeimage.api.backends import open_backends
from kubeimage.api.building import preview_build
from kubeimage.api.sharing import share_cache
from kubeimage.cli.diagnostics import render, width_of
from kubeimage.cli.forecasting import ask_option, forecast_to_json, show_forecast, sum_up_forecast
from kubeimage.cli.output import count, format_json, format_option, format_table, shorten, shorten_digests
from kubeimage.cli.request import BuildRequest, takes_build_request
from kubeimage.cli.session import Session
from kubeimage.image.compatibility import COMPATIBILITY
from kubeimage.kubefile import lint
from kubeimage.report.sizes import format_size
from kubeimage.report.text import lay_out

if TYPE_CHECKING:
    from kubeimage.api.backends import Backends
    from kubeimage.api.forecasting import ImageForecast
    from kubeimage.builder.forecast import Forecast
    from kubeimage.builder.plan import BuildOptions
    from kubeimage.kubefile import Kubefile

_HEADER = ("STEP", "OUTCOME", "INSTRUCTION", "LAYER", "DETAIL")
_WIDEST_INSTRUCTION = 48
_SHOWN_PATHS = 3


@click.command()
@takes_build_request(tag_required=False)
@ask_option
@format_option
def plan(session: Session, request: BuildRequest, *, ask: bool, form: str) -> None:
    """Say what `kubeimage build` with the same options would do: what the cache has, and why not the rest.

    Nothing is changed, and nothing is run. With --pull-images, it says of the container images that the context names
    how much would be fetched, from where; no registry is asked for that without --ask.
    """
    options = request.options(os.environ, session.settings)
    kubefile = request.read_kubefile(session.settings.dialect)
    platforms = request.platforms() or (options.target,)
    settings = session.settings.with_stat_index(not request.no_stat_index)
    note = partial(click.echo, err=True)
    with (
        open_backends(
            session.root,
            settings.with_insecure(request.insecure),
            access="look",
            mount=request.mount,
            isolation=request.isolation,
            run=request.run(session.settings),
        ) as opened,
        share_cache(request.shared_cache(), opened, notice=note) as backends,
    ):
        forecasts = [
            (platform, one)
            for platform in platforms
            for one in preview_build(kubefile, request.context, backends, options=replace(options, platform=platform))
        ]
        images = [
            (platform, one)
            for platform in (platforms if options.pull_images != "off" else ())
            for one in _forecast(kubefile, request.context, backends, replace(options, platform=platform), ask=ask)
        ]
    advice = lint(kubefile)
    if advice and not request.quiet:
        click.echo(render(lay_out(advice, width_of(sys.stderr)), sys.stderr), err=True)
    if form == "json":
        told = [
            *({**_to_json(one, kubefile.dialect), "platform": str(platform)} for platform, one in forecasts),
            *({**forecast_to_json(one), "platform": str(platform)} for platform, one in images),
        ]
        click.echo(format_json(told))
    elif len(platforms) == 1:
        click.echo(format_table(_HEADER, [_to_row(one) for _, one in forecasts]))
    else:
        rows = [(str(platform), *_to_row(one)) for platform, one in forecasts]
        click.echo(format_table(("PLATFORM", *_HEADER), rows))
    if images:
        if form != "json":
            click.echo(f"\n{show_forecast([one for _, one in images])}")
        click.echo(sum_up_forecast([one for _, one in images]), err=True)


def _forecast(
    kubefile: Kubefile, context: str, backends: Backends, options: BuildOptions, *, ask: bool
) -> tuple[ImageForecast, ...]:
    from kubeimage.api.airgap import images_of_context
    from kubeimage.api.forecasting import forecast_images

    return forecast_images(
        images_of_context(kubefile, context, options=options).images, backends, options=options, ask=ask
    )


def _to_row(forecast: Forecast) -> tuple[str, ...]:
    step, layer = forecast.step, forecast.layer
    return (
        f"{step.number} {step.stage}".strip(),
        forecast.outcome,
        shorten(step.shown, _WIDEST_INSTRUCTION),
        f"{layer.diff_id.short} {format_size(layer.size)}" if layer else "",
        "; ".join(filter(None, (shorten_digests(forecast.why_missed or ""), _name_some(forecast.paths)))),
    )


def _name_some(paths: tuple[str, ...]) -> str:
    if not paths:
        return ""
    more = ", …" if len(paths) > _SHOWN_PATHS else ""
    return f"{count(len(paths), 'path')}: {', '.join(paths[:_SHOWN_PATHS])}{more}"


def _to_json(forecast: Forecast, dialect: str) -> dict[str, Any]:
    step, layer = forecast.step, forecast.layer
    return {
        "compatibility": COMPATIBILITY,
        "dialect": dialect,
        "step": step.number,
        "stage": step.stage or None,
        "line": step.location.line,
        "text": step.text,
        "outcome": forecast.outcome,
        "why_missed": forecast.why_missed,
        "layer": str(layer.diff_id) if layer else None,
        "size": layer.size if layer else None,
        "paths": list(forecast.paths),
    }
