import pytest

from kubeimage.errors import LayerFormatError, PathEscapeError
from kubeimage.layer.names import ancestors, check_path, parent_of


@pytest.mark.parametrize(
    "path", ["a", "a/b", ".a", "a/.b", "..a", "a../b", "a/..b", "...", "a.wh.b", "-", " ", "\n", "ä"]
)
def test_plain_paths_are_taken(path: str) -> None:
    check_path(path)


@pytest.mark.parametrize("path", ["/", "/a", "//a", "..", "../a", "a/..", "a/../b", "./../a"])
def test_paths_that_could_leave_the_root_are_refused(path: str) -> None:
    with pytest.raises((PathEscapeError, LayerFormatError)):
        check_path(path)


@pytest.mark.parametrize("path", ["/a", "..", "../a", "a/../b"])
def test_an_escape_is_called_one(path: str) -> None:
    with pytest.raises(PathEscapeError):
        check_path(path)


@pytest.mark.parametrize("path", ["", ".", "./a", "a/.", "a//b", "a/", "a\0b", ".wh.a", "a/.wh.b/c", ".wh..wh..opq"])
def test_what_is_not_made_of_plain_names_is_refused(path: str) -> None:
    with pytest.raises(LayerFormatError):
        check_path(path)


def test_ancestors_stand_outermost_first() -> None:
    assert ancestors("a/b/c") == ["a", "a/b"]
    assert ancestors("a") == []
    assert (parent_of("a/b/c"), parent_of("a")) == ("a/b", "")
