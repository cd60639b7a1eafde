"""Options that say how container images are looked for, and which are wanted whatever is found."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kubeimage.errors import UsageError
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.discovery.search import Search, Values

IGNORE_FILE = ".imageignore"

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


@dataclass(frozen=True)
class SearchRequest:
    """The options, as they were typed."""

    discover: tuple[str, ...] = ()
    ignored_images: tuple[str, ...] = ()
    added_images: tuple[str, ...] = ()
    ignored_charts: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    def search(self, context: str | None) -> Search:
        """Give what the API takes; ``context`` is the build context, for its ``.imageignore``.

        Raises: UsageError, ReferenceFormatError.
        """
        from kubeimage.discovery.references import Choice, parse_image
        from kubeimage.discovery.search import Search

        return Search(
            folders=tuple(_parse_folder(folder) for folder in self.discover),
            values=tuple(_read_values(text) for text in self.values),
            ignored_charts=self.ignored_charts,
            choice=Choice(
                ignored=(*_read_ignore_file(context), *self.ignored_images),
                added=tuple(parse_image(name) for name in self.added_images),
            ),
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
        "--ignore-chart", "ignored_charts", multiple=True, metavar="PATTERN", help="Pass over charts of such names."
    ),
    click.option(
        "--values",
        multiple=True,
        metavar="[CHART=]FILE",
        help="Values to render charts with; one beside a chart, charts/NAME.values.yaml, is found by itself.",
    ),
]


def _parse_folder(text: str) -> str:
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not text or ".." in parts:
        raise UsageError(f"--discover takes a folder of the image, found {text!r}", hint="as in: --discover addons")
    return "/".join(parts)


def _read_values(text: str) -> Values:
    from kubeimage.discovery.search import Values

    chart, equals, path = text.partition("=")
    if not equals:
        chart, path = "", text
    try:
        with open(path, "rb") as stream:
            return Values(chart or None, path, stream.read())
    except OSError as error:
        raise UsageError(f"--values: cannot read {path!r}: {error.strerror}") from error


def _read_ignore_file(context: str | None) -> tuple[str, ...]:
    if context is None:
        return ()
    path = os.path.join(context, IGNORE_FILE)
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path!r}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from error
    from kubeimage.discovery.references import parse_ignore_file

    return parse_ignore_file(text)
