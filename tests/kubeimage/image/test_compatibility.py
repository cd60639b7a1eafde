import pytest

from kubeimage.image.compatibility import COMPATIBILITY, DIALECTS, Dialect, history_comment, read_comment


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_history_entry_says_by_which_rules_it_was_made(dialect: Dialect) -> None:
    assert read_comment(history_comment(dialect)) == (dialect, COMPATIBILITY)


@pytest.mark.parametrize(
    "comment", ["", "buildkit.dockerfile.v0", "kubeimage.sealer", "kubeimage.sealer.v1 ", "kubeimage.v1"]
)
def test_the_comment_of_another_tool_says_nothing(comment: str) -> None:
    assert read_comment(comment) is None
