"""What a failed comparison of trees or layers shows."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from harness.rootfs import BuiltLayer, Rootfs, RootfsEntry, differences

_LISTED = 20


def explain(left: object, right: object, *, verbose: bool = False) -> list[str] | None:
    """Explain why ``left == right`` does not hold; None for what pytest explains well itself."""
    if isinstance(left, Rootfs) and isinstance(right, Mapping):
        return _explain_trees(left, right, verbose=verbose)
    if isinstance(right, Rootfs) and isinstance(left, Mapping):
        return _explain_trees(right, left, verbose=verbose)
    if _are_layers(left) and _are_layers(right):
        assert isinstance(left, Sequence)
        assert isinstance(right, Sequence)
        return _explain_layers(left, right)
    return None


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


def _text_difference(wanted: object, found: RootfsEntry) -> Iterator[str]:
    if not isinstance(wanted, str) or not found.is_file:
        return
    try:
        text = found.read_text()
    except UnicodeDecodeError:
        return
    if "\n" in wanted.rstrip("\n") or "\n" in text.rstrip("\n"):
        diff = difflib.unified_diff(wanted.splitlines(), text.splitlines(), "expected", "found", lineterm="", n=2)
        yield from (f"    {line}" for line in diff)


def _are_layers(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, BuiltLayer) for one in value)


def _explain_layers(left: Sequence[BuiltLayer], right: Sequence[BuiltLayer]) -> list[str]:
    lines = [f"{len(left)} layers, and {len(right)}:"]
    for one, two in zip_longest(left, right):
        if one == two:
            lines.append(f"  {one}")
        else:
            lines += [f"- {layer}" if layer is one else f"+ {layer}" for layer in (one, two) if layer is not None]
    return lines
