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


@pytest.mark.parametrize(
    ("asked", "found", "accepted"),
    [
        ("linux/arm/v7", "linux/arm/v6", True),
        ("linux/arm/v6", "linux/arm", False),
        ("linux/amd64/v3", "linux/amd64", True),
        ("linux/amd64", "linux/amd64/v2", False),
        ("linux/arm64", "linux/arm/v7", False),
        ("linux/riscv64", "linux/riscv64", True),
        ("linux/mips/softfloat", "linux/mips/hardfloat", False),
        ("linux/amd64", "windows/amd64", False),
    ],
)
def test_a_later_variant_takes_an_earlier_ones_image(asked: str, found: str, accepted: bool) -> None:
    assert Platform.parse(asked).accepts(Platform.parse(found)) is accepted


def test_the_latest_variant_that_can_be_taken_is_chosen() -> None:
    there = [Platform.parse(f"linux/{one}") for one in ("arm/v5", "arm64", "arm/v6", "arm/v7", "arm/v8")]

    chosen = Platform.parse("linux/arm").choose(there, lambda one: one)

    assert list(map(str, chosen)) == ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]


@pytest.mark.parametrize(
    ("host", "program", "runs"),
    [
        ("linux/amd64", "linux/amd64/v4", True),
        ("linux/amd64", "linux/386", True),
        ("linux/arm64", "linux/arm/v7", True),
        ("linux/arm", "linux/arm64", False),
        ("linux/amd64", "linux/arm64", False),
        ("linux/amd64", "windows/amd64", False),
    ],
)
def test_a_machine_runs_programs_of_its_own_kind(host: str, program: str, runs: bool) -> None:
    assert Platform.parse(host).runs(Platform.parse(program)) is runs
