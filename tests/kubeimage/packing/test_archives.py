"""Images that lie in archives of the build context are packed from there, and no registry is asked."""

import gzip
import io
import json
import re
import tarfile
from collections.abc import Mapping

import pytest

from kubeimage.api.airgap import images_of_context, rehearse_image, verify_image
from kubeimage.builder.executor import BuildResult
from kubeimage.builder.plan import BuildOptions
from kubeimage.errors import ImageNameError, KubeimageError, PackingError
from kubeimage.image.digest import Digest
from kubeimage.kubefile import parse
from tests.containers import small_image
from tests.kubeimage.packing.conftest import AMD64, Workshop
from tests.kubeimage.store.foreign import Foreign

METADATA = {"Metadata": '{"version": "v1.22.15"}'}
ONE, TWO = small_image("one", shared=["base"]), small_image("two", shared=["base"])
ARM = small_image("x", architecture="arm64")
NAME = "registry.example.com/team/app:v1"
LIST = "images/skopeo/tar.txt"


def tar_with(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    return stream.getvalue()


def docker_archive(images: Mapping[str, Foreign]) -> bytes:
    """Make what ``docker save`` writes."""
    members: dict[str, bytes] = {}
    listed = []
    for name, image in images.items():
        layers = {f"{one.digest.hex}.tar": image.blobs[one.digest] for one in image.layers}
        config = f"{image.config.digest.hex}.json"
        members |= {**layers, config: image.blobs[image.config.digest]}
        listed.append({"Config": config, "RepoTags": [name] if name else None, "Layers": [*layers]})
    return tar_with({**members, "manifest.json": json.dumps(listed).encode()})


def oci_archive(image: Foreign) -> bytes:
    """Make an image layout in a tar."""
    blobs = {Digest.of(image.manifest): image.manifest, **image.blobs}
    kind = json.loads(image.manifest)["mediaType"]
    entry = {"mediaType": kind, "digest": str(Digest.of(image.manifest)), "size": len(image.manifest)}
    return tar_with(
        {
            "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
            "index.json": json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(),
            **{f"blobs/sha256/{digest.hex}": data for digest, data in blobs.items()},
        }
    )


def build(workshop: Workshop, files: Mapping[str, bytes], *, kubefile: str = "FROM scratch\nCOPY . .\n") -> BuildResult:
    """Build a context with these files below images/skopeo; no registry may be asked."""
    context = workshop.context({**METADATA, "Kubefile": kubefile})
    for name, data in files.items():
        target = context / "images/skopeo" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return workshop.build_in(context, "never", kubefile=kubefile)


def is_whole(workshop: Workshop, result: BuildResult) -> bool:
    with workshop.open() as backends:
        rehearsal = rehearse_image(result.image, backends)
        return verify_image(result.image, backends).is_whole and rehearsal.is_complete


def images_of(workshop: Workshop, result: BuildResult) -> list[str]:
    with workshop.open() as backends:
        return [str(image) for image in verify_image(result.image, backends).images]


@pytest.mark.parametrize(
    ("line", "data"),
    [
        ("docker-archive", docker_archive({"": ONE})),
        ("docker-archive", docker_archive({"other:v3": ONE})),
        ("docker-archive", gzip.compress(docker_archive({"": ONE}))),
        ("docker-archive", docker_archive({"nginx:1": TWO, NAME: ONE})),
        ("oci-archive", oci_archive(ONE)),
    ],
    ids=["without a name", "with another name", "compressed", "of two", "oci"],
)
def test_the_image_of_an_archive_is_packed(workshop: Workshop, line: str, data: bytes) -> None:
    result = build(workshop, {"tar.txt": f"# mine\n{line}:a.tar@{NAME}\n".encode(), "a.tar": data})

    assert is_whole(workshop, result)
    assert images_of(workshop, result) == [NAME]


def test_of_several_images_the_one_of_the_name_is_packed(workshop: Workshop) -> None:
    archive = docker_archive({"nginx:1.25": ONE, "quay.io/team/app:v1": TWO})
    lines = b"docker-archive:a.tar@nginx:1.25\ndocker-archive:a.tar@quay.io/team/app:v1\n"

    result = build(workshop, {"tar.txt": lines, "a.tar": archive})

    with workshop.open() as backends:
        pulled = {str(one.image): one.pulled for one in rehearse_image(result.image, backends).images}
    assert {name: one.status for name, one in pulled.items()} == {
        "docker.io/library/nginx:1.25": "pulled",
        "quay.io/team/app:v1": "pulled",
    }
    assert pulled["quay.io/team/app:v1"].digest != pulled["docker.io/library/nginx:1.25"].digest


def test_two_builds_give_one_image(workshop: Workshop) -> None:
    files = {"tar.txt": f"docker-archive:a.tar@{NAME}".encode(), "a.tar": docker_archive({"": ONE})}

    assert build(workshop, files).image.id == build(workshop, files).image.id


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"tar.txt": b"docker-archive:a.tar@r.io/a:1"}, "line 1: there is no archive 'a.tar'"),
        ({"tar.txt": b"\ndocker-archive:../../../a.tar@r.io/a:1"}, "line 2: .* leads out of the build context"),
        ({"tar.txt": b"docker-archive:a.tar@r.io/a:1", "a.tar": b"no"}, "line 1: 'a.tar': this is no archive"),
        ({"tar.txt": b"docker-archive:a.tar@r.io/a:1", "a.tar/b": b""}, "line 1: the archive 'a.tar' cannot be read"),
        (
            {"tar.txt": b"docker-archive:a.tar@r.io/a:1", "a.tar": docker_archive({"nginx:1": ONE, "": TWO})},
            "line 1: 'a.tar': it holds 2 images, and none is called r.io/a:1, but nginx:1",
        ),
        (
            {
                "tar.txt": b"docker-archive:a.tar@r.io/a:1",
                "a.tar": docker_archive({"": ARM}),
            },
            "r.io/a:1 is for linux/arm64, not for linux/amd64",
        ),
    ],
    ids=["none", "outside", "no archive", "a folder", "another name", "another platform"],
)
def test_an_archive_that_cannot_be_packed_is_told(workshop: Workshop, files: Mapping[str, bytes], told: str) -> None:
    with pytest.raises(PackingError, match=told):
        build(workshop, files)


