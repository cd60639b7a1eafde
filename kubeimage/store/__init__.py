"""The image store: an OCI image layout with room beside it.

    ROOT/
      oci-layout              what makes it an image layout; skopeo, umoci and buildah read it in place
      index.json              every image and its names; replacing this file is the one commit point
      kubeimage.json          the form of the store; a newer one is refused
      blobs/sha256/HEX        layers, configs, manifests: never changed; mtime 0 says "hashed and on the disk"
      variants/HEX.HEX        which blob (second) holds which layer (first) compressed; found out again where it is lost
      snapshots/FORM/BOOT/HEX unpacked layers, for mounts; FORM is trusted, user or owned, BOOT when the machine started
      cache/                  what builds remember of steps and contexts; it can be lost at any time
      ingest/RANDOM/          one running session: its unfinished files, and
      ingest/RANDOM/lease     the digests that it relies on, one a line; locked while the session lives
      ingest/partial/HEX      the beginning of a blob whose fetching was broken off, for who fetches it next
      index.lock gc.lock gc.turn   empty files to lock

How something is committed: it is written whole in ``ingest/``, then renamed to its place. A blob has its name at once,
so it outlives its process, but no mark; it has the mark once it has been waited for, and all new blobs are waited for
together before ``index.json`` is replaced (or when the oldest has waited two seconds, or the session ends). Whoever
finds a blob without a mark hashes it first. So a crash or a power cut at any moment leaves the images as they were, and
beside them only what ``prune`` removes and a later build uses or replaces.

Who may hold which lock, always in this order, and none longer than it takes:

1. ``gc.turn``, alone: to queue up for ``gc.lock``, so that who wants that one alone gets it in the end.
2. ``gc.lock``, shared: to start relying on a blob, or to publish one, and write its digest into the lease; and to
   change ``index.json``. Alone: to look for garbage and take it out of sight (it is deleted later), and to repair.
3. ``index.lock``, alone: from reading ``index.json`` to replacing it.
4. ``cache/lock``, alone: while the build cache records something, and to take it out of sight.

``ingest/RANDOM/lease`` is locked by its session from beginning to end. Garbage is what neither ``index.json``, nor the
lease of a running session, nor the build cache (where it is kept) leads to; all forms of a layer, compressed or not,
are one thing in that. The kernel frees the locks of a dead
process, so what it left in ``ingest/`` is known by its lease being free; the next session removes it. Where files
cannot be locked at all, as on a faked filesystem, nothing is taken for a leftover.
"""

from __future__ import annotations

from kubeimage.store.facade import Store, cache_folder

__all__ = ["Store", "cache_folder"]
