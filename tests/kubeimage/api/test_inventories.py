"""What a place has, and bundles that leave it out: loaded there with the same ids, told where it is not there."""

import io
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest

from harness.contracts import make_image, one_file
from kubeimage.api.archives import ArchiveFormat
from kubeimage.api.backends import open_backends
from kubeimage.api.inventories import Inventory, find_inventory, take_inventory
from kubeimage.api.loading import check_archives
from kubeimage.archive.bundle import BUNDLE
from kubeimage.errors import ArchiveError, ImageNotFoundError, UsageError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.layer.compression import Coding
from kubeimage.store import Store
from tests.kubeimage.store.foreign import make_foreign, make_index
from tests.kubeimage.store.test_arrivals import TAR, UPPER, bring_index
from tests.oneshot import load_images, save_image

FORMATS: list[ArchiveFormat] = ["oci-archive", "docker-archive", "sealer"]
V1, V2 = Reference.parse("app:v1"), Reference.parse("app:v2")


def blob(number: int, size: int = 30_000) -> bytes:
    return random.Random(number).randbytes(size)


class Site:
    """A store in a folder."""

    def __init__(self, folder: Path) -> None:
        self.root = str(folder)

    def put(self, name: Reference, *numbers: int) -> Image:
        with Store.open(self.root) as store:
            layers = [store.layers.put(one_file(blob(number), f"file{number}")) for number in numbers]
            image = make_image(layers, cmd=str(name))
            store.images.put(image, [name])
            return image

    def inventory(self, name: str | None = None) -> Inventory:
        with open_backends(self.root, access="read") as backends:
            return take_inventory(name, backends)

    def find(self, source: str) -> Inventory:
        with open_backends(self.root, access="read") as backends:
            return find_inventory(source, backends)

    def images(self) -> dict[str, Digest]:
        with Store.open(self.root, create=False) as store:
            return {str(one.reference): one.image_id for one in store.images.records()}

    def is_sound(self) -> bool:
        with Store.open(self.root, create=False) as store:
            return not any(found.damage for found in store.check())


@pytest.fixture
def home(tmp_path: Path) -> Site:
    """Have two versions of an application, of three layers each, of which they share two."""
    site = Site(tmp_path / "home")
    site.put(V1, 1, 2, 3)
    site.put(V2, 1, 2, 4)
    return site


@pytest.fixture
def away(home: Site, tmp_path: Path) -> Site:
    """Have the first version."""
    save_image("app:v1", str(tmp_path / "first.tar"), root=home.root)
    site = Site(tmp_path / "away")
    load_images(str(tmp_path / "first.tar"), root=site.root)
    return site


@pytest.fixture
def notes() -> list[str]:
    return []


def test_a_store_s_inventory_has_every_blob_of_every_image_once(home: Site) -> None:
    inventory = home.inventory()

    assert inventory.images.keys() == {V1, V2}
    assert [row.kind for row in inventory.rows] == ["image", "config", *(3 * ["layer"]), "image", "config", "layer"]
    assert sum(row.size or 0 for row in inventory.rows if row.kind == "layer") > 120_000
    assert {row.digest for row in home.inventory("app:v1").rows} < inventory.digests


def test_an_empty_store_has_nothing(tmp_path: Path) -> None:
    assert Site(tmp_path / "none").inventory() == Inventory(())
    assert not (tmp_path / "none").exists()


def test_an_image_that_is_damaged_is_left_out_and_named(home: Site) -> None:
    layer = home.inventory("app:v2").rows[-1]
    path = Path(home.root, "blobs/sha256", layer.digest.hex)
    path.chmod(0o644)
    path.write_bytes(b"")

    inventory = home.inventory()

    assert inventory.images.keys() == {V1}
    assert layer.digest not in inventory.digests
    assert [str(V2) in warning for warning in inventory.warnings] == [True]


