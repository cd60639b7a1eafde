"""What a failed comparison of images, trees, entries or layers shows."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, zip_longest

from harness.images.image import AnyImage
from harness.images.layerindex import BuiltLayer
from harness.images.rootfs import Rootfs, RootfsEntry, describe, differences, near_names
from harness.trees import File

_LISTED = 20


def explain(op: str, left: object, right: object, *, verbose: bool = False) -> list[str] | None:
    """Explain why ``left op right`` does not hold; None for what pytest explains well itself."""
    if op == "==":
        return _explain_equality(left, right, verbose=verbose)
    if op == "in" and isinstance(right, Rootfs):
        return _explain_absence(left, right)
    if op == "not in" and isinstance(right, Rootfs) and isinstance(left, str):
        entry = right[left]
        return [f"{left!r} is in the image's rootfs", f"it is {describe(entry)}, from {entry.layer.origin}"]
    return None


def _explain_equality(left: object, right: object, *, verbose: bool) -> list[str] | None:
    if isinstance(left, Rootfs) and isinstance(right, Mapping):
        return _explain_trees(left, right, verbose=verbose)
    if isinstance(right, Rootfs) and isinstance(left, Mapping):
        return _explain_trees(right, left, verbose=verbose)
    if isinstance(left, AnyImage) and isinstance(right, AnyImage):
        return _explain_images(left, right, verbose=verbose)
    if isinstance(left, RootfsEntry) and isinstance(right, RootfsEntry):
        return ["another thing stands there", *_explain_entries(left, right)]
    if _are_layers(left) and _are_layers(right):
        assert isinstance(left, Sequence)
        assert isinstance(right, Sequence)
        return _explain_layers(left, right)
    return None


def _explain_absence(path: object, rootfs: Rootfs) -> list[str]:
    near = near_names(path, rootfs) if isinstance(path, str) else []
    lines = [f"{path!r} is not in the image's rootfs, which has {len(rootfs)} paths"]
    return [*lines, f"near it: {', '.join(near)}"] if near else lines


def _explain_trees(rootfs: Rootfs, expected: Mapping[str, object], *, verbose: bool) -> list[str]:
    found = list(differences(rootfs, expected))
    lines = [f"the image's rootfs is not the expected tree: {len(found)} path{'s' if len(found) != 1 else ''} differ"]
    for path, wanted, present in found if verbose else found[:_LISTED]:
        lines += _explain_path(path, wanted, present, rootfs, expected)
    if len(found) > _LISTED and not verbose:
        lines.append(f"... and {len(found) - _LISTED} more; use -v to see them")
    return lines


def _explain_path(
    path: str, wanted: str, present: str, rootfs: Rootfs, expected: Mapping[str, object]
) -> Iterator[str]:
    if not present:
        yield f"- {path}: expected {wanted}, and not there"
    elif not wanted:
        yield f"+ {path}: {present}, and not expected; it is from {rootfs[path].layer.origin}"
    else:
        yield f"~ {path}: expected {wanted}, found {present}; it is from {rootfs[path].layer.origin}"
        yield from _text_difference(expected.get(path), rootfs[path])


def _explain_entries(left: RootfsEntry, right: RootfsEntry) -> Iterator[str]:
    yield f"- {left.path}: {describe(left)}, from {left.layer.origin}"
    yield f"+ {right.path}: {describe(right)}, from {right.layer.origin}"
    yield from _text_difference(left, right)


def _text_difference(wanted: object, found: RootfsEntry) -> Iterator[str]:
    expected, text = _text(wanted), _text(found)
    if expected is None or text is None:
        return
    if "\n" in expected.rstrip("\n") or "\n" in text.rstrip("\n"):
        diff = difflib.unified_diff(expected.splitlines(), text.splitlines(), "expected", "found", lineterm="", n=2)
        yield from (f"    {line}" for line in diff)


def _text(content: object) -> str | None:
    """Return the text that a content is, None for one that is none, or too long to be looked at by a person."""
    if isinstance(content, File):
        content = content.content
    if isinstance(content, RootfsEntry):
        content = content.read_bytes() if content.is_file and content.size <= 1 << 20 else None
    if isinstance(content, bytes):
        try:
            return content.decode()
        except UnicodeDecodeError:
            return None
    return content if isinstance(content, str) else None


def _are_layers(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, BuiltLayer) for one in value)


def _explain_layers(left: Sequence[BuiltLayer], right: Sequence[BuiltLayer]) -> list[str]:
    lines = [f"{len(left)} layer{'s' if len(left) != 1 else ''}, and {len(right)}:"]
    if type(left) is not type(right):
        lines = [
            f"a {type(left).__name__} is never equal to a {type(right).__name__}; the layers of an image are a tuple"
        ]
    for one, two in zip_longest(left, right):
        if one == two:
            lines.append(f"  {one}")
        else:
            lines += [f"- {layer}" if layer is one else f"+ {layer}" for layer in (one, two) if layer is not None]
    return lines


def _explain_images(left: AnyImage, right: AnyImage, *, verbose: bool) -> list[str]:
    lines = [f"two images: {left.id.short} and {right.id.short}"]
    for name in ("platform", "cmd", "args", "labels", "annotations"):
        one, two = getattr(left, name), getattr(right, name)
        if one != two:
            lines.append(f"{name}: {one}, and {two}")
    if left.layers != right.layers:
        lines += _explain_layers(left.layers, right.layers)
    paths = list(islice(differences(left.rootfs, right.rootfs), None if verbose else _LISTED + 1))
    for path, wanted, present in paths if verbose else paths[:_LISTED]:
        lines += [f"- {path}: {present}"] * bool(present) + [f"+ {path}: {wanted}"] * bool(wanted)
    if len(paths) > _LISTED and not verbose:
        lines.append("... and more; use -v to see them")
    return lines
