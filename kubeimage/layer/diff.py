"""What one tree changes on another: a canonical changeset with explicit whiteouts.

Minimal: one whiteout for a name that is gone, nothing below it, none below what is no directory any more, and none for
what never was. A directory that was replaced by another one is told entry by entry.

Source: OCI image-spec v1.1, layer.md, "Representing Changes"; the project's design, "Layers".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

from kubeimage.layer.entry import Entry, Kind, canonical_order, directory, sort_key, whiteout
from kubeimage.layer.names import ancestors, parent_of

SameContent = Callable[[Entry, Entry], bool]


def has_same_content(old: Entry, new: Entry) -> bool:
    """Compare two FILEs of one size by digest, or by the content itself where an entry holds it.

    Raises: ValueError where nobody has read one of them yet.
    """
    return _digest(old) == _digest(new)


def diff_trees(
    lower: Mapping[str, Entry],
    upper: Mapping[str, Entry],
    *,
    same_content: SameContent = has_same_content,
    owners: bool = False,
) -> list[Entry]:
    """Return the changeset, in canonical order, that makes ``upper`` of ``lower``.

    Shape: both map each path to its entry, without whiteouts; a HARDLINK's target is the path of a FILE in the same
           mapping. ``same_content`` is asked only about FILEs that are alike in all else. With ``owners`` another
           owner is a change.
    """

    def is_changed(path: str) -> bool:
        old, new = _resolved(lower, path), _resolved(upper, path)
        return (owners and old.owner != new.owner) or not is_same(old, new, same_content=same_content)

    changed = {path: entry for path, entry in upper.items() if path not in lower or is_changed(path)}
    deleted = [whiteout(path) for path in lower if path not in upper and _stands_in_directory(upper, path)]
    changes = with_parents([*_grouped(changed, upper), *deleted], upper)
    return canonical_order(changes)


def is_same(old: Entry, new: Entry, *, same_content: SameContent = has_same_content) -> bool:
    """Whether two entries of one path are alike in type, mode, target, xattrs and content; times never count."""
    if (old.kind, old.mode, old.target) != (new.kind, new.mode, new.target):
        return False
    if old.xattrs != new.xattrs and dict(old.xattrs) != dict(new.xattrs):
        return False
    return old.kind is not Kind.FILE or (old.size == new.size and same_content(old, new))


def with_parents(changes: Iterable[Entry], tree: Mapping[str, Entry]) -> list[Entry]:
    """Add the directories that ``changes`` stand in, as they are in ``tree``, where ``changes`` lack them."""
    complete: dict[str, Entry] = {}
    deleted = []
    for entry in changes:
        if entry.kind is Kind.WHITEOUT or entry.kind is Kind.OPAQUE:
            deleted.append(entry)
        else:
            complete[entry.path] = entry
    for entry in [*complete.values(), *deleted]:
        inner = entry.path if entry.kind is Kind.OPAQUE else parent_of(entry.path)
        if inner and inner not in complete:
            for path in [*ancestors(inner), inner]:
                found = tree.get(path)
                complete.setdefault(path, found if found and found.kind is Kind.DIRECTORY else directory(path))
    return [*complete.values(), *deleted]


def _digest(entry: Entry) -> bytes:
    if entry.digest is not None:
        return entry.digest
    if not isinstance(entry.source, bytes):
        raise ValueError(f"nobody has read the content of {entry.path!r} yet")
    return hashlib.sha256(entry.source).digest()


def _resolved(tree: Mapping[str, Entry], path: str) -> Entry:
    entry = tree[path]
    return tree[entry.target] if entry.kind is Kind.HARDLINK else entry


def _stands_in_directory(upper: Mapping[str, Entry], path: str) -> bool:
    parent = parent_of(path)
    return not parent or (parent in upper and upper[parent].kind is Kind.DIRECTORY)


def _grouped(changed: Mapping[str, Entry], upper: Mapping[str, Entry]) -> list[Entry]:
    """Make of hard links among the changed entries one FILE, the canonically first, and links to it.

    The name that was the first in ``upper`` may have not changed at all.
    """
    firsts: dict[str, str] = {}
    grouped = []
    for entry in sorted(changed.values(), key=sort_key):
        file = _resolved(upper, entry.path)
        first = firsts.setdefault(file.path, entry.path)
        if first != entry.path:
            grouped.append(Entry(entry.path, Kind.HARDLINK, file.mode, target=first, mtime=file.mtime))
        else:
            grouped.append(file._replace(path=entry.path))
    return grouped
