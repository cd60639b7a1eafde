"""What every layer store and every image store does: test classes to inherit from.

    class TestMyLayerStore(LayerStoreContract):
        @pytest.fixture
        def layer_store(self) -> LayerStore: ...

Each class says which fixtures it takes. The stores of one test belong together: what ``layer_store`` holds, images may
refer to.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence

import pytest

from kubeimage.errors import (
    BlobCorruptError,
    BlobNotFoundError,
    ImageNotFoundError,
    LayerFormatError,
    PathEscapeError,
    ReferenceFormatError,
)
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import Commands, History, Layer
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.layer.entry import (
    Entry,
    Kind,
    canonical_order,
    directory,
    file,
    opaque,
    symlink,
    whiteout,
)
from kubeimage.protocols.images import ImageStore
from kubeimage.protocols.layers import LayerStore, StoredLayer

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
APP = Reference.parse("app:v1")
OTHER = Reference.parse("example.org/team/other:v2")
MISSING = Digest.of(b"no layer has this digest")

CHANGESET = canonical_order(
    [
        directory("bin"),
        file("bin/tool", b"#!/bin/sh\n", 0o755),
        whiteout("bin/gone"),
        directory("etc", 0o700),
        opaque("etc"),
        file("etc/empty", b""),
        file("etc/\N{LATIN SMALL LETTER U WITH DIAERESIS}", b"x" * 700),
        symlink("link", "bin/tool"),
        Entry("pipe", Kind.FIFO, 0o600),
        Entry("twin", Kind.HARDLINK, 0o755, target="bin/tool"),
    ]
)


def make_image(layers: Sequence[StoredLayer] = (), *, cmd: str = "true", platform: Platform = AMD64) -> Image:
    """Make an image of ``layers``; images with another ``cmd`` are other images."""
    return Image(
        platform,
        tuple(Layer(layer.diff_id, layer.size, "COPY", "a b") for layer in layers),
        tuple(History("COPY a b") for _ in layers),
        Commands(current=(cmd,)),
    )


def one_file(content: bytes, path: str = "file") -> list[Entry]:
    """Make the changeset of a layer with one file."""
    return [file(path, content)]


class LayerStoreContract:
    """Takes the fixture ``layer_store``: an empty ``LayerStore``."""

    def test_entries_come_back_as_they_were_put(self, layer_store: LayerStore) -> None:
        """All kinds of entries survive, in canonical order."""
        stored = layer_store.put(CHANGESET)

        back = [_essence(entry) for entry in layer_store.entries(stored.diff_id)]
        assert back == [_essence(entry) for entry in CHANGESET]

    def test_the_diff_id_is_the_digest_of_the_tar(self, layer_store: LayerStore) -> None:
        """What ``put`` says about a layer is what ``open`` gives."""
        stored = layer_store.put(CHANGESET)

        with layer_store.open(stored.diff_id) as tar:
            data = tar.read()
        assert (Digest.of(data), len(data)) == (stored.diff_id, stored.size)
        assert layer_store.size(stored.diff_id) == stored.size

    def test_other_tools_read_the_tar(self, layer_store: LayerStore) -> None:
        """Python's tarfile finds the same names."""
        stored = layer_store.put(CHANGESET)

        with layer_store.open(stored.diff_id) as stream, tarfile.open(fileobj=stream) as tar:
            names = tar.getnames()
        assert names[:4] == ["bin", "bin/.wh.gone", "bin/tool", "etc"]

    def test_a_tar_can_seek(self, layer_store: LayerStore) -> None:
        """Readers pass over content without reading it."""
        stored = layer_store.put(one_file(b"content"))

        with layer_store.open(stored.diff_id) as tar:
            tar.seek(512)
            content = tar.read(7)
        assert content == b"content"

    def test_put_gives_the_digest_of_each_file(self, layer_store: LayerStore) -> None:
        """Whoever asked for the layer need not read its sources again."""
        stored = layer_store.put(canonical_order([file("a", b"1"), file("b", b"2"), directory("c")]))

        assert {path: digest.hex() for path, digest in stored.digests.items()} == {
            "a": Digest.of(b"1").hex,
            "b": Digest.of(b"2").hex,
        }

    def test_put_tells_how_much_is_written(self, layer_store: LayerStore) -> None:
        """Whoever watches hears of a large layer on its way, and at last of all of it."""
        told: list[int] = []

        stored = layer_store.put(one_file(b"x" * (3 << 20)), watch=told.append)

        assert (sorted(told), told[-1]) == (told, stored.size)
        assert len(told) > 1

    def test_equal_changesets_are_one_layer(self, layer_store: LayerStore) -> None:
        """Putting twice is putting once."""
        assert layer_store.put(CHANGESET) == layer_store.put(list(CHANGESET))

    def test_an_empty_changeset_is_a_layer(self, layer_store: LayerStore) -> None:
        """Nothing is special about no entries."""
        stored = layer_store.put([])

        assert list(layer_store.entries(stored.diff_id)) == []

    def test_has_tells_what_is_there(self, layer_store: LayerStore) -> None:
        """There from ``put`` on, and nothing else."""
        stored = layer_store.put(CHANGESET)

        assert (layer_store.has(stored.diff_id), layer_store.has(MISSING)) == (True, False)

    @pytest.mark.parametrize("ask", ["open", "size", "entries"])
    def test_a_missing_layer_is_named(self, layer_store: LayerStore, ask: str) -> None:
        """Not an OSError, not a KeyError."""
        with pytest.raises(BlobNotFoundError, match=MISSING.hex):
            list(getattr(layer_store, ask)(MISSING))

    def test_an_added_tar_is_kept_byte_for_byte(self, layer_store: LayerStore) -> None:
        """Also one that another tool wrote."""
        data = _foreign_tar({"b": b"2", "a": b"1"})

        stored = layer_store.add(io.BytesIO(data), diff_id=Digest.of(data))

        with layer_store.open(stored.diff_id) as tar:
            assert tar.read() == data
        assert [entry.path for entry in layer_store.entries(stored.diff_id)] == ["b", "a"]

    def test_an_added_tar_must_have_the_diff_id_asked_for(self, layer_store: LayerStore) -> None:
        """What was damaged on its way is refused."""
        data = _foreign_tar({"a": b"1"})

        with pytest.raises(BlobCorruptError, match=MISSING.hex):
            layer_store.add(io.BytesIO(data), diff_id=MISSING)
        assert not layer_store.has(Digest.of(data))

    @pytest.mark.parametrize(
        ("data", "error"),
        [
            pytest.param(b"no tar at all" * 100, LayerFormatError, id="rubbish"),
            pytest.param(b"truncated", LayerFormatError, id="truncated"),
            pytest.param(b"escape", PathEscapeError, id="escape"),
        ],
    )
    def test_an_added_tar_must_be_good(self, layer_store: LayerStore, data: bytes, error: type[Exception]) -> None:
        """Nothing that cannot be unpacked safely becomes a layer."""
        tars = {b"truncated": _foreign_tar({"a": b"1" * 2000})[:1500], b"escape": _foreign_tar({"../a": b"1"})}
        data = tars.get(data, data)

        with pytest.raises(error):
            layer_store.add(io.BytesIO(data))
        assert not layer_store.has(Digest.of(data))


