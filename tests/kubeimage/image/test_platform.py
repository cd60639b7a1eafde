import pytest

from kubeimage.errors import DigestFormatError, PlatformFormatError
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/arm64/v8", Platform("linux", "arm64", "v8")),
        ("arm64", Platform("linux", "arm64")),
        ("Linux/x86_64", Platform("linux", "amd64")),
        ("linux/aarch64", Platform("linux", "arm64")),
    ],
)
def test_a_platform_is_read(text: str, platform: Platform) -> None:
    assert Platform.parse(text) == platform


@pytest.mark.parametrize("text", ["", "/", "linux/", "linux/amd64/v1/x", "linux amd64", "linux/../x"])
def test_a_text_that_is_no_platform_is_an_error(text: str) -> None:
    with pytest.raises(PlatformFormatError, match="not a platform"):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("asked", "found", "same"),
    [
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm/v7", "linux/arm", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/amd64", "linux/arm64", False),
    ],
)
def test_an_absent_variant_is_the_usual_one(asked: str, found: str, same: bool) -> None:
    assert Platform.parse(asked).matches(Platform.parse(found)) is same


def test_a_platform_reads_back_what_it_prints() -> None:
    host = Platform.host()

    assert Platform.parse(str(host)) == host


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "md5:" + "a" * 32, "a" * 64]
)
def test_a_text_that_is_no_digest_is_an_error(text: str) -> None:
    with pytest.raises(DigestFormatError, match="not a digest"):
        Digest.parse(text)


def test_a_digest_reads_back_what_it_prints() -> None:
    digest = Digest.of(b"abc")

    assert Digest.parse(str(digest)) == digest
    assert digest.short == "ba7816bf8f01"
