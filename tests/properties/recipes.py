"""What images can be on a store that several processes work on, each known by how it is made."""

from dataclasses import replace
from functools import cache

from harness.fakes.context import MemoryContext
from harness.images.backends import memory_backends
from harness.stateful.agreement import memory_files
from kubeimage.api.backends import Backends
from kubeimage.api.building import BuildOptions, build_image
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

Recipe = tuple[str, ...]
"""Kubefiles, each built on the image of the one before."""


@cache
def image_of(recipe: Recipe) -> str:
    """Say what image the Kubefiles come to, built by nobody else's way: in memory, in a store of their own."""
    context = MemoryContext(memory_files(CONTEXT))
    backends = replace(memory_backends(), collector=lambda _path: context)
    made = ""
    for text, following in zip(recipe, (*recipe[1:], ""), strict=True):
        made = make(text, Reference.parse(base_of(following) or "last:1"), "", backends, use_cache=False)
    return made


def base_of(text: str) -> str | None:
    name = text.partition("\n")[0].removeprefix("FROM ")
    return None if name in ("", "scratch") else name


class Recipes:
    """Which recipe each image was made by."""

    def __init__(self, *known: str) -> None:
        self._by_id: dict[str, Recipe] = {image_of((text,)): (text,) for text in known}

    def made(self, text: str, base: str | None) -> str:
        """Return the image that a Kubefile comes to on the image ``base``."""
        recipe = (text,) if base is None else (*self._by_id[base], text)
        image_id = image_of(recipe)
        self._by_id[image_id] = recipe
        return image_id


def make(text: str, name: Reference, context: str, backends: Backends, *, use_cache: bool) -> str:
    options = BuildOptions(references=(name,), use_cache=use_cache)
    return str(build_image(parse(text, file="Kubefile"), context, backends, options=options).image.id)
