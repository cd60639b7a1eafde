"""Generated locks."""

from typing import Any, TypeVar

from hypothesis import strategies as st

from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.lock.lockfile import Lock, LockedChart, LockedImage, LockedURL

T = TypeVar("T")
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")

digests = st.integers(0, 9).map(lambda number: Digest.of(str(number).encode()))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
platform_lists = st.sampled_from([(AMD64,), (ARM64,), (AMD64, ARM64), (Platform("linux", "arm", "v6"),)])
domains = st.sampled_from(["docker.io", "localhost:5000", "myhost", "[::1]:5000", "quay.io"])
repositories = st.from_regex(r"[a-z]{1,3}([._/-][a-z0-9]{1,2}){0,2}", fullmatch=True)
tags = st.sampled_from(["latest", "v1", "1.2.3-alpine"])


@st.composite
def references(draw: st.DrawFn) -> Reference:
    digest = draw(st.none() | digests)
    tag = draw(tags) if digest is None or draw(st.booleans()) else ""
    return Reference(draw(domains), draw(repositories), tag, digest)


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    platforms = draw(platform_lists)
    only = st.sampled_from([(), platforms[:1]])
    manifests = st.dictionaries(st.sampled_from([AMD64, ARM64]), digests, max_size=2)
    images = st.builds(LockedImage, references(), digests, manifests, only)
    charts = st.builds(LockedChart, texts.map("charts/{}".format), texts, texts, digests, only)
    urls = st.builds(LockedURL, texts.map("https://host/{}".format), digests, only)

    def some(entries: st.SearchStrategy[T]) -> tuple[T, ...]:
        return tuple(draw(st.lists(entries, max_size=3, unique_by=_key).map(lambda found: sorted(found, key=_key))))

    return Lock(platforms, some(images), some(images), some(charts), some(urls))


def _key(entry: Any) -> str:
    return str(entry.key)
