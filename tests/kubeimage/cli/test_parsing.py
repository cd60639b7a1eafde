import pytest

from kubeimage.cli.parsing import parse_build_args, parse_epoch, parse_labels, parse_platform
from kubeimage.errors import BuildArgError, PlatformFormatError, UsageError
from kubeimage.image.platform import Platform


def test_each_build_arg_is_one_pair_whatever_its_value_holds() -> None:
    given = ("A=1", "B", "C=x=1,y=2", "D=", "A=2")

    assert parse_build_args(given, {"B": "from outside"}) == {
        "A": "2",
        "B": "from outside",
        "C": "x=1,y=2",
        "D": "",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [("=secret", "--build-arg has no key"), ("TOKEN", "takes its value from the environment, where TOKEN is not set")],
)
def test_a_build_arg_without_key_or_value_is_an_error(text: str, message: str) -> None:
    with pytest.raises(BuildArgError, match=message) as caught:
        parse_build_args(("A=1", text), {})

    assert "secret" not in str(caught.value)


def test_a_label_may_hold_anything_behind_its_key() -> None:
    assert parse_labels(("a.b/c=x=1,y", "empty=", "a.b/c=2")) == {"a.b/c": "2", "empty": ""}


@pytest.mark.parametrize("text", ["team", "=web", ""])
def test_a_label_needs_key_and_value(text: str) -> None:
    with pytest.raises(UsageError, match=f"not a label: '{text}'"):
        parse_labels((text,))


def test_one_platform_is_taken_and_several_are_refused_by_name() -> None:
    assert parse_platform("linux/arm64/v8") == Platform("linux", "arm64", "v8")
    assert parse_platform(None) is None
    with pytest.raises(UsageError, match="takes one platform, found several: 'linux/amd64,linux/arm64'"):
        parse_platform("linux/amd64,linux/arm64")
    with pytest.raises(PlatformFormatError):
        parse_platform("linux/")


@pytest.mark.parametrize(
    ("text", "epoch"),
    [(None, None), ("", None), ("0", 0), ("1700000000", 1_700_000_000), ("253402300799", 253402300799)],
)
def test_the_epoch_is_whole_seconds(text: str | None, epoch: int | None) -> None:
    assert parse_epoch(text) == epoch


@pytest.mark.parametrize("text", ["-1", "1.5", "now", " 1", "\u0661", "253402300800", "9" * 5000])
def test_any_other_epoch_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH is no time"):
        parse_epoch(text)
