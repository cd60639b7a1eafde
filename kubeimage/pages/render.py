"""Pages as one HTML file that asks for nothing: no script of others, no font, no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kubeimage.errors import UsageError
from kubeimage.pages.page import FileNode, ImagePage
from kubeimage.pages.treemap import treemap
from kubeimage.report.sizes import format_size

if TYPE_CHECKING:
    import jinja2

_WIDTH, _HEIGHT = 1000, 420
_COLOURS = 8


def render_pages(pages: Sequence[ImagePage], title: str) -> str:
    """Return the HTML of a report.

    Raises: UsageError where jinja2 is not installed.
    """
    return _environment().get_template("report.html.j2").render(pages=pages, title=title)


def check_renderer() -> None:
    """Make sure that a report can be written, before any work.

    Raises: UsageError where jinja2 is not installed.
    """
    _environment()


def _environment() -> jinja2.Environment:
    try:
        import jinja2
    except ImportError:
        raise UsageError(
            "an HTML report needs jinja2, which is not installed", hint="pip install 'kubeimage[report]'"
        ) from None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kubeimage.pages", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["size"] = format_size
    environment.globals.update(treemap=_treemap, width=_WIDTH, height=_HEIGHT, colours=_COLOURS, walk=_by_size)
    return environment


def _treemap(root: FileNode) -> list[object]:
    return list(treemap(root, _WIDTH, _HEIGHT))


def _by_size(folder: FileNode) -> list[FileNode]:
    """Return what is in a folder: folders first, each by its name."""
    return sorted(folder.children, key=lambda child: (child.kind != "directory", child.name))
