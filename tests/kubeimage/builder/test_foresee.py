"""The keys that are made ahead are those that the build then looks up, as far as none depends on an earlier layer."""

from collections.abc import Iterable

import pytest

from harness.fakes.stores import MemoryBuildCache, MemoryLayerStore
from kubeimage.protocols.cache import CachedStep
from kubeimage.protocols.cachekey import CacheKey
from tests.kubeimage.builder.conftest import World

PASSWD = b"root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n"
FILES = {"etc/passwd": PASSWD, "etc/group": b"root:x:0:\n", "a": b"1", "d/b": b"2"}
SEALER, SEALOS = "FROM scratch\n", "# syntax=sealos\nFROM scratch\n"


class Hears(MemoryBuildCache):
    """Takes all keys that it is told of, and notes which it is asked for."""

    def __init__(self, layers: MemoryLayerStore) -> None:
        super().__init__(layers)
        self.told: list[CacheKey] = []
        self.asked: list[CacheKey] = []

    def foresee(self, first: CacheKey, keys: Iterable[CacheKey]) -> None:
        found = list(keys)
        assert first not in found
        self.told += found

    def lookup(self, key: CacheKey) -> CachedStep | None:
        self.asked.append(key)
        return super().lookup(key)


def told_and_asked(world: World, text: str) -> tuple[list[CacheKey], list[CacheKey]]:
    """Return what a second build foresees and what it looks up."""
    world.cache = heard = Hears(world.layers)
    world.build(text, FILES)
    heard.told, heard.asked = [], []
    world.build(text, FILES)
    return heard.told, heard.asked


# The steps, and how many of those that make layers are known at the beginning.
KNOWN = [
    (f"{SEALER}COPY a x\nRUN touch y\nCMD go\nCOPY d z\n", 3),
    (f"{SEALER}RUN touch y\n", 1),
    (f"{SEALOS}COPY a /x/\n", 1),
    (f"{SEALOS}COPY a /x\n", 1),
    (f"{SEALOS}COPY a /x\nCOPY a /y/\nCOPY d /z\nCOPY a /v/\n", 2),
    (f"{SEALOS}ENV A=b\nCOPY a /x\n", 1),
    (f"{SEALOS}COPY a /x\nWORKDIR /w\nCOPY a /y/\n", 3),
    (f"{SEALOS}COPY etc/ /etc/\nCOPY --chown=app a /x/\nCOPY a /y/\n", 1),
    (f"{SEALOS}COPY etc/ /etc/\nUSER app\nWORKDIR /w\nCOPY a /y/\n", 1),
    (f"{SEALOS}COPY etc/ /etc/\nUSER app\nCOPY a /y/\nWORKDIR /w\n", 2),
]


@pytest.mark.parametrize(("text", "count"), KNOWN, ids=range(len(KNOWN)))
def test_keys_are_known_up_to_the_first_that_depends_on_a_layer(world: World, text: str, count: int) -> None:
    told, asked = told_and_asked(world, text)

    assert (told, len(told)) == (asked[:count], count)


def test_what_another_stage_makes_is_not_foreseen(world: World) -> None:
    text = f"{SEALOS[:-1]} AS one\nCOPY a /x/\nFROM scratch\nCOPY a /y/\nCOPY --from=one /x/a /z/\nCOPY a /w/\n"

    told, asked = told_and_asked(world, text)

    assert told == asked[:2]
