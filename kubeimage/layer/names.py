"""What a path in a layer may be, checked as components and never as text.

Source: the project's design, "Layers"; OCI image-spec v1.1, layer.md, "Whiteouts".
"""

from __future__ import annotations

from kubeimage.errors import LayerFormatError, PathEscapeError
from kubeimage.layer.entry import WHITEOUT_PREFIX

LONGEST_PATH = 4095
"""What Linux takes in one call, without the final NUL."""

_ODD_STARTS = ("", ".", "/")


def plain_path(name: str) -> str:
    """Return the path that a name in somebody's tar means: as tar readers do, relative to where it is unpacked.

    Shape:  slashes at either end, doubled ones and ``.`` components are left out; ``..`` stays, for `check_path`.
    """
    if name[:1] in _ODD_STARTS or "/." in name or "//" in name or name[-1] == "/":
        return "/".join(part for part in name.split("/") if part not in ("", "."))
    return name


def check_path(path: str) -> None:
    """Refuse a path that is not plain: relative, of non-empty names, none of them ``.``, ``..`` or reserved.

    Raises: PathEscapeError for what leads out of the root, LayerFormatError for the rest.
    """
    # Nearly all paths are plain; what follows looks at components only where a dot or a slash makes it necessary.
    if path[:1] in _ODD_STARTS or "/." in path or "//" in path or path[-1] == "/" or "\0" in path:
        _check_components(path)
    if len(path) > LONGEST_PATH:
        raise LayerFormatError(f"a path of {len(path)} characters is longer than Linux takes: {path[:60]!r}...")


def parent_of(path: str) -> str:
    """Return the directory that ``path`` stands in; ``""`` is the root."""
    return path.rpartition("/")[0]


def ancestors(path: str) -> list[str]:
    """Return every directory on the way to ``path``, outermost first, the root left out."""
    found = []
    slash = path.find("/")
    while slash != -1:
        found.append(path[:slash])
        slash = path.find("/", slash + 1)
    return found


def _check_components(path: str) -> None:
    if path.startswith("/"):
        raise PathEscapeError(f"a layer's paths are relative to its root, found the absolute {path!r}")
    if "\0" in path:
        raise LayerFormatError(f"a layer holds a name with a NUL in it: {path!r}")
    for name in path.split("/"):
        if name == "..":
            raise PathEscapeError(f"a layer's paths stay below its root, found a '..' in {path!r}")
        if name in ("", "."):
            raise LayerFormatError(f"a layer's paths are made of names, found an empty one or a '.' in {path!r}")
        if name.startswith(WHITEOUT_PREFIX):
            raise LayerFormatError(
                f"names that start with {WHITEOUT_PREFIX!r} are reserved for deletions, found {path!r}",
                hint="rename the file",
            )
