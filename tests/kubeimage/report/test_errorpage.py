"""The page of errors is made from the classes, and each code means one thing."""

from collections import Counter
from pathlib import Path

from harness.checks import CheckError
from kubeimage import errors
from kubeimage.kubefile import CODES
from kubeimage.report.errorpage import WAYS_OUT, error_classes, error_page

PAGE = Path(__file__).parents[3] / "docs/errors.md"


def test_the_page_is_what_the_classes_say_now() -> None:
    again = "python -m kubeimage.report.errorpage docs/errors.md"

    assert PAGE.read_text() == error_page(), f"the page is out of date; make it anew: {again}"


def test_each_code_is_that_of_one_class() -> None:
    codes = Counter([one.code for one in error_classes()] + [CheckError.code])

    assert [code for code, number in codes.items() if number > 1] == []
    assert codes.keys() & set(CODES) == set()


def test_every_class_is_on_the_page_and_in_the_tree() -> None:
    defined = {one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.KubeimageError)}

    assert set(error_classes()) == defined == set(WAYS_OUT)
    drawn = {tuple(words[-3:]) for words in map(_before_remark, (errors.__doc__ or "").splitlines())}
    for one in defined - {errors.KubeimageError, errors.KubefileError}:
        assert (one.__name__, one.code, str(one.exit_status)) in drawn


def _before_remark(line: str) -> list[str]:
    """Return the words of a line of the tree up to the exit status."""
    words = line.replace("│", "").split()
    return words[:4] if words and words[0] in {"├──", "└──"} else []
