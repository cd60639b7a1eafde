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
from kubeimage.cli.output import count, format_json, format_option, format_table, shorten, shorten_digests
from kubeimage.cli.request import BuildRequest, takes_build_request
from kubeimage.cli.session import Session
from kubeimage.image.compatibility import COMPATIBILITY
from kubeimage.kubefile import lint
from kubeimage.report.sizes import format_size
from kubeimage.report.text import lay_out

if TYPE_CHECKING:
    from kubeimage.builder.forecast import Forecast

_HEADER = ("STEP", "OUTCOME", "INSTRUCTION", "LAYER", "DETAIL")
_WIDEST_INSTRUCTION = 48
_SHOWN_PATHS = 3


@click.command()
@takes_build_request(tag_required=False)
@format_option
def plan(session: Session, request: BuildRequest, form: str) -> None:
    """Say what `kubeimage build` with the same options would do: what the cache has, and why not the rest.

    Nothing is changed, and nothing is run.
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
    advice = lint(kubefile)
    if advice and not request.quiet:
        click.echo(render(lay_out(advice, width_of(sys.stderr)), sys.stderr), err=True)
    if form == "json":
        click.echo(
            format_json([{**_to_json(one, kubefile.dialect), "platform": str(platform)} for platform, one in forecasts])
        )
    elif len(platforms) == 1:
        click.echo(format_table(_HEADER, [_to_row(one) for _, one in forecasts]))
    else:
        rows = [(str(platform), *_to_row(one)) for platform, one in forecasts]
        click.echo(format_table(("PLATFORM", *_HEADER), rows))


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
