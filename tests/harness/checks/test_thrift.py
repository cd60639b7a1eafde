"""size-limit and efficiency."""

import pytest

from harness.checks.failed import CheckFailedError
from harness.checks.thrift import check_efficiency, check_size_limit
from tests.harness.checks.conftest import Cases

CONTEXT = {"a": "x" * 5000, "b": "y" * 100}
TEXT = "FROM scratch\nCOPY b .\nCOPY a .\nCOPY --chmod=600 a .\n"


def test_an_image_at_its_size_limit_passes(make_case: Cases) -> None:
    size = make_case(TEXT, CONTEXT).image.size

    check_size_limit(make_case(TEXT, CONTEXT, max_size=size))


def test_an_image_over_its_size_limit_fails_with_what_weighs_most(make_case: Cases) -> None:
    case = make_case(TEXT, CONTEXT, max_size=2000)

    with pytest.raises(
        CheckFailedError, match=r"the image has [0-9,]+ bytes, and --kubefile-max-size allows 2,000"
    ) as raised:
        check_size_limit(case)

    assert raised.value.location is not None
    assert raised.value.location.text == "COPY a ."
    assert [line.split(maxsplit=1)[-1] for line in raised.value.details] == [
        "largest layers:",
        "line 3: COPY a .",
        "line 4: COPY --chmod=600 a .",
        "line 2: COPY b .",
        "largest files:",
        "a",
        "b",
    ]


@pytest.mark.parametrize("least", [None, 0.0, 0.5])
def test_an_efficient_image_passes(make_case: Cases, least: float | None) -> None:
    check_efficiency(make_case(TEXT, CONTEXT, min_efficiency=least))


def test_a_wasteful_image_fails_with_the_paths_that_waste_most(make_case: Cases) -> None:
    case = make_case(TEXT, CONTEXT, min_efficiency=0.95)

    with pytest.raises(CheckFailedError, match=r"has an efficiency of 0\.5049, .* asks for 0\.95") as raised:
        check_efficiency(case)

    assert raised.value.location is not None
    assert raised.value.location.text == "COPY --chmod=600 a ."
    assert raised.value.details == (
        "10,000 bytes are in files that stand in several layers, or are deleted again:",
        "         10,000  a, in line 3: COPY a .; line 4: COPY --chmod=600 a .",
    )


def test_an_image_of_nothing_is_efficient(make_case: Cases) -> None:
    check_efficiency(make_case("FROM scratch\n", min_efficiency=1.0))
