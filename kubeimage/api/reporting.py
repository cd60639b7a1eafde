"""A page about an image: what was proved of it, its layers, its files, and the container images in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kubeimage.api.airgap import Verification, images_of_image, verify_image
from kubeimage.api.backends import Backends
from kubeimage.api.comparing import Difference, compare_images
from kubeimage.api.finding import ImageName, find_image, list_history
from kubeimage.disk.wholefile import check_target, whole_file
from kubeimage.errors import KubeimageError
from kubeimage.image.config import Image
from kubeimage.image.platform import Platform
from kubeimage.layer.efficiency import Efficiency, measure
from kubeimage.layer.entry import Kind
from kubeimage.layer.stack import LayerStack, StackedLayer
from kubeimage.layer.tree import Tree
from kubeimage.pages.page import ChangeRow, Check, FileNode, ImagePage, LayerRow, PackedRow, Verdict
from kubeimage.pages.render import check_renderer, render_pages
from kubeimage.report.sizes import format_size


def report_image(
    name: ImageName, backends: Backends, *, against: ImageName | None = None, platform: Platform | None = None
) -> ImagePage:
    """Return the page of an image; with ``against``, also what differs from that image.

    Raises: UsageError for backends that were opened to look; ImageNotFoundError; StoreError, LayerError.
    """
    backends.require("read")
    image, reference = find_image(name, backends, platform=platform)
    contents = backends.contents_of(image)
    layers = [list(contents.entries(layer.diff_id)) for layer in image.layers]
    stacked = [StackedLayer(layer.diff_id, entries) for layer, entries in zip(image.layers, layers, strict=True)]
    efficiency = measure(layers)
    checks, packed, skipped = _container_images(image, backends)
    return ImagePage(
        title=backends.naming.familiar(reference) if reference is not None else image.id.short,
        facts=tuple(_facts(image, efficiency)),
        checks=checks,
        layers=tuple(_layer_rows(image, backends, efficiency)),
        files=_node(LayerStack(contents, stacked).tree, "", ""),
        against="" if against is None else str(against),
        changes=() if against is None else tuple(map(_change, compare_images(against, image, backends))),
        packed=packed,
        skipped=skipped,
    )


def write_report(pages: Sequence[ImagePage], output: str, *, title: str | None = None) -> None:
    """Write pages into one HTML file, whole or not at all; the title is that of the first page where none is given.

    Raises: UsageError where jinja2 is not installed, or there is no folder for ``output``; StoreError.
    """
    check_renderer()
    check_target(output)
    with whole_file(output) as file:
        file.write(render_pages(pages, title or pages[0].title).encode())


def _facts(image: Image, efficiency: Efficiency) -> Iterator[tuple[str, str]]:
    yield "Image id", str(image.id)
    yield "Platform", str(image.platform)
    yield "Size", format_size(sum(layer.size for layer in image.layers))
    yield "Layers", str(len(image.layers))
    yield "Efficiency", f"{efficiency.score:.1%}"
    if image.cmd.merged:
        yield "Commands", "; ".join(image.cmd.merged)


def _layer_rows(image: Image, backends: Backends, efficiency: Efficiency) -> Iterator[LayerRow]:
    wasted = [0] * len(image.layers)
    for found in efficiency.repeated.values():
        # What stands last is what is used.
        for one in found[:-1]:
            wasted[one.layer] += one.size
    number = 0
    for step in list_history(image, backends):
        if step.layer is None:
            yield LayerRow(step.created_by)
            continue
        yield LayerRow(step.created_by, step.layer.size, wasted[number], str(step.layer.diff_id))
        number += 1


def _node(tree: Tree, path: str, name: str) -> FileNode:
    names = tree.children(path)
    below = [f"{path}/{child}" if path else child for child in names]
    children = tuple(
        _node(tree, child, short) if tree[child].kind is Kind.DIRECTORY else _leaf(tree, child, short)
        for child, short in zip(below, names, strict=True)
    )
    size = sum(child.size for child in children)
    return FileNode(name, size, sum(child.count for child in children), "directory", 0, children)


def _leaf(tree: Tree, path: str, name: str) -> FileNode:
    entry = tree[path]
    kind = f"-> {entry.target}" if entry.kind is Kind.SYMLINK else entry.kind.value
    return FileNode(name, entry.size, 1, kind, tree.layer_of(path))


def _container_images(
    image: Image, backends: Backends
) -> tuple[tuple[Check, ...], tuple[PackedRow, ...], tuple[tuple[str, str], ...]]:
    try:
        verification = verify_image(image, backends)
        # Where a chart names images is seen by rendering it once more; everything else has been read by now.
        found = images_of_image(image, backends).found if verification.known_charts else verification.found
    except KubeimageError as error:
        return (Check("container images", "failed", error.message),), (), ()
    where: dict[str, list[str]] = {}
    for one in found:
        where.setdefault(str(one.image), []).append(f"{one.place} ({one.rule})")
    wanted = sorted({*map(str, verification.images), *where})
    problems = {str(flaw.image): flaw.what for flaw in verification.flaws}
    rows = tuple(PackedRow(name, tuple(where.get(name, ())), problems.get(name, "")) for name in wanted)
    skipped = tuple((one.text, f"{one.reason} ({one.place})") for one in verification.skipped)
    return (_proof(verification),), rows, skipped


def _proof(verification: Verification) -> Check:
    """Return the verdict on the container images: whether an application finds all that it names."""
    if verification.is_whole:
        verdict: Verdict = "passed" if verification.images else "skipped"
        return Check("container images are whole", verdict, "" if verification.images else "none is named")
    told = [*map(str, verification.unreadable), *map(str, verification.flaws)]
    return Check("container images are whole", "failed", "\n".join(told))


def _change(one: Difference) -> ChangeRow:
    return ChangeRow(one.path, one.change, ", ".join(one.what))


__all__ = ["report_image", "write_report"]