@pytest.mark.parametrize("form", FORMATS[:2])
def test_an_archive_lists_what_who_loads_it_has(home: Site, tmp_path: Path, form: ArchiveFormat) -> None:
    save_image("app:v1", str(tmp_path / "a.tar"), root=home.root, form=form)

    found = home.find(str(tmp_path / "a.tar"))

    layers = {row.digest for row in found.rows if row.kind == "layer"}
    assert layers == {row.digest for row in home.inventory("app:v1").rows if row.kind == "layer"}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("split", [None, 25_000], ids=["one file", "parts"])
def test_a_difference_loads_where_the_rest_is(
    home: Site, away: Site, tmp_path: Path, form: ArchiveFormat, split: int | None
) -> None:
    out = str(tmp_path / "difference")
    if form == "sealer":
        save_image("app:v1", str(tmp_path / "sealer.tar"), root=home.root, form=form)
        load_images(str(tmp_path / "sealer.tar"), root=away.root)
    since = home.find(str(tmp_path / "sealer.tar")) if form == "sealer" else away.inventory()

    saved = save_image("app:v2", out, root=home.root, form=form, since=since, split=split)
    load_images(out, root=away.root)

    assert len(saved.left_out) == 2
    assert sum(Path(one).stat().st_size for one in saved.files) < 45_000 + 9_000 * len(saved.files)
    assert away.images() == home.images()
    assert away.is_sound()


def test_a_difference_of_a_docker_archive_takes_layers_that_are_compressed_there(home: Site, tmp_path: Path) -> None:
    away = Site(tmp_path / "away")
    save_image("app:v1", str(tmp_path / "first.tar"), root=home.root, coding=Coding("zstd"))
    load_images(str(tmp_path / "first.tar"), root=away.root)
    since = home.inventory("app:v1")

    save_image("app:v2", str(tmp_path / "d.tar"), root=home.root, form="docker-archive", since=since)
    load_images(str(tmp_path / "d.tar"), root=away.root)

    assert away.images() == home.images()
    assert away.is_sound()


def test_manifests_and_configs_always_travel(home: Site, away: Site, tmp_path: Path) -> None:
    save_image("app:v1", str(tmp_path / "all.tar"), root=home.root, since=away.inventory())

    with tarfile.open(tmp_path / "all.tar") as tar:
        names = set(tar.getnames())
    rows = home.inventory("app:v1").rows
    assert {row.kind for row in rows if f"blobs/sha256/{row.digest.hex}" in names} == {"image", "config"}


def test_since_nothing_is_the_whole_archive(home: Site, tmp_path: Path) -> None:
    save_image("app:v1", str(tmp_path / "whole"), root=home.root)
    save_image("app:v1", str(tmp_path / "since"), root=home.root, since=Inventory(()))

    assert (tmp_path / "since").read_bytes() == (tmp_path / "whole").read_bytes()


def test_one_command_loads_an_image_and_differences_to_it_in_any_order(home: Site, tmp_path: Path) -> None:
    home.put(Reference.parse("app:v3"), 1, 4, 5)
    paths = []
    since = None
    for version in ("v1", "v2", "v3"):
        paths.append(str(tmp_path / f"{version}.tar"))
        save_image(f"app:{version}", paths[-1], root=home.root, since=since)
        since = home.find(paths[-1])
    away = Site(tmp_path / "away")

    load_images(paths[::-1], root=away.root)

    assert away.images() == home.images()
    assert away.is_sound()


def test_what_a_difference_needs_and_is_not_there_is_named_and_nothing_is_shown(
    home: Site, away: Site, tmp_path: Path
) -> None:
    save_image("app:v2", str(tmp_path / "d.tar"), root=home.root, since=away.inventory())
    fresh = Site(tmp_path / "fresh")

    with pytest.raises(ArchiveError, match="leaves out 2 layers that this store does not have") as caught:
        load_images(str(tmp_path / "d.tar"), root=fresh.root)

    assert f"of {V1}" in caught.value.message
    assert str(caught.value.hint).startswith(f"load {V1} first")
    assert fresh.images() == {}


