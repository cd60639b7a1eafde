"""Several images put on top of each other: the filesystem that you get by applying one after the other.

| of the result | what |
| --- | --- |
| layers | all layers, in order; one that comes twice stays at its last place, where it shows what it did there |
| history | the instructions of the layers that stay, and those that made none |
| commands | what a cluster would run for the first, then what it would for the next; merging repeats none |
| arguments, environment | later values win |
| user, working directory, author | the last one that is given |
| ports, volumes, applications | those of all; of two applications of one name, the last |
| labels, annotations | later ones win |
| Clusterfile | that of the last cluster image |
| type | a cluster image where any of them is one, else an application |

Source: the project's design, "Execution" (step 2), for the merge of commands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from kubeimage.errors import LayerLimitError, PlatformMismatchError
from kubeimage.image.config import APPLICATION, CLUSTERFILE_ANNOTATION, Image, ImageType
from kubeimage.image.document import MAX_LAYERS, Arguments, Commands, History, Layer, merge_commands
from kubeimage.image.extension import Extension, extension_annotations, installer_type, read_images
from kubeimage.image.runtime import Variables, overlay_all


def merge_images(images: Sequence[Image], names: Sequence[str], *, created: str | None = None) -> Image:
    """Put ``images`` on top of each other, the first one lowest; ``names`` are what errors call them.

    Raises: LayerLimitError that says how many layers come from which; PlatformMismatchError.
    """
    _check_platforms(images)
    kept = _without_repeats([part for image in images for part in _parts(image)])
    layers = tuple(layer for _, layer in kept if layer is not None)
    _check_limit(images, names, len(layers))
    commands = _commands(images)
    image_type = APPLICATION if all(image.image_type == APPLICATION for image in images) else ""
    runtime = overlay_all([image.runtime for image in images])
    return Image(
        platform=images[0].platform,
        layers=layers,
        history=tuple(entry for entry, _ in kept),
        cmd=Commands(current=commands),
        args=Arguments(current=dict(chain.from_iterable(image.args.merged.items() for image in images))),
        labels=dict(chain.from_iterable(image.labels.items() for image in images)),
        annotations=_annotations(images),
        image_type=image_type,
        created=created,
        runtime=replace(runtime, cmd=commands),
        author=next((image.author for image in reversed(images) if image.author), ""),
        manifest_annotations=_manifest_annotations(images, commands, runtime.env, image_type),
    )


def _check_platforms(images: Sequence[Image]) -> None:
    if all(images[0].platform.matches(image.platform) for image in images):
        return
    platforms = sorted({str(image.platform) for image in images})
    raise PlatformMismatchError(f"images for {' and '.join(platforms)} cannot be merged")


def _without_repeats(parts: Sequence[tuple[History, Layer | None]]) -> list[tuple[History, Layer | None]]:
    """Return ``parts`` with each layer once, where it comes last: there it covers what is below."""
    last = {layer.diff_id: number for number, (_, layer) in enumerate(parts) if layer is not None}
    return [
        (entry, layer) for number, (entry, layer) in enumerate(parts) if layer is None or last[layer.diff_id] == number
    ]


def _manifest_annotations(
    images: Sequence[Image], commands: tuple[str, ...], env: Variables, image_type: ImageType
) -> dict[str, str]:
    """Return what sealer 0.9 reads: the applications of all images, of equal names the last."""
    applications = {
        one.name: one for image in images for one in Extension.from_annotations(image.manifest_annotations).applications
    }
    extension = Extension(installer_type(image_type), tuple(applications.values()), dict(env), commands)
    packed = [one for image in images for one in read_images(image.manifest_annotations)]
    return extension_annotations(extension, packed)


def _parts(image: Image) -> Iterator[tuple[History, Layer | None]]:
    """Yield each instruction with its layer; layers that no history tells of come last, with what made them."""
    layers = iter(image.layers)
    for entry in image.history:
        layer = None if entry.empty_layer else next(layers, None)
        yield entry._replace(empty_layer=layer is None), layer
    for layer in layers:
        yield History(f"{layer.kind} {layer.value}".strip()), layer


def _check_limit(images: Sequence[Image], names: Sequence[str], count: int) -> None:
    if count <= MAX_LAYERS:
        return
    each = ", ".join(f"{len(image.layers)} of {name}" for image, name in zip(images, names, strict=True))
    shared = sum(len(image.layers) for image in images) - count
    common = f", less {shared} that come more than once" if shared else ""
    raise LayerLimitError(
        f"an image has at most {MAX_LAYERS} layers, and this one would have {count}: {each}{common}",
        hint="build one of them anew with fewer instructions",
    )


def _commands(images: Sequence[Image]) -> tuple[str, ...]:
    commands: tuple[str, ...] = ()
    for image in images:
        commands = merge_commands(commands, image.cmd.merged)
    return commands


def _annotations(images: Sequence[Image]) -> dict[str, str]:
    annotations = dict(chain.from_iterable(image.annotations.items() for image in images))
    clusters = [image for image in images if image.image_type != APPLICATION]
    written = [
        image.annotations[CLUSTERFILE_ANNOTATION] for image in clusters if CLUSTERFILE_ANNOTATION in image.annotations
    ]
    return annotations | ({CLUSTERFILE_ANNOTATION: written[-1]} if written else {})
