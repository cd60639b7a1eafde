"""Names that are split over sibling keys: ``registry``, ``repository``, ``image``, ``tag``, ``digest``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from kubeimage.discovery.documents import Node

_REGISTRY = ("registry", "imageregistry", "hub", "host", "domain")
_REPOSITORY = ("repository", "imagerepository", "repo", "imagerepo")
_NAME = ("image", "imagename", "name")
_TAG = ("tag", "imagetag", "version", "imageversion", "newtag")
_DIGEST = ("digest", "imagedigest", "sha", "sha256")
_MAY_SPLIT = frozenset(
    [
        "repository",
        "Repository",
        "repo",
        "imageRepository",
        "image_repository",
        "image-repository",
        "imageRepo",
        "image",
        "imageName",
        "image_name",
        "Image",
        "ImageName",
        "IMAGE",
        "imagename",
        "imagerepository",
    ]
)
_HEX = frozenset("0123456789abcdef")


class Split(NamedTuple):
    """A name that several keys make together. Shape: ``keys`` are those that it was made of."""

    text: str
    keys: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether it has a tag or digest."""
        return "@" in self.text or ":" in self.text.rpartition("/")[2]


def join_split(mapping: Mapping[str, Node], *, about_images: bool) -> Split | None:
    """Return the name that the keys of ``mapping`` make, None where they make none.

    ``about_images`` says that the mapping stands below a key that means images: then ``name`` is a repository too.
    Example: ``{registry: quay.io, repository: a/b, tag: "1"}`` makes ``quay.io/a/b:1``.
    """
    if _MAY_SPLIT.isdisjoint(mapping) and not (about_images and "name" in mapping):
        return None
    texts = {_plain(key): (key, value) for key, value in mapping.items() if isinstance(value, str) and value}
    registry = _first(texts, _REGISTRY)
    repository = _first(texts, _REPOSITORY)
    name = _first(texts, _NAME if about_images else _NAME[:2])
    if repository is None and name is None:
        return None
    tag, digest = _first(texts, _TAG), _first(texts, _DIGEST)
    path, keys = _join_path(registry, repository, name)
    version, version_keys = _join_version(path, tag, digest)
    keys += version_keys
    if repository is None and len(keys) < 2:
        # A name alone may be the name of anything.
        return None
    return Split(path + version, tuple(keys))


def _plain(key: str) -> str:
    return key.replace("_", "").replace("-", "").lower()


def _first(texts: Mapping[str, tuple[str, str]], keys: tuple[str, ...]) -> tuple[str, str] | None:
    return next((texts[key] for key in keys if key in texts), None)


def _join_path(
    registry: tuple[str, str] | None, repository: tuple[str, str] | None, name: tuple[str, str] | None
) -> tuple[str, list[str]]:
    """Put together what stands before the tag; a part that says the registry already is not put behind one."""
    parts = [one for one in (repository, name) if one is not None]
    if len(parts) == 2 and _is_whole_path(parts[1][1]):
        # A chart's `repository` may be the place of charts, beside an image that is whole.
        parts = parts[1:]
    if len(parts) == 2 and parts[1][0].lower() == "name":
        parts = parts[:1]
    if registry is not None and parts and not _has_host(parts[0][1]):
        parts = [registry, *parts]
    return "/".join(value.strip("/") for _, value in parts), [key for key, _ in parts]


def _join_version(path: str, tag: tuple[str, str] | None, digest: tuple[str, str] | None) -> tuple[str, list[str]]:
    """Return what stands behind ``path``, such as ``:1@sha256:…``, and the keys that it is made of.

    What ``path`` says already is not said again.
    """
    if "@" in path:
        return "", []
    version, keys = "", list[str]()
    if tag is not None and ":" not in path.rpartition("/")[2]:
        version = f":{tag[1]}"
        keys.append(tag[0])
    if digest is not None:
        version += f"@{_with_algorithm(digest[1])}"
        keys.append(digest[0])
    return version, keys


def _is_whole_path(text: str) -> bool:
    return _has_host(text) or ":" in text


def _has_host(text: str) -> bool:
    head, slash, _ = text.partition("/")
    return bool(slash) and ("." in head or ":" in head or head == "localhost")


def _with_algorithm(digest: str) -> str:
    return f"sha256:{digest}" if len(digest) == 64 and set(digest) <= _HEX else digest
