"""What images can be on a store that several processes work on, each known by how it is made."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import count
from typing import NamedTuple

from harness.fakes.context import MemoryContext
from harness.images.backends import memory_backends
from harness.stateful.agreement import memory_files
from kubeimage.api.backends import Backends
from kubeimage.api.building import BuildOptions, build_image
from kubeimage.api.merging import merge_images
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.kubefile import parse

CONTEXT = {"a": "1", "b": "2", "c": "3"}
TEXTS = (
    "FROM scratch\nCOPY a .\nCMD a",
    "FROM scratch\nCOPY a .\nRUN rm a && echo 2 > made",
    "FROM one:1\nCOPY b .",
    "FROM app:1\nRUN echo 3 > made",
)
LOADED = "FROM scratch\nCOPY c .\nCMD loaded"
SEVERAL = ("FROM scratch\nCOPY a .\nCMD several", "FROM scratch\nCOPY b .\nCMD others")
"""Built for all `PLATFORMS`."""
HOST = Platform.host()
PLATFORMS = (HOST, Platform.parse("linux/s390x"))


class Built(NamedTuple):
    """A Kubefile, what it was built on, and for which platform."""

    text: str
    base: "Recipe | None" = None
    platform: Platform = HOST


class Stacked(NamedTuple):
    """What was merged, by the names that it had."""

    names: tuple[str, ...]
    parts: "tuple[Recipe, ...]"

    @property
    def platform(self) -> Platform:
        return self.parts[0].platform


Recipe = Built | Stacked
_NUMBERS = count()


@cache
def image_of(recipe: Recipe) -> str:
    """Say what image a recipe comes to, made by nobody else's way: in memory, in a store of its own."""
    context = MemoryContext(memory_files(CONTEXT))
    backends = replace(memory_backends(), collector=lambda _path: context)
    return _put(recipe, Reference.parse("last:1"), backends)


def _put(recipe: Recipe, name: Reference, backends: Backends) -> str:
    if isinstance(recipe, Built):
        base = base_of(recipe.text)
        if recipe.base is not None and base is not None:
            _put(recipe.base, Reference.parse(base), backends)
        return make(recipe.text, name, "", backends, use_cache=False, platform=recipe.platform)
    # A part may be stacked itself: no name is given twice.
    parts = [Reference.parse(f"part:{next(_NUMBERS)}") for _ in recipe.parts]
    for part, temporary in zip(recipe.parts, parts, strict=True):
        _put(part, temporary, backends)
    for wanted, temporary in zip(recipe.names, parts, strict=True):
        backends.images.tag(temporary, Reference.parse(wanted))
    merged = merge_images([Reference.parse(one) for one in recipe.names], [name], backends, platform=recipe.platform)
    return str(merged.images[0].id)


def base_of(text: str) -> str | None:
    name = text.partition("\n")[0].removeprefix("FROM ")
    return None if name in ("", "scratch") else name


class Recipes:
    """Which recipe each image was made by. An image of several platforms is the ids of all, in their order."""

    def __init__(self, *known: str) -> None:
        self._by_id: dict[str, Recipe] = {}
        for text in known:
            self._know(Built(text))
        for text in SEVERAL:
            self.made_for_all(text)

    def made(self, text: str, base: str | None) -> str:
        """Return the image that a Kubefile comes to on the image ``base``."""
        return self._know(Built(text, self._by_id[self.of_host(base)] if base is not None else None))

    def made_for_all(self, text: str) -> str:
        """Return the image that a Kubefile without a base comes to for all platforms."""
        return " ".join(self._know(Built(text, None, platform)) for platform in PLATFORMS)

    def merged(self, names: Sequence[str], images: Sequence[str]) -> str:
        """Return what images come to on top of each other, for the platforms that all are for."""
        each = [{self._by_id[one].platform: self._by_id[one] for one in image.split()} for image in images]
        common = [platform for platform in each[0] if all(platform in one for one in each)]
        return " ".join(self._know(Stacked(tuple(names), tuple(one[platform] for one in each))) for platform in common)

    def of_host(self, image: str) -> str:
        """Return the one of an image's that is for this machine."""
        return next(one for one in image.split() if self._by_id[one].platform == HOST)

    def _know(self, recipe: Recipe) -> str:
        image_id = image_of(recipe)
        self._by_id[image_id] = recipe
        return image_id


def make(
    text: str, name: Reference, context: str, backends: Backends, *, use_cache: bool, platform: Platform | None = None
) -> str:
    options = BuildOptions(references=(name,), use_cache=use_cache, platform=platform)
    return str(build_image(parse(text, file="Kubefile"), context, backends, options=options).image.id)
