"""What a shell completes: names of images, as the store has them."""

from __future__ import annotations

import click

from kubeimage.cli.session import Session


def complete_images(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names in the store that start as ``incomplete`` does; none where no store can be read."""
    from kubeimage.api.backends import open_backends
    from kubeimage.api.finding import list_images
    from kubeimage.errors import KubeimageError

    session = context.find_object(Session) or Session()
    try:
        naming = session.naming
        with open_backends(session.root, access="look") as backends:
            names = {naming.familiar(one.reference) for one in list_images(backends) if one.reference}
    except (KubeimageError, OSError):
        # Whoever presses the tab key wants names, and no errors among them.
        return []
    return sorted(name for name in names if name.startswith(incomplete))
