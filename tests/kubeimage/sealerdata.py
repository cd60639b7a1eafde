"""What sealer v0.8 pushed to a registry: see fixtures/sealer-v08."""

import tarfile
from functools import cache
from pathlib import Path

from kubeimage.image.digest import Digest
from kubeimage.image.oci import Index, Manifest
from kubeimage.image.reference import Reference
from kubeimage.protocols.transfer import Arrival
from kubeimage.store import Store

FOLDER = Path(__file__).parent.parent.parent / "fixtures/sealer-v08"
REGISTRY = "docker/registry/v2"


@cache
def files() -> dict[str, bytes]:
    """Return the files of the registry's storage folder."""
    with tarfile.open(FOLDER / "registry.tar.gz") as tar:
        found = {one.name.removeprefix("./"): tar.extractfile(one) for one in tar if one.isfile()}
        return {name: file.read() for name, file in found.items() if file is not None}


def blob(digest: Digest) -> bytes:
    """Return a blob of the registry."""
    return files()[f"{REGISTRY}/blobs/sha256/{digest.hex[:2]}/{digest.hex}/data"]


def bring(store: Store, name: str) -> Arrival:
    """Take in ``demo/NAME:v1``, as a pull does."""
    link = files()[f"{REGISTRY}/repositories/demo/{name}/_manifests/tags/v1/current/link"]
    top = blob(Digest.parse(link.decode()))
    with store.importing() as importer:
        for listed in Index.from_bytes(top).manifests:
            manifest = Manifest.from_bytes(blob(listed.digest))
            for one in (manifest.config, *manifest.layers):
                importer.put_blob(one, [blob(one.digest)])
            importer.put_manifest(blob(listed.digest))
        return importer.commit(top, [Reference.parse(f"{name}:v1")])
