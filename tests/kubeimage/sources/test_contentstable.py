"""eStargz and zstd:chunked: by their tables they are what they are as tars, for fewer bytes."""

import base64
import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import pytest
import zstandard

from kubeimage.errors import BlobCorruptError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.referrers import ReferrerChoice
from kubeimage.image.referring import FoundReferrer, Referrers
from kubeimage.layer.reader import iter_contents
from kubeimage.layer.topmost import open_topmost
from kubeimage.layer.views import open_view
from kubeimage.sources.contents import SourceLayers
from kubeimage.sources.contentstable import ESTARGZ_DIGEST, ZSTD_DIGEST, ZSTD_POSITION

LARGE = random.Random(1).randbytes(1_000_000)
CHUNK = 300_000
FILES: list[tuple[str, str, bytes | str, dict[str, Any]]] = [
    ("etc", "dir", b"", {"mode": 0o755}),
    ("etc/a", "reg", b"hello", {"mode": 0o640, "uid": 7, "gid": 8, "xattrs": {"user.x": b"1"}}),
    ("etc/empty", "reg", b"", {"mode": 0o644}),
    ("etc/link", "symlink", "a", {"mode": 0o777}),
    ("etc/hard", "hardlink", "etc/a", {"mode": 0o640}),
    ("etc/" + "n" * 150, "reg", b"long", {"mode": 0o600}),
    ("big", "reg", LARGE, {"mode": 0o4755}),
    ("gone/.wh.x", "reg", b"", {"mode": 0o644}),
    ("fifo", "fifo", b"", {"mode": 0o600}),
]
TIME = 1_600_000_000


def header(name: str, kind: str, content: bytes | str, about: dict[str, Any]) -> bytes:
    info = tarfile.TarInfo(name)
    kinds = {"dir": b"5", "reg": b"0", "symlink": b"2", "hardlink": b"1", "fifo": b"6"}
    info.type, info.mode, info.mtime = kinds[kind], about["mode"], TIME
    info.uid, info.gid = about.get("uid", 0), about.get("gid", 0)
    info.size = len(content) if kind == "reg" else 0
    info.linkname = content if isinstance(content, str) else ""
    info.pax_headers = {f"SCHILY.xattr.{key}": value.decode() for key, value in about.get("xattrs", {}).items()}
    return info.tobuf(tarfile.PAX_FORMAT)


