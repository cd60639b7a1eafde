"""``kubeimage images-of`` and ``verify``: the container images of an application, and whether they are whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from kubeimage.api.backends import open_backends
from kubeimage.api.building import find_kubefile, read_kubefile
from kubeimage.cli.completion import complete_images
from kubeimage.cli.forecasting import ask_option, forecast_to_json, show_forecast, sum_up_forecast
from kubeimage.cli.images import platform_option
from kubeimage.cli.output import count, format_json, format_option, format_table, harmless, shorten
from kubeimage.cli.parsing import parse_build_args, parse_platform
from kubeimage.cli.proofs import unreadable_to_json, verification_to_json
from kubeimage.cli.searching import SearchRequest, search_options
from kubeimage.cli.session import Session, common_options
from kubeimage.cli.signing import identity_option, verify_signed
from kubeimage.errors import UsageError

if TYPE_CHECKING:
    from kubeimage.api.airgap import Verification
    from kubeimage.discovery.findings import Findings
    from kubeimage.image.trust import IdentityRule
    from kubeimage.settings import Settings

_WIDEST = 80


@click.command("images-of")
@click.argument("source", metavar="CONTEXT|IMAGE")
@click.option("--why", is_flag=True, help="Say where each is named and by which rule, and what was skipped, and why.")
@click.option("--forecast", is_flag=True, help="Say of each how much packing would fetch, and from where.")
@ask_option
@click.option("-f", "--file", metavar="FILE", help="The Kubefile; else CONTEXT/Kubefile or CONTEXT/kubefile.")
@click.option("--build-arg", "build_args", multiple=True, metavar="KEY[=VALUE]", help="An ARG's value.")
@platform_option
@format_option
@search_options
@common_options
@click.pass_obj
def images_of(
    session: Session,
    /,
    source: str,
    *,
    why: bool,
    forecast: bool,
    ask: bool,
    file: str | None,
    build_args: tuple[str, ...],
    platform: str | None,
    form: str,
    **options: Any,
) -> None:
    """List the container images that a build context names, or an image of the store.

    Of a context, what COPY would bring is looked into; what RUN would change is not known before it has run.
    """
    request = SearchRequest(**options)
    if os.path.isdir(source):
        findings = _of_context(session, source, file, build_args, request, platform=platform)
    else:
        findings = _of_image(session, source, platform, request)
    if forecast or ask:
        settings = session.settings.with_insecure(session.insecure)
        _show_forecast(findings, session, settings, platform, form, ask=ask)
    elif form == "json":
        click.echo(format_json(_to_json(findings) if why else [str(image) for image in findings.images]))
    elif why:
        click.echo(_explain(findings))
    elif findings.images:
        click.echo("\n".join(harmless(str(image)) for image in findings.images))
    for warning in findings.warnings:
        click.echo(f"warning: {harmless(warning)}", err=True)
    left = len(findings.left_names)
    skipped = f", {count(left, 'name')} skipped" if left else ""
    click.echo(f"{count(len(findings.images), 'image')}{skipped}{'' if why else '; --why says why'}", err=True)
    findings.check()


def _show_forecast(
    findings: Findings, session: Session, settings: Settings, platform: str | None, form: str, *, ask: bool
) -> None:
    from kubeimage.api.forecasting import forecast_images
    from kubeimage.builder.plan import BuildOptions

    options = BuildOptions(platform=parse_platform(platform), pull_images="missing")
    with open_backends(session.root, settings, access="look") as backends:
        forecasts = forecast_images(findings.images, backends, options=options, ask=ask)
    if form == "json":
        click.echo(format_json([forecast_to_json(one) for one in forecasts]))
    elif forecasts:
        click.echo(show_forecast(forecasts))
    click.echo(sum_up_forecast(forecasts), err=True)


def _of_context(
    session: Session,
    context: str,
    file: str | None,
    build_args: tuple[str, ...],
    request: SearchRequest,
    *,
    platform: str | None,
) -> Findings:
    from kubeimage.api.airgap import images_of_context
    from kubeimage.builder.plan import BuildOptions

    kubefile = read_kubefile(file if file is not None else find_kubefile(context))
    options = BuildOptions(
        build_args=parse_build_args(build_args, os.environ),
        platform=parse_platform(platform),
        naming=session.naming,
        search=request.search(context, session.settings.read_image_kinds()),
    )
    return images_of_context(kubefile, context, options=options)


def _of_image(session: Session, name: str, platform: str | None, request: SearchRequest) -> Findings:
    from kubeimage.api.airgap import images_of_image

    with open_backends(session.root, session.settings, access="read") as backends:
        search = request.search(None, session.settings.read_image_kinds())
        return images_of_image(name, backends, platform=parse_platform(platform), search=search)


def _explain(findings: Findings) -> str:
    found = [
        (str(one.image), one.place.file, str(one.place.document), one.place.path, one.rule, _sure(certain=one.certain))
        for one in findings.found
    ]
    text = format_table(("IMAGE", "FILE", "DOCUMENT", "PATH", "RULE", "SURE"), found)
    if not findings.skipped:
        return text
    skipped = [
        (shorten(one.text, _WIDEST), one.place.file, str(one.place.document), one.place.path, one.reason)
        for one in findings.skipped
    ]
    return f"{text}\n\n{format_table(('SKIPPED', 'FILE', 'DOCUMENT', 'PATH', 'REASON'), skipped)}"


def _sure(*, certain: bool) -> str:
    return "certain" if certain else "guess"


def _to_json(findings: Findings) -> dict[str, Any]:
    return {
        "images": [
            {"image": str(one.image), **one.place._asdict(), "rule": one.rule, "certain": one.certain}
            for one in findings.found
        ],
        "skipped": [{"text": one.text, **one.place._asdict(), "reason": one.reason} for one in findings.skipped],
        "unreadable": [unreadable_to_json(one) for one in findings.unreadable],
        "kube_versions": [one._asdict() for one in findings.kube_versions],
    }


@click.command()
@click.argument("names", metavar="IMAGE...", nargs=-1, required=True, shell_complete=complete_images)
@click.option("--key", "keys", multiple=True, metavar="PUBLIC.pem", help="Say what this key has signed; repeatable.")
@identity_option
@platform_option
@format_option
@common_options
@click.pass_obj
def verify(
    session: Session,
    *,
    names: tuple[str, ...],
    keys: tuple[str, ...],
    identity: IdentityRule | None,
    platform: str | None,
    form: str,
) -> int:
    """Prove that all container images that an image names are whole in it: tag, manifest, config, every blob.

    With --key, of several images if need be, say as well who has signed them and each image that is packed in them.
    No registry is asked, but for an image that is docker://HOST/NAME.
    Exit status: 0 whole, and signed; 1 not; then what is wrong is printed on standard output.
    """
    from kubeimage.api.airgap import verify_image

    if keys:
        return verify_signed(names, keys, session, identity=identity, platform=parse_platform(platform), form=form)
    if len(names) > 1 or identity is not None:
        raise UsageError("several images, and --identity, go with --key PUBLIC.pem")
    with open_backends(session.root, session.settings, access="read") as backends:
        found = verify_image(names[0], backends, platform=parse_platform(platform))
    if form == "json":
        click.echo(format_json(verification_to_json(found)))
    elif not found.holds:
        click.echo("\n".join(harmless(str(one)) for one in (*found.unreadable, *found.flaws, *found.untrusted)))
    for warning in found.warnings:
        click.echo(f"warning: {harmless(warning)}", err=True)
    click.echo(_sum_up(found), err=True)
    return 0 if found.holds else 1


def _sum_up(found: Verification) -> str:
    broken = len({flaw.image for flaw in found.flaws})
    parts = [count(len(found.images), "container image")]
    if found.images:
        parts.append(f"{broken} of them not whole" if broken else "all of them whole")
    if found.untrusted:
        parts.append(f"{count(len(found.untrusted), 'image')} refused by the policy")
    if found.unreadable:
        parts.append(f"{count(len(found.unreadable), 'name')} cannot be read")
    if found.skipped:
        parts.append(f"{count(len(found.skipped), 'name')} skipped")
    return ", ".join(parts)
