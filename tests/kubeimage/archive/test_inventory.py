"""Inventories, written and read back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.archive.inventory import KINDS, Inventory, InventoryRow, make_inventory
from kubeimage.cli.output import format_json, format_table
from kubeimage.errors import ArchiveError
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from tests.properties.examples import examples

APP = Reference.parse("docker.io/library/app:v1")
ONE, TWO = Digest.of(b"1"), Digest.of(b"2")

names = st.sampled_from([None, APP, Reference.parse("r.io/a/b:v2"), Reference.parse(f"r.io/c@{ONE}")])
rows = st.builds(
    InventoryRow,
    st.sampled_from(KINDS),
    st.binary(max_size=2).map(Digest.of),
    st.none() | st.integers(0, 1 << 60),
    names,
)


@examples(1)
@given(st.lists(rows, max_size=6))
def test_both_forms_are_read_back(listed: list[InventoryRow]) -> None:
    inventory = make_inventory(listed)

    table = format_table(inventory.header, inventory.cells())

    assert Inventory.parse(table.encode(), what="table") == inventory
    assert Inventory.parse(format_json(inventory.to_json()).encode(), what="json") == inventory
    assert Inventory.parse(json.dumps(inventory.to_json()).encode(), what="json").digests == inventory.digests


def test_a_list_of_digests_is_an_inventory() -> None:
    inventory = Inventory.parse(f"# from the site\n\n{ONE}\n  {TWO}\n{ONE}\n".encode(), what="list")

    assert [row.digest for row in inventory.rows] == [ONE, TWO]
    assert inventory.digests == {ONE, TWO}
    assert not inventory.images
    assert inventory.owner_of(ONE) is None


def test_what_names_lead_to_and_who_has_a_blob_is_known() -> None:
    inventory = make_inventory(
        [InventoryRow("image", ONE, 3, APP), InventoryRow("layer", TWO, 9), InventoryRow("layer", TWO, 9, APP)]
    )

    assert inventory.images == {APP: ONE}
    assert [inventory.owner_of(one) for one in (ONE, TWO)] == [APP, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello there", "in:1: a line of an inventory has a kind, a digest, a size and an image"),
        ("# x\nsha256:12", "in:2: "),
        (f"lair {ONE} 1 -", "in:1: an inventory lists image, manifest, config, layer, blob, found 'lair'"),
        (f"layer {ONE} -1 -", "in:1: a size is a number of bytes, found '-1'"),
        (f"layer {ONE} 1 UPPER", "in:1: "),
        ("{", "in is no inventory"),
        ('{"version": 2}', "in is an inventory of version 2; this kubeimage reads 1"),
        ('{"version": 1}', "in is no inventory"),
        ('{"version": 1, "blobs": 3}', "in is no inventory"),
        ('{"version": 1, "blobs": [{}]}', "in is no inventory"),
        (
            json.dumps({"version": 1, "blobs": [{"kind": "layer", "digest": "x", "size": None, "image": None}]}),
            "in: blob 1: ",
        ),
    ],
)
def test_what_is_no_inventory_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ArchiveError) as caught:
        Inventory.parse(text.encode(), what="in")

    assert message in caught.value.message
    assert "Error" not in caught.value.message
