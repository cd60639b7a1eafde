"""Options that say how container images are looked for, and which are wanted whatever is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.discovery.search import Guesses, Search

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


@dataclass(frozen=True)
class SearchRequest:
    """The options, as they were typed."""

    discover: tuple[str, ...] = ()
    ignored_images: tuple[str, ...] = ()
    added_images: tuple[str, ...] = ()
    ignored_charts: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    guesses: Guesses = "pack"
    namespace: str | None = None
    kube_version: str | None = None
    api_versions: tuple[str, ...] = ()

    def search(self, context: str | None, kinds: tuple[bytes, ...] = ()) -> Search:
        """Return what the API takes; ``context`` is the build context, for its ``.imageignore`` and ``.sealignore``.

        ``kinds`` are files that say where custom resources name images.
        Raises: UsageError, ReferenceFormatError.
        """
        from kubeimage.api.searching import read_search

        return read_search(
            context,
            folders=self.discover,
            ignored_images=self.ignored_images,
            added_images=self.added_images,
            ignored_charts=self.ignored_charts,
            values=self.values,
            guesses=self.guesses,
            kinds=kinds,
            namespace=self.namespace,
            kube_version=self.kube_version,
            api_versions=self.api_versions,
        )


def search_options(function: _Decorated) -> _Decorated:
    """Add the options."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


_OPTIONS: list[Callable[[Any], Any]] = [
    click.option(
        "--discover",
        multiple=True,
        metavar="DIR",
        help="Look for images in this folder of the image as well, beside manifests and charts; . for all of it.",
    ),
    click.option(
        "--ignore-image",
        "ignored_images",
        multiple=True,
        metavar="PATTERN",
        help="Leave out images of such names, as in 'quay.io/*'; also a line of CONTEXT/.imageignore.",
    ),
    click.option(
        "--add-image", "added_images", multiple=True, metavar="NAME", help="Pack this image, whatever is found."
    ),
    click.option(
        "--guesses",
        type=click.Choice(["pack", "list", "error"]),
        default="pack",
        show_default=True,
        help="What becomes of names that only seem to be meant: packed with a warning, listed alone, or refused.",
    ),
    click.option(
        "--ignore-chart", "ignored_charts", multiple=True, metavar="PATTERN", help="Pass over charts of such names."
    ),
    click.option(
        "--values",
        multiple=True,
        metavar="[SET@][CHART=]FILE",
        help="Values to render charts with; one beside a chart, charts/NAME.values.yaml, is found by itself. "
        "With several sets, charts are rendered with each.",
    ),
    click.option(
        "--namespace", metavar="NAME", help="The namespace to render charts for; else what the Kubefile's CMD says."
    ),
    click.option("--kube-version", metavar="VERSION", help="The Kubernetes to render charts for; else the base's."),
    click.option(
        "--api-versions", multiple=True, metavar="GROUP/VERSION", help="An API that charts may find in the cluster."
    ),
]