def make(compress: Callable[[bytes], bytes]) -> tuple[bytes, list[dict[str, Any]], bytes]:
    """Return the compressed layer, the entries of its table, and the tar without its end."""
    blob, tar, entries = b"", b"", []
    for name, kind, content, about in FILES:
        head = header(name, kind, content, about)
        blob, tar = blob + compress(head), tar + head
        data = content if isinstance(content, bytes) else b""
        entry: dict[str, Any] = {
            "name": name + "/" * (kind == "dir"), "type": kind, "mode": about["mode"],
            "modtime": "2020-09-13T12:26:40Z",
            "uid": about.get("uid", 0), "gid": about.get("gid", 0),
        }  # fmt: skip
        if isinstance(content, str):
            entry["linkName"] = content
        if "xattrs" in about:
            entry["xattrs"] = {key: base64.b64encode(value).decode() for key, value in about["xattrs"].items()}
        entries.append(entry)
        for start in range(0, len(data), CHUNK):
            part = data[start : start + CHUNK]
            chunk: dict[str, Any] = entry if not start else {"name": name, "type": "chunk"}
            chunk |= {"offset": len(blob), "chunkOffset": start, "chunkSize": len(part), "chunkDigest": sha256(part)}
            blob += compress(part)
            chunk["endOffset"] = len(blob)
            if start:
                entries.append(chunk)
        if data:
            entry |= {"size": len(data), "digest": sha256(data)}
        padding = bytes(-len(data) % 512)
        blob, tar = blob + (compress(padding) if padding else b""), tar + data + padding
    return blob, entries, tar


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def squeeze_gzip(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def estargz() -> tuple[bytes, bytes, dict[str, str]]:
    squeeze = squeeze_gzip
    blob, entries, tar = make(squeeze)
    table = json.dumps({"version": 1, "entries": entries}).encode()
    info = tarfile.TarInfo("stargz.index.json")
    info.size = len(table)
    last = info.tobuf(tarfile.PAX_FORMAT) + table + bytes(-len(table) % 512) + bytes(1024)
    offset = len(blob)
    extra = b"SG" + (22).to_bytes(2, "little") + f"{offset:016x}STARGZ".encode()
    footer = (
        b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + len(extra).to_bytes(2, "little") + extra + b"\x01\0\0\xff\xff" + bytes(8)
    )
    return blob + squeeze(last) + footer, tar + last, {ESTARGZ_DIGEST: sha256(table)}


def zstd_chunked() -> tuple[bytes, bytes, dict[str, str]]:
    def squeeze(data: bytes) -> bytes:
        return zstandard.ZstdCompressor().compress(data)

    blob, entries, tar = make(squeeze)
    end = bytes(1024)
    table = json.dumps({"version": 1, "entries": entries}).encode()
    packed = squeeze(table)
    blob += squeeze(end)
    position = f"{len(blob) + 8}:{len(packed)}:{len(table)}:1"
    blob += b"\x50\x2a\x4d\x18" + len(packed).to_bytes(4, "little") + packed
    return blob, tar + end, {ZSTD_POSITION: position, ZSTD_DIGEST: sha256(packed)}


FORMATS = {"estargz": estargz, "zstd:chunked": zstd_chunked}
each_format = pytest.mark.parametrize("make_layer", FORMATS.values(), ids=FORMATS)


class Counted(io.BytesIO):
    def __init__(self, data: bytes, count: list[int]) -> None:
        super().__init__(data)
        self._count = count

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self._count.append(len(found))
        return found


class Source:
    where, fetched = "here", 0

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.read: list[int] = []

    def open_blob(self, _descriptor: Descriptor) -> BinaryIO:
        return Counted(self.data, self.read)

    def read_top(self) -> bytes:
        raise NotImplementedError

    def read_document(self, descriptor: Descriptor) -> bytes:
        raise NotImplementedError

    def referrers(self) -> list[Referrers]:
        raise NotImplementedError

    def find_referrers(self, subjects: Sequence[Digest], choice: ReferrerChoice) -> list[FoundReferrer]:
        raise NotImplementedError

    def close(self) -> None:
        pass


def layers_of(blob: bytes, tar: bytes, annotations: dict[str, str]) -> tuple[SourceLayers, Digest, Source]:
    kind = "gzip" if ESTARGZ_DIGEST in annotations else "zstd"
    media_type = f"application/vnd.oci.image.layer.v1.tar+{kind}"
    source = Source(blob)
    diff_id = Digest.of(tar)
    return (
        SourceLayers(source, [(diff_id, Descriptor(media_type, Digest.of(blob), len(blob), annotations))]),
        diff_id,
        source,
    )


def contents(tar: BinaryIO) -> list[tuple[Any, bytes | None]]:
    return [(entry, content.read() if content is not None else None) for entry, content in iter_contents(tar)]


@contextmanager
def looked_for(layers: SourceLayers, diff_id: Digest, path: str) -> Iterator[bytes]:
    with open_topmost(path, 1, lambda _number: open_view(layers, diff_id)) as found:
        assert found.content is not None
        yield found.content.read()


@each_format
def test_by_its_table_a_layer_is_what_its_tar_is(make_layer: Callable[[], tuple[bytes, bytes, dict[str, str]]]) -> None:
    blob, tar, annotations = make_layer()
    layers, diff_id, _ = layers_of(blob, tar, annotations)

    with layers.open(diff_id) as stream:
        assert stream.read() == tar
    view = layers.view(diff_id)
    found = [(entry, view.content(place, entry.size).read() if entry.size else None) for entry, place in view.places()]
    view.close()

    expected = [(entry, content or None) for entry, content in contents(io.BytesIO(tar))]
    assert [entry for entry, _ in found] == [entry for entry, _ in expected]
    assert {e.path: c for e, c in found if c} == {e.path: c for e, c in expected if c and e.kind.value == "file"}


@each_format
def test_a_file_is_read_without_the_rest(make_layer: Callable[[], tuple[bytes, bytes, dict[str, str]]]) -> None:
    layers, diff_id, source = layers_of(*make_layer())

    with looked_for(layers, diff_id, "etc/hard") as content:
        assert content == b"hello"
    few = sum(source.read)
    with looked_for(layers, diff_id, "big") as content:
        assert content == LARGE

    assert few < len(source.data) / 2


@each_format
def test_another_table_than_the_manifest_s_is_an_error(
    make_layer: Callable[[], tuple[bytes, bytes, dict[str, str]]],
) -> None:
    blob, tar, annotations = make_layer()
    wrong = {key: sha256(b"") if value.startswith("sha256:") else value for key, value in annotations.items()}
    layers, diff_id, _ = layers_of(blob, tar, wrong)

    with pytest.raises(BlobCorruptError, match="table of the layer"):
        layers.view(diff_id)


@each_format
def test_a_chunk_with_other_bytes_is_an_error(make_layer: Callable[[], tuple[bytes, bytes, dict[str, str]]]) -> None:
    blob, tar, annotations = make_layer()
    squeeze = squeeze_gzip if ESTARGZ_DIGEST in annotations else zstandard.ZstdCompressor().compress
    good, bad = squeeze(b"hello"), squeeze(b"hallo")
    assert len(good) == len(bad)
    layers, diff_id, _ = layers_of(blob.replace(good, bad, 1), tar, annotations)

    with pytest.raises(BlobCorruptError, match="not those of its table"), looked_for(layers, diff_id, "etc/a"):
        pass


@pytest.mark.parametrize("annotations", [{}, {ZSTD_POSITION: "1:2:3:9", ZSTD_DIGEST: sha256(b"")}])
def test_without_a_table_that_is_understood_the_layer_is_streamed(annotations: dict[str, str]) -> None:
    blob, tar, _ = zstd_chunked()
    layers, diff_id, _ = layers_of(blob, tar, annotations)

    view = layers.view(diff_id)
    assert [entry.path for entry, _ in view.places()] == [entry.path for entry, _ in contents(io.BytesIO(tar))]
    view.close()
