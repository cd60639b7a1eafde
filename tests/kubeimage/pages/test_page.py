"""A page goes from one process to another as JSON, and nothing is lost."""

from hypothesis import given
from hypothesis import strategies as st

from kubeimage.pages.page import ImagePage


@given(page=st.from_type(ImagePage))
def test_a_page_that_is_written_is_read_again(page: ImagePage) -> None:
    # As text, for a number that is none is never equal to itself.
    assert repr(ImagePage.from_json(page.to_json())) == repr(page)
