"""Container images with a shell and a few programs of this machine, as other tools hand them over."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PROGRAMS = ("sh", "cat", "id", "ls", "mkdir", "rm", "sleep", "stat", "touch", "true", "env", "ln", "chmod")
PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"
GROUP = "root:x:0:\napp:x:1000:\nmore:x:1001:app\n"


@dataclass(frozen=True)
class Put:
    """What a layer puts at a path. Shape: ``link`` makes it a symlink, ``folder`` a directory."""

    content: bytes = b""
    mode: int = 0o644
    owner: tuple[int, int] = (0, 0)
    link: str = ""
    folder: bool = False
    hard: str = ""
    mtime: int = 0


Layer = Mapping[str, Put]


def layer_tar(layer: Layer) -> bytes:
    """Return a layer's tar, in the order of the mapping."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, put in layer.items():
            info = tarfile.TarInfo(path)
            info.mode, (info.uid, info.gid), info.mtime = put.mode, put.owner, put.mtime
            if put.folder:
                info.type = tarfile.DIRTYPE
            elif put.link:
                info.type, info.linkname = tarfile.SYMTYPE, put.link
            elif put.hard:
                info.type, info.linkname = tarfile.LNKTYPE, put.hard
            else:
                info.size = len(put.content)
            tar.addfile(info, io.BytesIO(put.content))
    return stream.getvalue()


@cache
def _found_programs() -> tuple[tuple[str, Path], ...]:
    """Return the programs and what they link to, each with its place in the image."""
    places: dict[str, Path] = {}
    for name in PROGRAMS:
        found = shutil.which("dash" if name == "sh" and shutil.which("dash") else name)
        assert found is not None, f"this machine has no {name}"
        places[f"bin/{name}"] = Path(found).resolve()
        linked = subprocess.run(["ldd", found], capture_output=True, text=True, check=True).stdout
        places.update({path.lstrip("/"): Path(path).resolve() for path in re.findall(r"(/\S+) \(0x", linked)})
    return tuple(places.items())


def base_layer() -> dict[str, Put]:
    """Return a layer with programs, accounts and a few files of several owners and modes."""
    layer = {
        "etc/": Put(folder=True, mode=0o755),
        "etc/passwd": Put(PASSWD.encode()),
        "etc/group": Put(GROUP.encode()),
        "root/": Put(folder=True, mode=0o700),
        "root/secret": Put(b"s3cr3t\n", 0o600),
        "tmp/": Put(folder=True, mode=0o1777),
        "home/": Put(folder=True, mode=0o755),
        "home/app/": Put(folder=True, mode=0o755, owner=(1000, 1000)),
        "home/app/own": Put(b"mine\n", 0o600, (1000, 1000)),
    }
    return layer | {place: Put(path.read_bytes(), 0o755) for place, path in _found_programs()}


@dataclass(frozen=True)
class RootImage:
    """A container image, as bytes. Shape: ``layers`` are lowest first; ``config`` is OCI's ``config`` object."""

    layers: Sequence[Layer]
    config: Mapping[str, object] = field(default_factory=dict)
    architecture: str = ""

    @property
    def tars(self) -> list[bytes]:
        """The layers' tars."""
        return [layer_tar(layer) for layer in self.layers]

    def config_bytes(self) -> bytes:
        """Return the config."""
        from kubeimage.image.platform import Platform

        host = Platform.host()
        diff_ids = [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in self.tars]
        value: dict[str, object] = {"architecture": self.architecture or host.architecture, "os": "linux"}
        if host.variant and not self.architecture:
            value["variant"] = host.variant
        rootfs = {"type": "layers", "diff_ids": diff_ids}
        return json.dumps({**value, "config": dict(self.config), "rootfs": rootfs}).encode()

    def write_docker_archive(self, path: Path, name: str = "judged/image:v1") -> Path:
        """Write it as ``docker save`` does, and return the path."""
        tars, config = self.tars, self.config_bytes()
        names = [f"{number}/layer.tar" for number in range(len(tars))]
        manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": names}]
        with tarfile.open(path, "w") as archive:
            contents = [*zip(names, tars, strict=True), ("config.json", config)]
            for place, data in (*contents, ("manifest.json", json.dumps(manifest).encode())):
                info = tarfile.TarInfo(place)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return path

    def write_oci_layout(self, folder: Path, name: str = "v1") -> Path:
        """Write it as an OCI layout with compressed layers, and return the folder."""
        blobs = folder / "blobs/sha256"
        blobs.mkdir(parents=True)

        def put(data: bytes, media_type: str) -> dict[str, object]:
            digest = hashlib.sha256(data).hexdigest()
            (blobs / digest).write_bytes(data)
            return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

        oci = "application/vnd.oci.image"
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{oci}.manifest.v1+json",
            "config": put(self.config_bytes(), f"{oci}.config.v1+json"),
            "layers": [put(gzip.compress(tar, 1, mtime=0), f"{oci}.layer.v1.tar+gzip") for tar in self.tars],
        }
        entry = put(json.dumps(manifest).encode(), f"{oci}.manifest.v1+json")
        entry["annotations"] = {"org.opencontainers.image.ref.name": name}
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        return folder


def root_image(*layers: Layer, architecture: str = "", **config: object) -> RootImage:
    """Return an image with programs, further layers on top, and a config."""
    config = {"Env": ["PATH=/bin", "GREETING=hello"], **config}
    return RootImage([base_layer(), *layers], config, architecture)
