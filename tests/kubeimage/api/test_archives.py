"""Images in files: written whole and always alike, loaded all or none."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from harness.contracts import APP, CHANGESET, OTHER, make_image, one_file
from kubeimage.api.archives import ArchiveFormat
from kubeimage.errors import (
    ArchiveError,
    BlobCorruptError,
    ImageNotFoundError,
    KubeimageError,
    UsageError,
)
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.layer.compression import Coding
from kubeimage.protocols.transfer import Budget
from kubeimage.store import Store
from tests.kubeimage.image.test_fields import ODD, PYTHONS_WORDS, places
from tests.kubeimage.image.test_fields import replaced as with_part
from tests.kubeimage.store.foreign import make_foreign, make_index
from tests.kubeimage.store.test_arrivals import NESTINGS, TAR, UPPER, bring, bring_index
from tests.oneshot import load_images, save_image

ARM64 = Platform("linux", "arm64")
FORMATS: list[ArchiveFormat] = ["oci-archive", "docker-archive", "sealer"]


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture
def store(root: str) -> Iterator[Store]:
    with Store.open(root) as opened:
        yield opened


@pytest.fixture
def elsewhere(tmp_path: Path) -> str:
    return str(tmp_path / "elsewhere")


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return str(tmp_path / "image.tar")


@pytest.fixture
def built(store: Store) -> Any:
    image = make_image([store.layers.put(CHANGESET), store.layers.put(one_file(b"x" * 5000))])
    store.images.put(image, [APP])
    return image


def shown(root: str) -> list[tuple[str, str]]:
    with Store.open(root, create=False) as store:
        return [(str(one.reference), str(one.image_id)) for one in store.images.records()]


def is_sound(root: str) -> bool:
    with Store.open(root, create=False) as store:
        return not any(found.damage for found in store.check())


@pytest.mark.parametrize("form", FORMATS)
def test_an_image_comes_back_from_its_file(root: str, built: Any, elsewhere: str, archive: str, form: Any) -> None:
    save_image("app:v1", archive, root=root, form=form)

    load_images(archive, root=elsewhere)

    assert shown(elsewhere) == [(str(APP), str(built.id))]
    assert is_sound(elsewhere)


@pytest.mark.parametrize("form", FORMATS)
def test_equal_images_give_equal_files(
    root: str, built: Any, elsewhere: str, archive: str, tmp_path: Path, form: Any
) -> None:
    save_image("app:v1", archive, root=root, form=form)
    load_images(archive, root=elsewhere)

    save_image("app:v1", str(tmp_path / "again"), root=elsewhere, form=form)

    assert (tmp_path / "again").read_bytes() == Path(archive).read_bytes()


@pytest.mark.parametrize("coding", [None, Coding("gzip"), Coding("zstd"), Coding("none")], ids=str)
def test_layers_are_compressed_on_wish(root: str, built: Any, elsewhere: str, archive: str, coding: Any) -> None:
    save_image("app:v1", archive, root=root, coding=coding)

    (loaded,) = load_images(archive, root=elsewhere)

    assert [image_id for _, _, image_id in loaded.arrival.images] == [built.id]
    assert is_sound(elsewhere)


def in_two_streams(data: bytes) -> bytes:
    """Compress as ``xz`` does where two files follow one another, with padding between them."""
    return lzma.compress(data[:1000]) + bytes(8) + lzma.compress(data[1000:])


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, zstandard.compress, lzma.compress, bz2.compress, in_two_streams, lambda data: data],
    ids=["gzip", "zstd", "xz", "bzip2", "xz in two streams", "as it is"],
)
@pytest.mark.parametrize("form", FORMATS)
def test_a_file_may_be_compressed(
    root: str, built: Any, elsewhere: str, archive: str, form: Any, pack: Callable[[bytes], bytes]
) -> None:
    save_image("app:v1", archive, root=root, form=form)
    Path(archive).write_bytes(pack(Path(archive).read_bytes()))

    load_images(archive, root=elsewhere)

    assert shown(elsewhere) == [(str(APP), str(built.id))]
    assert os.listdir(f"{elsewhere}/ingest") == []


def test_what_came_from_elsewhere_is_saved_byte_for_byte(store: Store, root: str, archive: str) -> None:
    images = [make_foreign(TAR), make_foreign(UPPER, architecture="arm64", kind="zstd")]
    index = make_index([("amd64", images[0]), ("arm64", images[1])])
    bring_index(store, index, *images)

    save_image("app:v1", archive, root=root)

    found = contents(archive)
    expected = {Digest.of(index): index, **{one.descriptor.digest: one.manifest for one in images}}
    expected |= {digest: data for one in images for digest, data in one.blobs.items()}
    assert {name: data for name, data in found.items() if name.startswith("blobs/")} == {
        f"blobs/sha256/{digest.hex}": data for digest, data in expected.items()
    }


@pytest.mark.parametrize("form", FORMATS[:2])
def test_one_platform_is_saved_alone(store: Store, root: str, elsewhere: str, archive: str, form: Any) -> None:
    images = [make_foreign(TAR), make_foreign(UPPER, architecture="arm64")]
    bring_index(store, make_index([("amd64", images[0]), ("arm64", images[1])]), *images)

    save_image("app:v1", archive, root=root, platform=ARM64, form=form)
    load_images(archive, root=elsewhere)

    assert shown(elsewhere) == [(str(APP), str(images[1].config.digest))]


def test_a_docker_archive_holds_no_two_platforms(store: Store, root: str, archive: str) -> None:
    images = [make_foreign(TAR), make_foreign(UPPER, architecture="arm64")]
    bring_index(store, make_index([("amd64", images[0]), ("arm64", images[1])]), *images)

    with pytest.raises(UsageError, match="one platform") as caught:
        save_image("app:v1", archive, root=root, form="docker-archive")

    assert "--platform" in (caught.value.hint or "")
    assert not os.path.exists(archive)


def test_an_index_with_platforms_left_out_travels_as_it_is(
    store: Store, root: str, elsewhere: str, archive: str
) -> None:
    ours, theirs = make_foreign(TAR), make_foreign(UPPER, architecture="arm64")
    bring_index(store, make_index([("amd64", ours), ("arm64", theirs)]), ours)

    saved = save_image("app:v1", archive, root=root)
    (loaded,) = load_images(archive, root=elsewhere)

    assert (saved.absent, [one.digest for one in loaded.arrival.absent]) == (1, [theirs.descriptor.digest])
    assert is_sound(elsewhere)


def test_an_image_is_saved_by_its_id_without_a_name(root: str, built: Any, elsewhere: str, archive: str) -> None:
    save_image(built.id.hex[:12], archive, root=root)

    load_images(archive, root=elsewhere, references=[OTHER])

    assert shown(elsewhere) == [(str(OTHER), str(built.id))]


@pytest.mark.parametrize("before", [None, b"precious"], ids=["no file", "a file"])
def test_an_image_that_is_not_there_leaves_the_file_as_it_was(
    root: str, built: Any, archive: str, before: bytes | None
) -> None:
    if before is not None:
        Path(archive).write_bytes(before)

    with pytest.raises(ImageNotFoundError) as caught:
        save_image("ap:v1", archive, root=root)

    assert "app:v1" in (caught.value.hint or "")
    assert (Path(archive).read_bytes() if os.path.exists(archive) else None) == before


@pytest.mark.parametrize("silent", [False, True], ids=["written to", "rotten"])
def test_a_damaged_layer_leaves_the_file_as_it_was(
    root: str, built: Any, archive: str, tmp_path: Path, silent: bool
) -> None:
    Path(archive).write_bytes(b"precious")
    blob = Path(root, "blobs/sha256", built.layers[0].diff_id.hex)
    blob.chmod(0o644)
    blob.write_bytes(b"x" * built.layers[0].size)
    if silent:
        os.utime(blob, ns=(0, 0))

    with pytest.raises(BlobCorruptError):
        save_image("app:v1", archive, root=root)

    assert Path(archive).read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.tar", "store"]


@pytest.mark.parametrize("target", ["", "missing/image.tar"], ids=["a folder", "no folder"])
def test_a_place_that_cannot_be_written_is_refused_at_once(root: str, tmp_path: Path, target: str) -> None:
    with pytest.raises(UsageError, match="folder"):
        save_image("app:v1", str(tmp_path / target), root=root)


def test_a_store_that_is_not_there_is_not_made_by_saving(root: str, archive: str) -> None:
    with pytest.raises(ImageNotFoundError):
        save_image("app:v1", archive, root=root)

    assert not os.path.exists(root)


def contents(archive: str) -> dict[str, bytes]:
    """Return the files in a tar."""
    with tarfile.open(archive) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar if one.isfile()}  # type: ignore[union-attr]


def rewrite(archive: str, files: Mapping[str, bytes], *more: tarfile.TarInfo) -> None:
    """Write a tar with these files, and members that are no files."""
    with tarfile.open(archive, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in more:
            tar.addfile(member)


Change = Callable[[dict[str, bytes]], dict[str, bytes]]


def without(part: str) -> Change:
    return lambda files: {name: data for name, data in files.items() if part not in name}


def blob_names(files: Mapping[str, bytes]) -> list[str]:
    return sorted((name for name in files if name.startswith("blobs/")), key=lambda name: len(files[name]))


def spoil_largest(files: dict[str, bytes]) -> dict[str, bytes]:
    name = blob_names(files)[-1]
    return {**files, name: files[name][:-1] + b"!"}


def swap_largest(files: dict[str, bytes]) -> dict[str, bytes]:
    *_, second, first = blob_names(files)
    return {**files, first: files[second], second: files[first]}


def cut_largest(files: dict[str, bytes]) -> dict[str, bytes]:
    name = blob_names(files)[-1]
    return {**files, name: files[name][:-512]}


def drop_largest(files: dict[str, bytes]) -> dict[str, bytes]:
    return without(blob_names(files)[-1])(files)


def spoil_manifest(files: dict[str, bytes]) -> dict[str, bytes]:
    name = f"blobs/sha256/{json.loads(files['index.json'])['manifests'][0]['digest'][7:]}"
    return {**files, name: files[name] + b" "}


def replaced(name: str, data: bytes) -> Change:
    return lambda files: {**files, name: data}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(without("index.json"), "no archive of images: it holds", id="no index"),
        pytest.param(replaced("index.json", b"{"), "index.json cannot be understood", id="broken index"),
        pytest.param(replaced("index.json", b"[" * 100_000), "index.json cannot be understood", id="deep index"),
        pytest.param(replaced("index.json", b'{"manifests": []}'), "lists none", id="empty index"),
        pytest.param(replaced("index.json", b" " * (9 << 20)), "make sense", id="huge index"),
        pytest.param(replaced("oci-layout", b'{"imageLayoutVersion":"9"}'), "version '9'", id="newer layout"),
        pytest.param(without("blobs/"), "lacks 'blobs/", id="no blobs"),
        pytest.param(drop_largest, "lacks 'blobs/", id="a layer is missing"),
        pytest.param(spoil_largest, "was asked for", id="a layer is damaged"),
        pytest.param(swap_largest, "more than its|ended after", id="layers are swapped"),
        pytest.param(cut_largest, "ended after", id="a layer is cut off"),
        pytest.param(spoil_manifest, "is damaged", id="the manifest is damaged"),
        pytest.param(lambda _files: {}, "it is empty", id="empty"),
        pytest.param(lambda _files: {"a": b"", "b": b""}, "it holds 'a', 'b'", id="something else"),
        pytest.param(lambda files: {**files, "../evil": b""}, r"'\.\./evil'", id="above the root"),
        pytest.param(lambda files: {**files, "/../evil": b""}, "evil", id="above the root of all"),
        pytest.param(lambda files: {**files, "index.json/x": b""}, "index.json", id="below a file"),
    ],
)
def test_a_hostile_oci_archive_is_refused_and_nothing_is_shown(
    root: str, built: Any, elsewhere: str, archive: str, change: Change, expected: str
) -> None:
    save_image("app:v1", archive, root=root)
    rewrite(archive, change(contents(archive)))

    with pytest.raises(KubeimageError, match=expected):
        load_images(archive, root=elsewhere)

    assert shown(elsewhere) == []
    assert os.listdir(f"{elsewhere}/ingest") == []


def test_a_member_that_comes_twice_is_refused(root: str, built: Any, elsewhere: str, archive: str) -> None:
    save_image("app:v1", archive, root=root)
    rewrite(archive, contents(archive), tarfile.TarInfo("index.json"))

    with pytest.raises(ArchiveError, match="twice"):
        load_images(archive, root=elsewhere)


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.FIFOTYPE], ids=["device", "fifo"])
def test_a_member_of_another_kind_is_refused(root: str, built: Any, elsewhere: str, archive: str, kind: bytes) -> None:
    save_image("app:v1", archive, root=root)
    strange = tarfile.TarInfo("strange")
    strange.type = kind
    rewrite(archive, contents(archive), strange)

    with pytest.raises(ArchiveError, match="strange"):
        load_images(archive, root=elsewhere)


def test_a_symlink_leads_to_no_file_outside(
    root: str, built: Any, elsewhere: str, archive: str, tmp_path: Path
) -> None:
    save_image("app:v1", archive, root=root)
    files = contents(archive)
    (tmp_path / "index.json").write_bytes(files.pop("index.json"))
    link = tarfile.TarInfo("index.json")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "index.json")
    rewrite(archive, files, link)

    with pytest.raises(ArchiveError, match="no archive of images"):
        load_images(archive, root=elsewhere)


def docker_files(*tars: bytes, config: Mapping[str, Any] | None = None) -> dict[str, bytes]:
    value = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(tar)) for tar in tars]},
        **(config or {}),
    }
    data = json.dumps(value).encode()
    name = f"{hashlib.sha256(data).hexdigest()}.json"
    listed = [{"Config": name, "RepoTags": ["app:v1"], "Layers": [f"{n}/layer.tar" for n in range(len(tars))]}]
    return {
        name: data,
        **{f"{number}/layer.tar": tar for number, tar in enumerate(tars)},
        "manifest.json": json.dumps(listed).encode(),
    }


def test_a_docker_archive_may_link_and_compress_its_layers(elsewhere: str, archive: str) -> None:
    files = docker_files(TAR, UPPER, TAR)
    files["1/layer.tar"] = gzip.compress(UPPER)
    del files["2/layer.tar"]
    link = tarfile.TarInfo("2/layer.tar")
    link.type, link.linkname = tarfile.SYMTYPE, "../0/layer.tar"
    rewrite(archive, files, link)

    load_images(archive, root=elsewhere)

    with Store.open(elsewhere) as store:
        image = store.images.get(APP)
        assert image is not None
        assert [layer.diff_id for layer in image.layers] == [Digest.of(one) for one in (TAR, UPPER, TAR)]
        assert store.check() == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(replaced("0/layer.tar", UPPER), "ended after|more than|was asked for", id="another layer"),
        pytest.param(without("0/layer.tar"), "lacks '0/layer.tar'", id="a layer is missing"),
        pytest.param(without("manifest.json"), "no archive of images", id="no manifest"),
        pytest.param(replaced("manifest.json", b"{}"), "lists none|understood", id="no list"),
        pytest.param(replaced("manifest.json", b"[]"), "lists none", id="empty list"),
        pytest.param(replaced("manifest.json", b'[{"Config": 1}]'), "cannot be understood", id="no image"),
        pytest.param(
            replaced("manifest.json", b'[{"Config": "0/layer.tar", "Layers": []}]'), "no image config", id="no config"
        ),
        pytest.param(
            lambda files: {**files, "manifest.json": files["manifest.json"].replace(b"app:v1", b"APP")},
            "calls an image 'APP'",
            id="no name",
        ),
    ],
)
def test_a_hostile_docker_archive_is_refused_and_nothing_is_shown(
    elsewhere: str, archive: str, change: Change, expected: str
) -> None:
    rewrite(archive, change(docker_files(TAR)))

    with pytest.raises(KubeimageError, match=expected):
        load_images(archive, root=elsewhere)

    assert shown(elsewhere) == []


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_a_bomb_is_refused(elsewhere: str, archive: str, pack: Callable[[bytes], bytes]) -> None:
    Path(archive).write_bytes(pack(bytes(8 << 20)))

    with pytest.raises(ArchiveError, match="more than"):
        load_images(archive, root=elsewhere, budget=Budget(total=1 << 20))

    assert os.listdir(f"{elsewhere}/ingest") == []


@pytest.mark.parametrize(
    "data",
    [b"", b"hello\n", bytes(300), gzip.compress(b"hello"), b"\x1f\x8b\x08broken"],
    ids=["empty", "text", "zeros", "compressed text", "broken gzip"],
)
def test_what_is_no_archive_is_refused(elsewhere: str, archive: str, data: bytes) -> None:
    Path(archive).write_bytes(data)

    with pytest.raises(ArchiveError):
        load_images(archive, root=elsewhere)


@pytest.mark.parametrize(("pack", "name"), [(lzma.compress, "xz"), (bz2.compress, "bzip2")])
@pytest.mark.parametrize("spoil", [lambda data: data[:-20], lambda data: data[:40] + b"x" * 40 + data[80:]])
def test_a_damaged_archive_is_called_by_what_it_is_compressed_with(
    elsewhere: str, archive: str, pack: Callable[[bytes], bytes], name: str, spoil: Callable[[bytes], bytes]
) -> None:
    Path(archive).write_bytes(spoil(pack(os.urandom(5000))))

    with pytest.raises(ArchiveError, match=f"compressed with {name}"):
        load_images(archive, root=elsewhere)


OTHER_THINGS = {
    "empty": (b"", "the file is empty"),
    "text": (b"apiVersion: v1\n" * 100, "it is no tar"),
    "a little text": (b"hello\n", "it is no tar"),
    "compressed text": (gzip.compress(b"hello\n" * 500), "it is no tar"),
}


@pytest.mark.parametrize(("data", "expected"), OTHER_THINGS.values(), ids=OTHER_THINGS)
def test_what_is_no_tar_is_not_called_a_damaged_one(elsewhere: str, archive: str, data: bytes, expected: str) -> None:
    Path(archive).write_bytes(data)

    with pytest.raises(ArchiveError, match=expected) as caught:
        load_images(archive, root=elsewhere)

    assert "damaged" not in (caught.value.hint or "")


OTHER_ARCHIVES = {
    "a Helm chart": ({"c/Chart.yaml": b"name: c"}, "a Helm chart"),
    "docker export": ({"bin/sh": b"x", "etc/passwd": b"r"}, "docker export"),
    "skopeo's dir:": ({"version": b"1.1", "manifest.json": b'{"schemaVersion":2}'}, "dir: form"),
    "old docker save": ({"repositories": b"{}", f"{'1' * 64}/layer.tar": b""}, "before version 1.10"),
}


@pytest.mark.parametrize(("files", "expected"), OTHER_ARCHIVES.values(), ids=OTHER_ARCHIVES)
def test_an_archive_of_something_else_is_called_by_its_name(
    elsewhere: str, archive: str, files: Mapping[str, bytes], expected: str
) -> None:
    rewrite(archive, files)

    with pytest.raises(ArchiveError, match=expected) as caught:
        load_images(archive, root=elsewhere)

    assert caught.value.hint


@given(st.data())
def test_whatever_an_archive_lists_is_loaded_or_refused_in_our_words(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("archives")
    config = b'{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}'
    listed = [{"Config": "c.json", "Layers": [], "RepoTags": ["a:b"]}]
    way = data.draw(st.sampled_from(list(places(listed))))
    odd = data.draw(st.sampled_from(ODD) | st.sampled_from(["../../etc/passwd", "c.json/", [["c.json"]]]))
    rewrite(f"{folder}/a.tar", {"manifest.json": json.dumps(with_part(listed, way, odd)).encode(), "c.json": config})

    said = ""
    try:
        load_images(f"{folder}/a.tar", root=f"{folder}/store")
    except KubeimageError as error:
        said = error.message
    assert not PYTHONS_WORDS.search(said)


@pytest.mark.parametrize("listed", [b"null", b"[]"])
def test_of_a_nameless_image_of_docker_25_its_own_list_counts(elsewhere: str, archive: str, listed: bytes) -> None:
    image = make_foreign(TAR, kind="none")
    files = {f"blobs/sha256/{digest.hex}": data for digest, data in image.blobs.items()}
    config, layers = image.config.digest.hex, [f"blobs/sha256/{one.digest.hex}" for one in image.layers]
    own = [{"Config": f"blobs/sha256/{config}", "RepoTags": None, "Layers": layers}]
    files |= {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": b'{"schemaVersion":2,"manifests":%b}' % listed,
        "manifest.json": json.dumps(own).encode(),
    }
    rewrite(archive, files)

    (loaded,) = load_images(archive, root=elsewhere)

    assert [image_id for _, _, image_id in loaded.arrival.images] == [image.config.digest]


@pytest.mark.parametrize("nesting", NESTINGS.values(), ids=NESTINGS)
def test_indexes_inside_an_index_travel_in_a_file(
    root: str, store: Store, elsewhere: str, archive: str, nesting: Callable[..., tuple[bytes, list[bytes]]]
) -> None:
    images = [make_foreign(TAR), make_foreign(UPPER, architecture="arm64")]
    top, inner = nesting(*images)
    with store.importing() as importer:
        for data in inner:
            importer.put_manifest(data)
        for image in images:
            image.put_blobs(importer)
            importer.put_manifest(image.manifest)
        importer.commit(top, [APP])

    save_image("app:v1", archive, root=root)
    (loaded,) = load_images(archive, root=elsewhere)

    assert loaded.arrival.top.digest == Digest.of(top)
    assert len(loaded.arrival.images) == 2
    assert is_sound(elsewhere)


def test_of_two_images_none_is_loaded_where_one_is_damaged(
    root: str, store: Store, elsewhere: str, archive: str
) -> None:
    files = docker_files(TAR)
    other = docker_files(UPPER, config={"author": "x"})
    listed = json.loads(files["manifest.json"]) + json.loads(other["manifest.json"].replace(b"0/layer", b"1/layer"))
    both = {**other, **files, "1/layer.tar": UPPER, "manifest.json": json.dumps(listed).encode()}
    rewrite(archive, both)
    load_images(archive, root=root)
    rewrite(archive, {**both, "1/layer.tar": UPPER[:-512]})

    with pytest.raises(BlobCorruptError):
        load_images(archive, root=elsewhere)

    assert (len(store.images.records()), shown(elsewhere)) == (1, [])


def test_several_images_cannot_have_one_name(elsewhere: str, archive: str) -> None:
    files = docker_files(TAR)
    rewrite(archive, {**files, "manifest.json": json.dumps(json.loads(files["manifest.json"]) * 2).encode()})

    with pytest.raises(UsageError, match="2 images"):
        load_images(archive, root=elsewhere, references=[OTHER])


def test_a_file_that_is_not_there_is_an_error(elsewhere: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file"):
        load_images(str(tmp_path / "none"), root=elsewhere)
    with pytest.raises(UsageError, match="is a folder"):
        load_images(str(tmp_path), root=elsewhere)


def test_loading_again_reads_only_what_is_needed(root: str, built: Any, elsewhere: str, archive: str) -> None:
    save_image("app:v1", archive, root=root)
    load_images(archive, root=elsewhere)
    before = {path: path.stat().st_ctime_ns for path in Path(elsewhere, "blobs/sha256").iterdir()}

    load_images(archive, root=elsewhere)

    assert {path: path.stat().st_ctime_ns for path in before} == before


def test_an_image_that_came_compressed_is_saved_for_docker_without_keeping_its_tars(
    store: Store, root: str, archive: str, elsewhere: str
) -> None:
    foreign = make_foreign(TAR, UPPER)
    bring(store, foreign)

    save_image("app:v1", archive, root=root, form="docker-archive")
    load_images(archive, root=elsewhere)

    assert shown(elsewhere) == [(str(APP), str(foreign.config.digest))]
    assert not Path(root, "blobs/sha256", Digest.of(TAR).hex).exists()
