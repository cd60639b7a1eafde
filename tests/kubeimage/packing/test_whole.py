"""Nothing is called whole that is not: whatever is damaged, the proof tells."""

import tempfile
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.images.backends import memory_backends
from harness.trees import write_tree
from kubeimage.api.airgap import Verification, verify_image
from kubeimage.api.building import build_image
from kubeimage.builder.plan import BuildOptions
from kubeimage.image.digest import Digest
from kubeimage.kubefile import parse
from kubeimage.packing.record import RECORD, Record
from tests.kubeimage.packing.test_closure import AMD64, NAME, ONE, Files, packed

# Each example is a whole build.
FEW = settings(max_examples=settings.default.max_examples // 6 if settings.default else 10)
NAMING = {
    "manifests/imageList": f"# all\n{NAME}\n",
    "manifests/pod.yaml": f"kind: Pod\nspec:\n  containers:\n  - image: {NAME}\n",
    "manifests/cluster.yaml": f"apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\nspec: {{imageName: {NAME}}}\n",
    "manifests/guess.yaml": f"tool: {NAME}\n",
    "manifests/text.yaml": f"kind: ConfigMap\ndata:\n  run.sh: |\n    ctr images pull {NAME}\n",
    "images/shim/list": f"{NAME}\n",
}


@cache
def whole() -> Files:
    """Return an application with one image, which six files name and which is packed."""
    record = Record({NAME: Digest.of(ONE.manifest)})
    return {**packed(ONE), RECORD: record.to_bytes(), **{path: text.encode() for path, text in NAMING.items()}}


def verify(files: Files) -> Verification:
    with tempfile.TemporaryDirectory() as folder:
        write_tree(folder, dict(files))
        kubefile = parse(b"FROM scratch\nCOPY . .\n", file="Kubefile")
        backends = memory_backends()
        built = build_image(kubefile, folder, backends, options=BuildOptions(platform=AMD64))
        return verify_image(built.image, backends)


def test_the_application_is_whole() -> None:
    found = verify(whole())

    assert found.is_whole
    assert found.images == (NAME,)


@FEW
@given(st.sampled_from(sorted(NAMING)), st.integers(0, len(str(NAME)) - 1), st.sampled_from("xA /:@"))
def test_a_name_that_is_garbled_anywhere_is_told(path: str, at: int, what: str) -> None:
    text = str(NAME)
    garbled = text[:at] + what + text[at + 1 :]
    if garbled == text:
        return

    found = verify({**whole(), path: NAMING[path].replace(text, garbled).encode()})

    # A blank may make it no YAML, which is warned of. What is only a guess and reads as no name any more is no name.
    assert not found.is_whole or found.warnings or path in {"manifests/guess.yaml", "manifests/text.yaml"}


def test_an_image_of_another_registry_does_not_answer_for_one_that_is_named() -> None:
    found = verify({**whole(), "manifests/imageList": b"x.io/team/app:v1\n"})

    assert [(str(flaw.image), flaw.what) for flaw in found.flaws] == [
        ("x.io/team/app:v1", "it is not in the image's registry: r.io/team/app:v1 would answer for it")
    ]


@FEW
@given(st.sampled_from(sorted(path for path in whole() if path.startswith("registry/docker"))), st.booleans())
def test_a_file_of_the_registry_that_is_gone_or_changed_is_told(path: str, gone: bool) -> None:
    files = dict(whole())
    if "/tags/" in path and "/index/" in path:
        # What a tag ever meant is nobody's to ask.
        return
    if gone:
        del files[path]
    else:
        files[path] = bytes([files[path][0] ^ 1]) + files[path][1:]

    assert verify(files).flaws
