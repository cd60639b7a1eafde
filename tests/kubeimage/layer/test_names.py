import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.errors import LayerFormatError, PathEscapeError
from kubeimage.layer.names import ancestors, check_path, parent_of, plain_path


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


@given(st.lists(st.sampled_from(["a", ".b", "c.", "...", " ", "ä"]), min_size=1, max_size=4), st.data())
def test_a_path_is_the_same_however_a_tar_writes_it(names: list[str], data: st.DataObject) -> None:
    odd = st.sampled_from(["/", "//", "/./", "/.//./"])
    text = data.draw(st.sampled_from(["", "/", "./", "//", "/./"])) + names[0]
    text += "".join(data.draw(odd) + name for name in names[1:])
    text += data.draw(st.sampled_from(["", "/", "/.", "//"]))

    assert plain_path(text) == "/".join(names)


@given(st.text(alphabet="a./", min_size=1, max_size=12))
def test_what_leads_out_still_does_when_it_is_written_plainly(text: str) -> None:
    assert (".." in text.split("/")) == (".." in plain_path(text).split("/"))
