"""``Kubefile.lock``: a lock as TOML.

    version = 1
    platforms = ["linux/amd64"]

    [[bases]]
    name = "docker.io/library/rootfs:v1"
    digest = "sha256:…"                             # an index, or a manifest
    platforms = {"linux/amd64" = "sha256:…"}        # the manifest of each platform that there is

    [[images]]                                      # the same for each image to be packed

    [[charts]]
    path = "charts/mysql"
    name = "mysql"
    version = "1.6.9"
    digest = "sha256:…"

    [[urls]]
    url = "https://example.com/tool"
    digest = "sha256:…"

What is named for some of the platforms alone says so: ``only = ["linux/arm64"]``.

Source: TOML v1.0.0.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from kubeimage.errors import KubeimageError, LockFileError
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Naming, Reference
from kubeimage.lock.lockfile import FIRST_LINE, Entry, Lock, LockedChart, LockedImage, LockedURL
from kubeimage.toml import read_toml

T = TypeVar("T")

VERSION = 1
LARGEST = 16 << 20
"""Bytes of a lock: more is refused before it is read."""

_HEAD = f"{FIRST_LINE}\n# kubeimage build --locked goes by it; kubeimage lock --check says what has changed since.\n"
_LISTS = ("bases", "images", "charts", "urls")


def to_toml(lock: Lock) -> bytes:
    """Return the file."""
    lines = [f"version = {VERSION}", f"platforms = {_array(lock.platforms)}"]
    for kind in _LISTS:
        for entry in getattr(lock, kind):
            lines += ["", f"[[{kind}]]", *_fields(entry)]
    return (_HEAD + "\n".join(lines) + "\n").encode()


def _fields(entry: Entry) -> Iterator[str]:
    match entry:
        case LockedImage():
            manifests = (f"{_text(str(one))} = {_text(str(entry.platforms[one]))}" for one in sorted(entry.platforms))
            yield f"name = {_text(str(entry.name))}"
            yield f"digest = {_text(str(entry.digest))}"
            yield f"platforms = {{{', '.join(manifests)}}}"
        case LockedChart():
            yield f"path = {_text(entry.path)}"
            yield f"name = {_text(entry.name)}"
            yield f"version = {_text(entry.version)}"
            yield f"digest = {_text(str(entry.digest))}"
        case LockedURL():
            yield f"url = {_text(entry.url)}"
            yield f"digest = {_text(str(entry.digest))}"
    if entry.only:
        yield f"only = {_array(entry.only)}"


def _array(values: Sequence[object]) -> str:
    return f"[{', '.join(_text(str(one)) for one in values)}]"


def _text(text: str) -> str:
    """Return a basic string: JSON's, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def from_toml(data: bytes, file: str) -> Lock:
    """Read the file; ``file`` is what errors call it.

    Raises: LockFileError where it is no lock, or one of a newer version.
    """
    try:
        value = read_toml(data)
    except ValueError as error:
        raise _broken(file, str(error)) from error
    version = value.get("version")
    if type(version) is not int or version < 1:
        raise _broken(file, f"it has version {version!r} where {VERSION} is expected")
    if version > VERSION:
        raise LockFileError(
            f"{file} has version {version}, written by a newer kubeimage; this one reads {VERSION}",
            hint="use a newer kubeimage, or make the lock again: kubeimage lock",
        )
    try:
        return _read(value)
    except (ValueError, KubeimageError) as error:
        raise _broken(file, str(error)) from error


def _broken(file: str, why: str) -> LockFileError:
    return LockFileError(f"{file} cannot be read: {why}", hint="make it again: kubeimage lock")


def _read(value: Mapping[str, Any]) -> Lock:
    """Read a lock's table.

    Raises: ValueError, a KubeimageError.
    """
    _check_keys(value, {"version", "platforms", *_LISTS}, "the lock")
    platforms = _platforms(value.get("platforms"), "platforms")
    if not platforms:
        raise ValueError("it is for no platform")
    lock = Lock(
        platforms,
        _entries(value, "bases", _read_image),
        _entries(value, "images", _read_image),
        _entries(value, "charts", _read_chart),
        _entries(value, "urls", _read_url),
    )
    for kind in _LISTS:
        keys = [one.key for one in getattr(lock, kind)]
        twice = next((key for number, key in enumerate(keys) if key in keys[:number]), None)
        if twice is not None:
            raise ValueError(f"{twice!r} is twice in {kind}")
    return lock


def _entries(value: Mapping[str, Any], kind: str, read: Callable[[Mapping[str, Any], str], T]) -> tuple[T, ...]:
    listed = value.get(kind, [])
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ValueError(f"{kind} is not a list of tables")
    return tuple(read(one, f"number {number} of {kind}") for number, one in enumerate(listed, 1))


def _read_image(value: Mapping[str, Any], what: str) -> LockedImage:
    _check_keys(value, {"name", "digest", "platforms", "only"}, what)
    manifests = value.get("platforms", {})
    if not isinstance(manifests, dict) or not all(isinstance(one, str) for one in manifests.values()):
        raise ValueError(f"{what}: platforms is not a table of digests")
    return LockedImage(
        _reference(_required(value, "name", what)),
        Digest.parse(_required(value, "digest", what)),
        {Platform.parse(platform): Digest.parse(digest) for platform, digest in manifests.items()},
        _platforms(value.get("only", []), f"{what}: only"),
    )


def _read_chart(value: Mapping[str, Any], what: str) -> LockedChart:
    _check_keys(value, {"path", "name", "version", "digest", "only"}, what)
    path, name, version, digest = (_required(value, key, what) for key in ("path", "name", "version", "digest"))
    return LockedChart(path, name, version, Digest.parse(digest), _platforms(value.get("only", []), f"{what}: only"))


def _read_url(value: Mapping[str, Any], what: str) -> LockedURL:
    _check_keys(value, {"url", "digest", "only"}, what)
    digest = Digest.parse(_required(value, "digest", what))
    return LockedURL(_required(value, "url", what), digest, _platforms(value.get("only", []), f"{what}: only"))


def _check_keys(value: Mapping[str, Any], known: set[str], what: str) -> None:
    unknown = sorted(value.keys() - known)
    if unknown:
        raise ValueError(f"{what} has a key that means nothing: {unknown[0]!r}")


def _required(value: Mapping[str, Any], key: str, what: str) -> str:
    found = value.get(key)
    if not isinstance(found, str):
        raise ValueError(f"{what} has no {key}" if found is None else f"{what}: {key} is not a text")
    return found


def _platforms(value: object, what: str) -> tuple[Platform, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{what} is not a list of platforms")
    return tuple(Platform.parse(one) for one in value)


def _reference(text: str) -> Reference:
    """Read a full name: its first part is the registry, whatever it looks like.

    Raises: ReferenceFormatError.
    """
    domain, _, rest = text.partition("/")
    Naming(domain, "any").check()
    return replace(Reference.parse(f"any.registry/{rest}"), domain=domain)


__all__ = ["LARGEST", "VERSION", "from_toml", "to_toml"]
