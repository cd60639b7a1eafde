"""The check of ``index.json``: whether it can be read, and whether each image that it names is whole."""

from __future__ import annotations

import os
from collections.abc import Iterator

from kubeimage.errors import StoreError
from kubeimage.image import canonical
from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.oci import MEDIA_TYPE_INDEX
from kubeimage.store import index, layout, manifests
from kubeimage.store.blobs import Blobs
from kubeimage.store.census import Census
from kubeimage.store.failures import translated
from kubeimage.store.files import replace_file, write_new_file
from kubeimage.store.findings import AGAIN, Finding
from kubeimage.store.index import Entries
from kubeimage.store.layout import Layout
from kubeimage.store.mending import Mender
from kubeimage.store.problems import Problems, odd_names
from kubeimage.store.referrers import owner_in, referrer_of
from kubeimage.store.session import Session
from kubeimage.store.variants import Variants


class IndexCheck:
    """Checks the list of images: first that it can be read and, once the census is complete, its entries.

    Shape: ``needed`` is what the entries need, damaged ones included; it is known once they are checked.
    """

    def __init__(
        self, where: Layout, session: Session, blobs: Blobs, variants: Variants, census: Census, *, repair: bool
    ) -> None:
        self._layout = where
        self._session = session
        self._blobs = blobs
        self._problems = Problems(blobs, variants, census)
        self._mender = Mender(blobs, variants, census, self._problems)
        self._repair = repair
        self._entries: Entries = []
        self.needed: set[Digest] = set()

    def read(self) -> Finding | None:
        """Read the entries; where that cannot be, list the images anew and say what is wrong.

        Raises: StoreAccessError.
        """
        try:
            self._entries = index.read_entries(self._layout)
        except StoreError as error:
            advice = f"{AGAIN}: it is put aside, and the images are listed again with the names it still shows"
            finding = Finding(error.message, self._layout.index, advice, repaired=self._repair)
        else:
            return None
        self._entries = self._mender.salvage(layout.read_if_there(self._layout.index) or b"")
        if self._repair:
            if os.path.lexists(self._layout.index):
                self._put_aside()
            self._write()
        return finding

    def _put_aside(self) -> None:
        """Move the damaged list to another name, and let it keep its own until the new one takes that.

        Only it shows the names of the images: who is stopped in between must find it again.
        """
        aside, link = f"{self._layout.index}.damaged", self._session.new_path()
        with translated("put aside", self._layout.index):
            try:
                os.link(self._layout.index, link, follow_symlinks=False)
            except OSError:
                # A folder, or a file system without hard links.
                os.replace(self._layout.index, aside)
            else:
                os.replace(link, aside)

    def check_header(self) -> Iterator[Finding]:
        """Look whether a list that could be read says what it is.

        Raises: StoreFullError, StoreAccessError.
        """
        value = canonical.decode(layout.read_if_there(self._layout.index) or index.encode_entries(self._entries))
        found = value.get("schemaVersion"), value.get("mediaType", MEDIA_TYPE_INDEX)
        if found != (2, MEDIA_TYPE_INDEX):
            if self._repair:
                self._write()
            what = f"the list of images is no image index of version 2, but {found[1]!r} of version {found[0]!r}"
            yield Finding(what, self._layout.index, f"{AGAIN} to write it again", repaired=self._repair)

    def check_entries(self) -> Iterator[Finding]:
        """Find what is wrong with each image and its entry, and with the names of those that can stay.

        Raises: StoreFullError, StoreAccessError.
        """
        good: Entries = []
        for entry in self._entries:
            self._need(entry)
            what = self._problems.problem_of(entry)
            kept = entry if what is None else self._mender.mend(entry)
            if kept is not None:
                self._need(kept)
                good.append(kept)
            if what is not None:
                yield self._broken(entry, what, is_mended=kept is not None)
            elif (why := self._problems.why_unusable(entry)) is not None:
                yield self._unusable(entry, why)
        for what, advice in odd_names(good):
            yield Finding(what, self._layout.index, advice, damage=False)
        if good != self._entries and self._repair:
            index.change_entries(self._layout, self._session, lambda _: good)

    def _broken(self, entry: JsonObject, what: str, *, is_mended: bool) -> Finding:
        if index.is_referrer(entry):
            return self._broken_referrer(entry, what)
        name = index.reference_of(entry) or entry.get("digest")
        remedy = "to write its entry again" if is_mended else "to take the name away, then build or load it again"
        lost = self._repair and not is_mended
        advice = "build or load it again" if lost else f"{AGAIN} {remedy}"
        told = f"the image {name} is broken: {what}"
        return Finding(told, self._layout.index, advice, repaired=self._repair, lost=lost)

    def _broken_referrer(self, entry: JsonObject, what: str) -> Finding:
        referrer, owner = referrer_of(entry), owner_in(entry)
        image = next((index.reference_of(one) for one in self._entries if one.get("digest") == owner), None)
        told = f"the {referrer or entry.get('digest')}, which refers to {image or owner}, is broken: {what}"
        again = "pull or load the image again, with --referrers all"
        advice = again if self._repair else f"{AGAIN} to take it out of the list, then {again}"
        return Finding(told, self._layout.index, advice, repaired=self._repair, lost=self._repair)

    def _unusable(self, entry: JsonObject, why: str) -> Finding:
        """What an earlier kubeimage took in as it came, and this one refuses: nothing is lost, and nothing gained."""
        name = index.reference_of(entry) or entry.get("digest")
        advice = "make it again with the tool it came from; kubeimage rmi removes it here"
        return Finding(f"the image {name} is whole, but no command can use it: {why}", self._layout.index, advice)

    def _need(self, entry: JsonObject) -> None:
        descriptor = index.descriptor_of(entry)
        if descriptor is not None:
            self.needed |= manifests.digests_of(self._blobs, descriptor, index.taken_of(entry))

    def _write(self) -> None:
        written = self._session.new_path()
        write_new_file(written, index.encode_entries(self._entries))
        replace_file(written, self._layout.index)