class ImageStoreContract:
    """Takes the fixtures ``image_store``: an empty ``ImageStore``; and ``layer_store``: the ``LayerStore`` below it."""

    def test_an_image_comes_back_as_it_was_put(self, image_store: ImageStore, layer_store: LayerStore) -> None:
        """By its name, with the same bytes."""
        image = make_image([layer_store.put(CHANGESET)])

        manifest = image_store.put(image, [APP])

        found = image_store.get(APP)
        assert found == image
        assert found is not None
        assert found.config == image.config
        assert manifest == Digest.of(image.manifest.to_bytes())

    def test_what_was_never_put_is_none(self, image_store: ImageStore) -> None:
        """An expected miss is no error."""
        assert image_store.get(APP) is None
        assert image_store.find("0" * 12) is None
        assert image_store.records() == []

    def test_a_platform_is_matched(self, image_store: ImageStore) -> None:
        """An image for another platform is not the one asked for; arm64 means arm64/v8."""
        image = make_image(platform=ARM64)
        image_store.put(image, [APP])

        asked = [AMD64, ARM64, Platform("linux", "arm64", "v8"), None]
        assert [image_store.get(APP, platform) for platform in asked] == [None, image, image, image]

    def test_an_image_needs_its_layers(self, image_store: ImageStore) -> None:
        """An image with a hole cannot be put."""
        with pytest.raises(BlobNotFoundError, match=MISSING.hex):
            image_store.put(make_image([StoredLayer(MISSING, 10)]), [APP])
        assert image_store.records() == []

    def test_a_layer_must_have_the_size_that_is_recorded(
        self, image_store: ImageStore, layer_store: LayerStore
    ) -> None:
        """A manifest that gives wrong sizes is of use to nobody."""
        stored = layer_store.put(CHANGESET)

        with pytest.raises(BlobCorruptError, match=stored.diff_id.hex):
            image_store.put(make_image([StoredLayer(stored.diff_id, stored.size + 1)]), [APP])

    def test_the_last_image_gets_the_name(self, image_store: ImageStore) -> None:
        """The one that loses its only name is listed no more."""
        image_store.put(make_image(cmd="old"), [APP])
        new = make_image(cmd="new")

        image_store.put(new, [APP])

        assert image_store.get(APP) == new
        assert [record.image_id for record in image_store.records()] == [new.id]

    def test_an_image_that_loses_one_name_keeps_the_other(self, image_store: ImageStore) -> None:
        """Names are independent of each other."""
        old = make_image(cmd="old")
        image_store.put(old, [APP, OTHER])

        image_store.put(make_image(cmd="new"), [APP])

        assert image_store.get(OTHER) == old

    def test_records_are_sorted_by_name(self, image_store: ImageStore) -> None:
        """With what each name leads to."""
        image = make_image()
        names = [Reference.parse(name) for name in ("b:2", "a:1", "b:10", "example.org/a:1")]
        manifest = image_store.put(image, names)

        records = image_store.records()
        assert [record.reference for record in records] == sorted(names, key=str)
        assert {(one.manifest, one.image_id, one.platform) for one in records} == {(manifest, image.id, AMD64)}
        assert image_store.records(names[0]) == [one for one in records if one.reference == names[0]]
        assert image_store.records(Reference.parse("b:1")) == []

    def test_an_image_without_a_name_is_found_by_its_id(self, image_store: ImageStore) -> None:
        """It is listed last, until it gets a name."""
        image = make_image()
        image_store.put(image)
        image_store.put(make_image(cmd="other"), [APP])

        assert image_store.find(image.id.hex[:12]) == image
        assert [record.reference for record in image_store.records()] == [APP, None]
        image_store.put(image, [OTHER])
        assert None not in [record.reference for record in image_store.records()]

    def test_an_id_must_be_long_enough_and_clear(self, image_store: ImageStore) -> None:
        """Of two names for one image, either will do."""
        image = make_image()
        image_store.put(image, [APP, OTHER])

        assert image_store.find(image.id.hex[:5]) is None
        assert image_store.find(image.id.hex) == image

    def test_a_tag_is_another_name(self, image_store: ImageStore) -> None:
        """The first one stays, and taking it away leaves the other."""
        image = make_image()
        image_store.put(image, [APP])

        image_store.tag(APP, OTHER)
        image_store.remove(APP)

        assert (image_store.get(APP), image_store.get(OTHER)) == (None, image)

    def test_a_tag_moves(self, image_store: ImageStore) -> None:
        """Last writer wins here as well."""
        image = make_image(cmd="new")
        image_store.put(make_image(cmd="old"), [OTHER])
        image_store.put(image, [APP])

        image_store.tag(APP, OTHER)

        assert image_store.get(OTHER) == image
        assert len(image_store.records()) == 2

    def test_naming_an_image_what_it_is_called_changes_nothing(self, image_store: ImageStore) -> None:
        """Putting and tagging are idempotent."""
        image = make_image()
        image_store.put(image, [APP, OTHER])
        before = image_store.records()

        image_store.put(image, [OTHER])
        image_store.tag(APP, APP)

        assert image_store.records() == before

    def test_what_is_not_there_cannot_be_tagged_or_removed(self, image_store: ImageStore) -> None:
        """The error names it."""
        with pytest.raises(ImageNotFoundError, match="app:v1"):
            image_store.tag(APP, OTHER)
        with pytest.raises(ImageNotFoundError, match="app:v1"):
            image_store.remove(APP)

    def test_a_digest_is_no_name(self, image_store: ImageStore) -> None:
        """Only a tag can be given to an image."""
        pinned = Reference(APP.domain, APP.repository, "", MISSING)

        with pytest.raises(ReferenceFormatError, match="digest"):
            image_store.put(make_image(), [pinned])

    def test_an_image_is_found_by_its_manifests_digest(self, image_store: ImageStore) -> None:
        """In the repository that has it, whatever the tag."""
        image = make_image()
        manifest = image_store.put(image, [APP])

        asked = [
            Reference(APP.domain, APP.repository, "", manifest),
            Reference(APP.domain, APP.repository, "v1", manifest),
            Reference(APP.domain, APP.repository, "v2", manifest),
            Reference(APP.domain, APP.repository, "", MISSING),
            Reference(OTHER.domain, OTHER.repository, "", manifest),
        ]
        assert [image_store.get(reference) for reference in asked] == [image, image, None, None, None]

    def test_remove_frees_what_nobody_else_needs(self, image_store: ImageStore, layer_store: LayerStore) -> None:
        """A layer that two images share stays with the second."""
        shared, own = layer_store.put(one_file(b"shared")), layer_store.put(one_file(b"own"))
        image = make_image([shared, own])
        manifest = image_store.put(image, [APP])
        image_store.put(make_image([shared]), [OTHER])

        freed = image_store.remove(APP)

        assert freed == sorted([manifest, image.id, own.diff_id])
        assert (layer_store.has(shared.diff_id), layer_store.has(own.diff_id)) == (True, False)

    def test_remove_frees_nothing_while_another_name_is_left(
        self, image_store: ImageStore, layer_store: LayerStore
    ) -> None:
        """Blobs go with the last name."""
        image = make_image([layer_store.put(CHANGESET)])
        image_store.put(image, [APP, OTHER])

        assert image_store.remove(APP) == []
        assert image_store.get(OTHER) == image

    def test_an_image_whose_layer_is_gone_is_an_error(self, image_store: ImageStore, layer_store: LayerStore) -> None:
        """A name that leads to a hole is not the same as no name."""
        stored = layer_store.put(CHANGESET)
        image_store.put(make_image([stored]), [APP])
        self.lose(layer_store, stored.diff_id)

        with pytest.raises(BlobNotFoundError, match=stored.diff_id.hex):
            image_store.get(APP)

    def lose(self, layer_store: LayerStore, diff_id: Digest) -> None:
        """Make a layer disappear, as a careless person would."""
        raise NotImplementedError


def _essence(entry: Entry) -> Entry:
    """What of an entry a tar holds, and its reader gives back."""
    mode = 0 if entry.kind in (Kind.WHITEOUT, Kind.OPAQUE) else entry.mode
    size = entry.size if entry.kind is Kind.FILE else 0
    return Entry(entry.path, entry.kind, mode, size, entry.target, entry.mtime, entry.xattrs)


def _foreign_tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
