"""What a build would fetch, found without a network."""

from kubeimage.api.externals import external_sources
from kubeimage.builder.plan import BuildOptions
from kubeimage.image.platform import Platform
from kubeimage.kubefile import parse

ARM = Platform("linux", "arm64")
CHECKSUM = f"sha256:{'a' * 64}"
TEXT = f"""# syntax=sealos
ARG V=1
FROM --platform=linux/s390x base:$V AS build
ADD --checksum={CHECKSUM} https://example.org/$V/tool /
ARG V
ADD https://example.org/x$V https://example.org/y$V /dir/
FROM other:2 AS unused
ADD https://example.org/unused /
FROM scratch
COPY --from=build / /
COPY --from=third:3 / /
COPY --from=third:3 /a /
"""


def test_images_and_files_of_the_stages_that_are_needed_are_found_once() -> None:
    found = external_sources(parse(TEXT), options=BuildOptions(platform=ARM, build_args={"V": "2"}))

    assert [(one.kind, one.name, one.location.line) for one in found] == [
        ("image", "base:2", 3),
        ("image", "third:3", 11),
        ("url", "https://example.org//tool", 4),
        ("url", "https://example.org/x2", 6),
        ("url", "https://example.org/y2", 6),
    ]
    assert [str(one.platform) for one in found[:2]] == ["linux/s390x", "linux/arm64"]
    assert [str(one.checksum) for one in found[2:]] == [CHECKSUM, "None", "None"]


def test_a_sealer_kubefile_has_its_base_alone() -> None:
    (found,) = external_sources(parse("ARG V=1\nFROM base:$V\nCOPY a b\n"), options=BuildOptions(platform=ARM))

    assert (found.name, found.platform) == ("base:1", ARM)
    assert external_sources(parse("FROM scratch\n")) == ()


def test_applications_from_the_web_are_found() -> None:
    text = f"# syntax=sealer-0.9\nFROM scratch\nAPP a https://example.org/a.yaml#{CHECKSUM} local://b.yaml\nLAUNCH a\n"

    (found,) = external_sources(parse(text))

    assert (found.kind, found.name, str(found.checksum)) == ("url", "https://example.org/a.yaml", CHECKSUM)