def test_an_archive_that_is_cut_leaves_nothing(workshop: Workshop) -> None:
    archive = docker_archive({"": ONE})

    end = len(archive.rstrip(b"\0"))
    for at in range(0, end, end // 6):
        with pytest.raises(KubeimageError):
            build(workshop, {"tar.txt": f"docker-archive:a.tar@{NAME}".encode(), "a.tar": archive[:at]})


SEALOS = "# syntax=sealos\nFROM scratch\nCOPY Metadata .\n"


def test_in_the_dialect_sealos_the_whole_context_is_searched(workshop: Workshop) -> None:
    files = {"tar.txt": f"docker-archive:a.tar@{NAME}".encode(), "a.tar": docker_archive({"": ONE})}

    result = build(workshop, files, kubefile=SEALOS)
    other = build(workshop, files, kubefile="FROM scratch\nCOPY Metadata .\n")

    assert images_of(workshop, result) == [NAME]
    assert is_whole(workshop, result)
    assert images_of(workshop, other) == []


def test_what_is_searched_in_the_context_is_listed_without_a_build(workshop: Workshop) -> None:
    files = {
        "images/shim/a": "r.io/a:1",
        "images/shim/deep/b": "r.io/b:1",
        "manifests/c.yaml": "spec: {containers: [{image: 'r.io/c:1'}]}",
        "manifests/deep/d.yml": "spec: {containers: [{image: 'r.io/d:1'}]}",
        "imageList": "r.io/e:1",
        "elsewhere/f.yaml": "spec: {containers: [{image: 'r.io/f:1'}]}",
    }
    context = str(workshop.context({**METADATA, **files}))

    found = images_of_context(parse(SEALOS.encode()), context, options=BuildOptions(platform=AMD64))
    usual = images_of_context(parse(b"FROM scratch\nCOPY elsewhere .\n"), context)

    assert [str(image) for image in found.images] == [f"r.io/{name}:1" for name in "abcde"]
    assert usual.images == ()


def test_a_name_of_the_context_that_cannot_be_read_is_told(workshop: Workshop) -> None:
    context = workshop.context({**METADATA, "images/shim/list": "r.io/A:1"})

    with pytest.raises(ImageNameError, match=re.escape("r.io/A:1")):
        workshop.build_in(context, "never", kubefile=SEALOS)


def test_a_repeated_search_of_the_context_parses_nothing(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    context = workshop.context({**METADATA, "manifests/a.yaml": "a: 1\n"})
    first = workshop.build_in(context, "never", kubefile=SEALOS)

    def refuse(*_arguments: object) -> None:
        raise AssertionError("a manifest is parsed")

    monkeypatch.setattr("kubeimage.discovery.manifests.find_in_manifest", refuse)

    assert workshop.build_in(context, "never", kubefile=SEALOS).image.id == first.image.id
    (context / "manifests/a.yaml").write_text("b: 2\n")
    with pytest.raises(AssertionError, match="is parsed"):
        workshop.build_in(context, "never", kubefile=SEALOS)
