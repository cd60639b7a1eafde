"""The first difference of two images: layer, path, bytes and kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.rebuild.differ import Difference, find_difference
from kubeimage import open_backends, open_image
from tests.imageroots import Put, RootImage, layer_tar

Layer = dict[str, Put]
BASE: Layer = {
    "bin/": Put(folder=True, mode=0o755),
    "bin/a": Put(b"a" * 700, 0o755),
    "bin/b": Put(b"b" * 10),
    "link": Put(link="bin/a"),
    "z": Put(b""),
}


def compare(folder: Path, one: Sequence[Layer], two: Sequence[Layer], **config: object) -> Difference | None:
    first = RootImage(list(one)).write_docker_archive(folder / "one.tar")
    second = RootImage(list(two), config).write_docker_archive(folder / "two.tar")
    with open_backends(str(folder / "store"), access="read") as backends:
        return find_difference(*(open_image(f"docker-archive:{path}", backends) for path in (first, second)))


def found(difference: Difference | None) -> tuple[tuple[str, ...], str, int | None]:
    assert difference is not None
    return difference.kinds, difference.path, difference.layer


CHANGES: dict[str, Callable[[Put], Put]] = {
    "mtime": lambda put: replace(put, mtime=put.mtime + 7),
    "owner": lambda put: replace(put, owner=(put.owner[0], put.owner[1] + 3)),
    "mode": lambda put: replace(put, mode=put.mode ^ 0o020),
    "content": lambda put: replace(put, content=put.content[:-1] + bytes([put.content[-1] ^ 1])),
}
PUTS = st.builds(
    Put,
    st.binary(min_size=1, max_size=1500),
    st.sampled_from([0o644, 0o755, 0o600]),
    st.tuples(st.integers(0, 2000), st.integers(0, 2000)),
    mtime=st.integers(0, 2_000_000_000),
)
LAYERS = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), PUTS, min_size=2, max_size=6)


@settings(deadline=None, max_examples=30)
@given(st.lists(LAYERS, min_size=1, max_size=3), st.data())
def test_one_change_is_found_where_it_is(
    tmp_path_factory: pytest.TempPathFactory, layers: list[Layer], data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, len(layers) - 1))
    path = data.draw(st.sampled_from(sorted(layers[number])))
    kind = data.draw(st.sampled_from(sorted(CHANGES)))
    changed = {**layers[number], path: CHANGES[kind](layers[number][path])}
    others = [*layers[:number], changed, *layers[number + 1 :]]

    difference = compare(tmp_path_factory.mktemp("pair"), layers, others)

    assert found(difference) == ((kind,), path, number + 1)
    assert difference is not None
    before, after = layer_tar(layers[number]), layer_tar(changed)
    differing = [at for at in range(len(before)) if before[at] != after[at]]
    assert (difference.first, difference.last) == (differing[0], differing[-1])
    assert difference.counts == ((kind, 1),)


@settings(deadline=None, max_examples=30)
@given(LAYERS, st.data())
def test_another_order_is_found_at_its_first_entry(
    tmp_path_factory: pytest.TempPathFactory, layer: Layer, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(list(layer)))

    difference = compare(tmp_path_factory.mktemp("pair"), [layer], [{path: layer[path] for path in order}])

    if order == list(layer):
        assert difference is None
    else:
        first = next(path for path, other in zip(layer, order, strict=True) if path != other)
        assert found(difference) == (("order",), first, 1)


def test_images_that_are_alike_do_not_differ(tmp_path: Path) -> None:
    assert compare(tmp_path, [BASE, {"y": Put(b"y")}], [BASE, {"y": Put(b"y")}]) is None


@pytest.mark.parametrize(
    ("other", "kinds", "path"),
    [
        ({**BASE, "new": Put(b"x")}, ("content",), "new"),
        ({path: put for path, put in BASE.items() if path != "z"}, ("content",), "z"),
        ({path: put for path, put in BASE.items() if path != "bin/b"}, ("content",), "bin/b"),
        ({**BASE, "link": Put(link="bin/b")}, ("content",), "link"),
        ({**BASE, "link": Put(b"")}, ("content",), "link"),
        ({**BASE, "bin/a": Put(b"a" * 800, 0o755, mtime=5)}, ("mtime", "content"), "bin/a"),
    ],
)
def test_what_is_new_gone_or_of_another_type(tmp_path: Path, other: Layer, kinds: tuple[str, ...], path: str) -> None:
    difference = compare(tmp_path, [BASE], [other])

    assert difference is not None
    assert (set(difference.kinds), difference.path) == (set(kinds), path)


def test_a_large_file_is_compared_piece_by_piece(tmp_path: Path) -> None:
    data = bytearray(3 << 20)
    other = bytearray(data)
    other[2_500_000] = other[2_999_999] = 1

    difference = compare(tmp_path, [{"large": Put(bytes(data))}], [{"large": Put(bytes(other))}])

    assert difference is not None
    assert (difference.first, difference.last) == (512 + 2_500_000, 512 + 2_999_999)
    assert difference.details == ("content: bytes 2500000-2999999 of the file's 3145728",)


def test_another_number_of_layers(tmp_path: Path) -> None:
    assert found(compare(tmp_path, [BASE], [BASE, BASE])) == (("content",), "the layer itself", 2)


def test_the_config_is_told_by_its_key(tmp_path: Path) -> None:
    difference = compare(tmp_path, [BASE], [BASE], Cmd=["a"])

    assert found(difference) == (("config",), "config.Cmd", None)
    assert list(difference.lines() if difference else ()) == [
        "the config: config.Cmd differs in its config",
        'null, and ["a"]',
    ]


def test_layers_that_are_compressed_otherwise(tmp_path: Path) -> None:
    import gzip

    folder = RootImage([BASE]).write_oci_layout(tmp_path / "one")
    other = RootImage([BASE]).write_oci_layout(tmp_path / "two")
    tar = layer_tar(BASE)
    _replace_blob(other, gzip.compress(tar, 1, mtime=0), gzip.compress(tar, 9, mtime=5))
    with open_backends(str(tmp_path / "store"), access="read") as backends:
        difference = find_difference(*(open_image(f"oci:{path}", backends) for path in (folder, other)))

    assert found(difference) == (("compression",), "the compressed blob", 1)


def _replace_blob(folder: Path, old: bytes, new: bytes) -> None:
    """Let a layout have another layer blob in place of one."""
    import hashlib

    index = json.loads((folder / "index.json").read_text())
    place = folder / "blobs/sha256" / index["manifests"][0]["digest"].partition(":")[2]
    manifest = json.loads(place.read_text())
    assert manifest["layers"][0]["digest"] == f"sha256:{hashlib.sha256(old).hexdigest()}"
    manifest["layers"][0].update(digest=f"sha256:{hashlib.sha256(new).hexdigest()}", size=len(new))
    for data in (new, json.dumps(manifest).encode()):
        (folder / "blobs/sha256" / hashlib.sha256(data).hexdigest()).write_bytes(data)
    text = json.dumps(manifest).encode()
    index["manifests"][0].update(digest=f"sha256:{hashlib.sha256(text).hexdigest()}", size=len(text))
    (folder / "index.json").write_text(json.dumps(index))
