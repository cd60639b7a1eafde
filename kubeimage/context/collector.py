"""Finding a COPY's sources in a build context on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kubeimage.context.ignore import IGNORE_FILE, NO_RULES, IgnoreRules
from kubeimage.context.names import auth_list_warnings, secret_warnings
from kubeimage.context.placement import Match, directories_above, filled_directory, merge, place
from kubeimage.context.reading import ContentHasher, unreadable
from kubeimage.context.sources import SourceFinder
from kubeimage.context.statindex import StatIndex
from kubeimage.context.walk import DiskTree, Walk
from kubeimage.disk.smallfile import is_within, read_small
from kubeimage.errors import ContextError, ContextNotFoundError, SourceNotFoundError, UnsupportedSourceError
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry, FileIdentity, Kind, with_digest
from kubeimage.layer.table import EntryTable
from kubeimage.protocols.context import Collected, CopyRequest

if TYPE_CHECKING:
    from kubeimage.layer.splicing import Earlier

Digester = Callable[[str, FileIdentity | None], bytes]


class ContextCollector:
    """A `SourceCollector` over a directory, for one build.

    With a ``stat_index``, files that are still what they were when somebody read them are not read again; whoever made
    the index saves it when the build ends.
    """

    def __init__(
        self,
        context: str,
        *,
        stat_index: StatIndex | None = None,
        digester: Digester | None = None,
        store: str | None = None,
    ) -> None:
        """Collect from the folder ``context``; ``store`` is where the store is, no byte of which is copied."""
        folder = _real_folder(context)
        self._store_around = store if store is not None and is_within(folder, store) else None
        self._tree = DiskTree(folder, context, hidden=_inside(folder, store) if store is not None else None)
        self._index = stat_index
        self._digest = digester or ContentHasher().digest

    def collect(self, request: CopyRequest) -> Collected:
        """Find what ``request`` copies, reading no file content.

        Raises: SourceNotFoundError, SourceEscapeError, UnsupportedSourceError, UnreadableSourceError,
                ContextChangedError, DestinationError.
        """
        if self._store_around is not None:
            raise ContextError(
                f"the build context {self._tree.label!r} lies in the store {self._store_around!r}",
                hint="keep them apart: --root names another place for the store",
            )
        if request.by_docker:
            from kubeimage.context.dockercopy import collect_by_docker

            return collect_by_docker(self._tree, request)
        rules = self._read_rules()
        finder = SourceFinder(self._tree, rules)
        matches = [match for source in request.sources for match in self._find(finder, source)]
        walk = Walk(self._tree, rules, request)
        placements = place(matches, request)
        entries = merge([walk.collect(placement) for placement in placements])
        warnings = [*auth_list_warnings([*finder.auth_lists, *walk.auth_lists]), *secret_warnings(walk.secrets)]
        if self._tree.met_hidden:
            warnings.append(f"{self._tree.hidden!r} is the store: it stays out of the layer")
        into = filled_directory(request, placements, entries)
        return Collected(entries, directories_above(placements), tuple(dict.fromkeys(warnings)), into)

    def _find(self, finder: SourceFinder, source: str) -> list[Match]:
        try:
            return finder.find(source)
        except SourceNotFoundError as error:
            if not self._tree.met_hidden:
                raise
            raise SourceNotFoundError(
                error.message, hint=f"{self._tree.hidden!r} is the store, and no layer has any of it"
            ) from error

    def with_digests(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return ``entries`` with the ``digest`` of every FILE, reading only what is not known from before.

        Raises: ContextChangedError, UnreadableSourceError.
        """
        if isinstance(entries, EntryTable) and self._index is not None:
            return self._index.tables.with_digests(entries, self._digest)
        digest_of = self._digest_of
        return [
            with_digest(entry, digest_of(entry)) if entry.kind is Kind.FILE and entry.digest is None else entry
            for entry in entries
        ]

    def expect(self, entries: Sequence[Entry]) -> None:
        """Somebody else is about to read the contents of ``entries``: find out which of them may be remembered."""
        if self._index is None:
            return
        if isinstance(entries, EntryTable):
            self._index.tables.expect(entries)
            return
        expect, relative = self._index.expect, self._tree.relative
        for entry in entries:
            source, identity, _ = entry[-3:]
            if identity is not None and isinstance(source, str):
                expect(relative(source), identity)

    def remember(self, entries: Sequence[Entry]) -> None:
        """Keep the digests that ``entries`` have: somebody else has read their contents since they were expected."""
        if self._index is None:
            return
        if isinstance(entries, EntryTable):
            self._index.tables.remember(entries)
            return
        record, relative = self._index.record, self._tree.relative
        for entry in entries:
            source, identity, digest = entry[-3:]
            if digest is not None and identity is not None and isinstance(source, str):
                record(relative(source), identity, digest)

    def earlier(self, entries: Sequence[Entry]) -> Earlier | None:
        """Return the layer that the same COPY made before, and which of ``entries``, with digests, are as they were."""
        if self._index is None or not isinstance(entries, EntryTable):
            return None
        return self._index.tables.earlier(entries)

    def note_layer(self, entries: Sequence[Entry], diff_id: Digest, offset: int) -> None:
        """Remember the layer that ``entries`` came to, in which they begin at ``offset``."""
        if self._index is not None and isinstance(entries, EntryTable):
            self._index.tables.note_layer(entries, diff_id, offset)

    def known_sources(self, entries: Sequence[Entry]) -> Digest | None:
        """Return what `remember_sources` got with the same ``entries``, if nothing has changed since; read nothing."""
        known = self._index.trees.lookup(entries) if self._index is not None else None
        return Digest(known.hex()) if known is not None else None

    def remember_sources(self, entries: Sequence[Entry], sources: Digest) -> None:
        """Keep the digest of a cache key's sources, which ``entries`` came to."""
        if self._index is not None:
            self._index.trees.record(entries, bytes.fromhex(sources.hex))

    def leaves_out(self, path: str, request: CopyRequest) -> bool:
        """Whether ``request`` would not read the file ``path`` of the context, be it there or not.

        Raises: UnsupportedSourceError, UnreadableSourceError.
        """
        from kubeimage.context.dockercopy import read_rules

        rules = read_rules(self._tree, request.excludes) if request.by_docker else self._read_rules()
        ends = [*(at for at, letter in enumerate(path) if letter == "/"), len(path)]
        return any(rules.leaves_out(path[:end], is_directory=end < len(path)) for end in ends)

    def _digest_of(self, entry: Entry) -> bytes:
        source, identity = entry.source, entry.identity
        if not isinstance(source, str):
            return hashlib.sha256(source or b"").digest()
        if self._index is None or identity is None:
            return self._digest(source, identity)
        path = self._tree.relative(source)
        known = self._index.lookup(path, identity)
        if known is None:
            self._index.expect(path, identity)
            known = self._digest(source, identity)
            self._index.record(path, identity, known)
        return known

    def _read_rules(self) -> IgnoreRules:
        """Read the ``.kubeignore`` of now: it is small, and a build may be one of many."""
        path = self._tree.absolute(IGNORE_FILE)
        try:
            return IgnoreRules.parse(read_small(path, within=self._tree.absolute("")).decode("utf-8"))
        except FileNotFoundError:
            return NO_RULES
        except UnicodeDecodeError as error:
            raise UnsupportedSourceError(f"{path!r} is not UTF-8: {error.reason} at byte {error.start}") from error
        except OSError as error:
            raise unreadable(IGNORE_FILE, error) from error


def _inside(folder: str, store: str) -> str | None:
    """Return where the store is below the context, None where it is elsewhere."""
    real = os.path.realpath(store)
    return os.path.relpath(real, folder) if real != folder and is_within(real, folder) else None


def _real_folder(context: str) -> str:
    """Return the real path of the build context.

    Raises: ContextNotFoundError.
    """
    hint = "name the folder that the COPY sources are in"
    try:
        # An empty path would be taken for the current directory.
        real = os.path.realpath(context) if context else ""
        os.stat(real)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ContextNotFoundError(f"the build context {context!r} cannot be used: {reason}", hint=hint) from error
    if not os.path.isdir(real):
        raise ContextNotFoundError(f"the build context {context!r} is a file, not a folder", hint=hint)
    return real