def test_where_the_store_is_not_as_its_inventory_said_is_told_before_anything_is_shown(
    home: Site, away: Site, tmp_path: Path, notes: list[str]
) -> None:
    since = away.inventory()
    save_image("app:v2", str(tmp_path / "d.tar"), root=home.root, since=since)
    moved = Site(tmp_path / "moved")
    moved.put(V1, 1, 2)
    moved.put(V2, 4)
    before = moved.images()

    def notice(message: str) -> None:
        assert moved.images() == before
        notes.append(message)

    load_images(str(tmp_path / "d.tar"), root=moved.root, notice=notice)

    said = "\n".join(notes)
    assert f"{V1} was {since.images[V1]} when its layers were left out, and is " in said
    assert "this store has 1 layer more than its inventory said" in said
    assert f"{V2} moves from " in said
    assert moved.is_sound()


def test_a_name_that_is_gone_is_told(home: Site, away: Site, tmp_path: Path, notes: list[str]) -> None:
    save_image("app:v2", str(tmp_path / "d.tar"), root=home.root, since=away.inventory())
    with Store.open(away.root) as store:
        store.images.tag(V1, Reference.parse("kept:v1"))
        store.images.remove(V1)

    load_images(str(tmp_path / "d.tar"), root=away.root, notice=notes.append)

    assert notes == [f"{V1}, which has layers that were left out, is no name in this store now"]


def test_nothing_is_told_where_all_is_as_it_was(home: Site, away: Site, tmp_path: Path, notes: list[str]) -> None:
    save_image("app:v2", str(tmp_path / "d.tar"), root=home.root, since=away.inventory())

    load_images(str(tmp_path / "d.tar"), root=away.root, notice=notes.append)

    assert notes == []


def test_a_bundle_s_description_is_only_where_something_is_left_out(home: Site, away: Site, tmp_path: Path) -> None:
    save_image("app:v2", str(tmp_path / "d.tar"), root=home.root, since=away.inventory())
    save_image("app:v2", str(tmp_path / "w.tar"), root=home.root)

    with tarfile.open(tmp_path / "d.tar") as difference, tarfile.open(tmp_path / "w.tar") as whole:
        assert (BUNDLE in difference.getnames(), BUNDLE in whole.getnames()) == (True, False)


@pytest.fixture
def parts(home: Site, away: Site, tmp_path: Path) -> list[Path]:
    """Have a difference in parts, beside the folder that they were saved in."""
    home.put(V2, 1, *range(10, 16))
    saved = save_image("app:v2", str(tmp_path / "parts"), root=home.root, since=away.inventory(), split=35_000)
    return [Path(one) for one in saved.files]


def test_seven_parts_load_in_any_order_or_as_a_folder(
    home: Site, away: Site, parts: list[Path], tmp_path: Path
) -> None:
    assert [one.name for one in parts] == [f"parts.{number}of7.tar" for number in range(1, 8)]
    other = Site(tmp_path / "other")
    load_images(str(tmp_path / "first.tar"), root=other.root)

    load_images([str(one) for one in (*parts[3:], *parts[:3])], root=away.root)
    load_images(str(tmp_path / "parts"), root=other.root)

    assert away.images() == other.images() == home.images()
    assert away.is_sound()


def lose(parts: list[Path]) -> str:
    parts[4].unlink()
    return "part 5 is missing of the 7"


def cut(parts: list[Path]) -> str:
    parts[2].write_bytes(parts[2].read_bytes()[:9_000])
    return "parts.3of7.tar"


def empty(parts: list[Path]) -> str:
    parts[2].write_bytes(b"")
    return "parts.3of7.tar"


def spoil(parts: list[Path]) -> str:
    data = bytearray(parts[6].read_bytes())
    data[12_000] ^= 1
    parts[6].write_bytes(bytes(data))
    return "parts.7of7.tar is damaged"


def put_twice(parts: list[Path]) -> str:
    parts[1].write_bytes(parts[0].read_bytes())
    return "part 2 is missing of the 7"


@pytest.mark.parametrize("harm", [lose, cut, empty, spoil, put_twice])
def test_a_part_that_is_lost_cut_or_swapped_is_named_and_nothing_is_shown(
    away: Site, parts: list[Path], tmp_path: Path, harm: Any
) -> None:
    expected, before = harm(parts), away.images()

    with pytest.raises(ArchiveError) as caught:
        load_images(str(tmp_path / "parts"), root=away.root)

    assert expected in caught.value.message
    assert away.images() == before
    assert away.is_sound()


