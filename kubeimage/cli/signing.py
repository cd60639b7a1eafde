"""``kubeimage sign``, and what ``verify --key`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from kubeimage.api.backends import open_backends
from kubeimage.cli.completion import complete_images
from kubeimage.cli.output import count, format_json, format_option, format_table, harmless, shorten_digests
from kubeimage.cli.proofs import verification_to_json
from kubeimage.cli.request import insecure_option
from kubeimage.cli.session import Session, common_options
from kubeimage.image.trust import IDENTITY_RULES

if TYPE_CHECKING:
    from kubeimage.api.signing import CheckedImage, SignatureCheck, Signed
    from kubeimage.image.platform import Platform
    from kubeimage.image.trust import IdentityRule

_KEY_ID = 12


identity_option = click.option(
    "--identity",
    type=click.Choice(IDENTITY_RULES),
    help="For which name a signature may be: of the image's repository, for its name and tag, or any. "
    "[default: repository]",
)


@click.command()
@click.argument("names", metavar="IMAGE...", nargs=-1, required=True, shell_complete=complete_images)
@click.option("--key", required=True, metavar="PRIVATE.pem", help="The private key: ECDSA P-256 or Ed25519.")
@click.option(
    "--passphrase",
    metavar="env:NAME|file:PATH",
    help="Where the key's pass phrase is: in a variable, or a file.",
)
@click.option("--identity", metavar="NAME", help="The name to sign for; else each image's own.")
@click.option("--recursive", is_flag=True, help="Sign the manifests of an index as well.")
@insecure_option
@format_option
@common_options
@click.pass_obj
def sign(
    session: Session,
    *,
    names: tuple[str, ...],
    key: str,
    passphrase: str | None,
    identity: str | None,
    recursive: bool,
    insecure: tuple[str, ...],
    form: str,
) -> None:
    """Sign images of the store, or in registries as docker://HOST/NAME, as cosign does with a key.

    Signatures of others stay. One that is there is not added again. No log is told of it.
    """
    from kubeimage.api.signing import sign_image

    settings = session.settings.with_insecure(insecure)
    with open_backends(session.root, settings) as backends:
        for name in names:
            signed = sign_image(name, key, backends, passphrase=passphrase, identity=identity, recursive=recursive)
            _show_signed(name, signed, form)


def _show_signed(name: str, signed: Signed, form: str) -> None:
    if form == "json":
        lists = {"signed": [*map(str, signed.digests)], "added": [*map(str, signed.added)]}
        click.echo(format_json({"image": name, "identity": signed.identity, **lists}, indent=None))
        return
    for digest in signed.digests:
        done = "signed" if digest in signed.added else "was signed before"
        click.echo(f"{digest} {done} for {harmless(signed.identity)}")


def verify_signed(
    names: Sequence[str],
    keys: Sequence[str],
    session: Session,
    *,
    identity: IdentityRule | None,
    platform: Platform | None,
    form: str,
) -> int:
    """Print who has signed images, and return the exit status."""
    from kubeimage.api.signing import verify_signatures

    rule = identity or IDENTITY_RULES[0]
    with open_backends(session.root, session.settings, access="read") as backends:
        checks = [verify_signatures(name, keys, backends, identity=rule, platform=platform) for name in names]
    images = [one for check in checks for one in check.images]
    proofs = [check.proof for check in checks if check.proof is not None]
    if form == "json":
        click.echo(format_json(_to_json(checks)))
    else:
        rows = [(one.name, one.digest.short if one.digest else "", _said_of(one)) for one in images]
        click.echo(format_table(("IMAGE", "DIGEST", "SIGNED BY"), rows))
        for proof in proofs:
            for flaw in (*proof.unreadable, *proof.flaws, *proof.untrusted):
                click.echo(harmless(str(flaw)))
    for warning in (one for proof in proofs for one in proof.warnings):
        click.echo(f"warning: {harmless(warning)}", err=True)
    click.echo(_sum_up(images, checks), err=True)
    return 0 if all(check.holds for check in checks) else 1


def _said_of(image: CheckedImage) -> str:
    if image.digest is None:
        return "nobody: it is not there"
    if not image.is_signed:
        return f"nobody: {shorten_digests(image.reason)}"
    return ", ".join(dict.fromkeys(_key_of(one.key.name, one.key.id) for one in image.signers if one.key is not None))


def _key_of(name: str, key_id: str) -> str:
    return f"{name} ({key_id[:_KEY_ID]})"


def _sum_up(images: Sequence[CheckedImage], checks: Sequence[SignatureCheck]) -> str:
    signed = [one for one in images if one.is_signed]
    by = Counter(
        name
        for image in signed
        for name in {_key_of(one.key.name, one.key.id) for one in image.signers if one.key is not None}
    )
    told = [f"{len(signed)} of {count(len(images), 'image')} signed"]
    if by:
        told[0] += f": {', '.join(f'{number} by {name}' for name, number in sorted(by.items()))}"
    if any(check.proof is not None and not check.proof.is_whole for check in checks):
        told.append("not all of them whole")
    return harmless("; ".join(told))


def _to_json(checks: Sequence[SignatureCheck]) -> dict[str, Any]:
    images = [one for check in checks for one in check.images]
    proofs = [verification_to_json(check.proof) for check in checks if check.proof is not None]
    return {
        "images": [_image_to_json(one) for one in images],
        "signed": sum(one.is_signed for one in images),
        "total": len(images),
        "flaws": [one for proof in proofs for one in proof["flaws"]],
        "unreadable": [one for proof in proofs for one in proof["unreadable"]],
        "untrusted": [one for proof in proofs for one in proof["untrusted"]],
    }


def _image_to_json(image: CheckedImage) -> dict[str, Any]:
    return {
        "image": image.name,
        "packed_in": image.packed_in,
        "digest": str(image.digest) if image.digest is not None else None,
        "signed": image.is_signed,
        "signers": [
            {
                "key": one.key.name,
                "key_id": one.key.id,
                "digest": str(one.digest),
                "identity": one.identity,
                "form": one.form,
            }
            for one in image.signers
            if one.key is not None
        ],
        "others": [{"form": one.form, "reason": one.reason} for one in image.verdicts if one.key is None],
    }
