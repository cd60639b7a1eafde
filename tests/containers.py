"""Small container images, and how they get into a test's registry."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from kubeimage.image.digest import Digest
from tests.kubeimage.store.foreign import Foreign, make_foreign, make_index, tar_of


def small_image(text: str, *, shared: Sequence[str] = (), architecture: str = "amd64") -> Foreign:
    """Make an image of one layer that is its own, above layers that others may share."""
    layers = [tar_of({f"shared/{one}": one.encode() * 1000}) for one in shared]
    return make_foreign(*layers, tar_of({"own": text.encode()}), architecture=architecture)


def push(url: str, name: str, image: Foreign | Mapping[str, Foreign], folder: Path) -> Digest:
    """Put an image, or an index of images by their architectures, under ``repository:tag``; give its digest."""
    images = {"": image} if isinstance(image, Foreign) else dict(image)
    top = image.manifest if isinstance(image, Foreign) else make_index(list(images.items()))
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    documents = [top, *(one.manifest for one in images.values())]
    for data in (*documents, *(data for one in images.values() for data in one.blobs.values())):
        (blobs / Digest.of(data).hex).write_bytes(data)
    entry = {"mediaType": json.loads(top)["mediaType"], "digest": str(Digest.of(top)), "size": len(top)}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    target = f"docker://{url.removeprefix('http://')}/{name}"
    skopeo("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", f"oci:{folder}", target)
    return Digest.of(top)


def skopeo(*arguments: str) -> str:
    """Run skopeo, which must succeed, and give what it prints."""
    done = subprocess.run(["skopeo", "--insecure-policy", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