def test_parts_are_verified_each_alone(away: Site, parts: list[Path]) -> None:
    with open_backends(away.root, access="look") as backends:
        assert check_archives(str(parts[2]), backends) == [
            f"{parts[2]}: part 3 of 7 of {V2}, whole",
        ]
        spoil(parts)
        with pytest.raises(ArchiveError, match=r"7of7.tar is damaged"):
            check_archives([str(one) for one in parts], backends)
        with pytest.raises(UsageError, match="is no part of a bundle"):
            check_archives(str(parts[0].parent.parent / "first.tar"), backends)


def test_everything_wrong_with_several_files_is_told_at_once(away: Site, parts: list[Path], tmp_path: Path) -> None:
    cut(parts)
    spoiled = bytearray(parts[5].read_bytes())
    spoiled[600] ^= 1
    parts[5].write_bytes(bytes(spoiled))
    (tmp_path / "parts/notes.txt").write_text("not an archive")

    with pytest.raises(ArchiveError) as caught:
        load_images(str(tmp_path / "parts"), root=away.root)

    assert all(name in caught.value.message for name in ("parts.3of7.tar", "parts.6of7.tar", "notes.txt"))
    assert "parts 3, 6 are missing of the 7" in caught.value.message


@pytest.mark.parametrize(
    ("output", "split", "message"),
    [
        ("-", 100_000, "parts go into a folder"),
        ("there", 100_000, "is not empty"),
        ("new", 3_000, "have no room for what each says"),
        ("none/new", 100_000, "there is no folder"),
    ],
)
def test_parts_that_cannot_be_written_are_refused_before_anything_is(
    home: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, split: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "there/precious").write_text("1")
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(UsageError, match=message):
        save_image("app:v2", output, root=home.root, split=split)

    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("source", ["gone:v9", "oci-archive:gone.tar", "/gone.txt"])
def test_what_is_nowhere_is_no_inventory(home: Site, source: str) -> None:
    with pytest.raises((ImageNotFoundError, UsageError, ArchiveError)) as caught:
        home.find(source)

    assert "Errno" not in str(caught.value)


def test_an_inventory_in_a_file_is_found(home: Site, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{Digest.of(b'1')}\n")

    assert home.find(str(tmp_path / "list")).digests == {Digest.of(b"1")}
    assert home.find("app:v1").images.keys() == {V1}
    with pytest.raises(ArchiveError, match="list:1"):
        (tmp_path / "list").write_text("no inventory at all\n")
        home.find(str(tmp_path / "list"))


def test_an_image_outside_the_store_is_listed_for_all_its_platforms(tmp_path: Path, home: Site) -> None:
    images = [make_foreign(TAR), make_foreign(UPPER, architecture="arm64")]
    index = make_index([("amd64", images[0]), ("arm64", images[1])])
    with Store.open(home.root) as store:
        bring_index(store, index, *images)
    save_image("app:v1", str(tmp_path / "both.tar"), root=home.root)

    found = home.inventory(f"oci-archive:{tmp_path / 'both.tar'}")

    assert found.rows[0].digest == Digest.of(index)
    assert {row.digest for row in found.rows} == {row.digest for row in home.inventory("app:v1").rows}


@pytest.fixture
def folder_of_nothing(tmp_path: Path) -> str:
    (tmp_path / "nothing").mkdir()
    return str(tmp_path / "nothing")


def test_a_folder_without_files_is_no_archive(away: Site, folder_of_nothing: str) -> None:
    with pytest.raises(UsageError, match="there is no file in the folder"):
        load_images(folder_of_nothing, root=away.root)


def test_an_archive_of_no_image_is_no_inventory(home: Site, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("file"), io.BytesIO())

    with pytest.raises(ArchiveError, match="this is no archive of images"):
        home.find(str(tmp_path / "other.tar"))
