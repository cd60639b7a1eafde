import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kubeimage.kubefile.dockerfile.words import WordError, expand_word, split_words

VARIABLES = {"A": "1", "E": "", "S": "two words"}


# Each of these was tried with buildah 1.28.2, whose results they are.
@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("plain", "plain"),
        ("$A${A}", "11"),
        ("$UNSET.", "."),
        (r"\$A", "$A"),
        ("'$A'", "$A"),
        ('"$S"', "two words"),
        (r'"x\y\"z\$q\n"', r'x\y"z$q\n'),
        (r"'s\t $X'", r"s\t $X"),
        (r"a\ b", "a b"),
        (r"p\\q", r"p\q"),
        (r'"p\\q"', r"p\q"),
        ('${H:-" --set a=1 "}', " --set a=1 "),
        ("${E:-d}", "d"),
        ("${A:+set}${E:+set}", "set"),
        ("${UNSET:-${A}}", "1"),
        ('"${UNSET:-${S}}"', "two words"),
        ('"$"', "$"),
        ("a$", "a$"),
        ("x'y'\"z\"", "xyz"),
    ],
)
def test_a_word_is_unquoted_and_expanded(word: str, expected: str) -> None:
    assert expand_word(word, VARIABLES) == expected


@pytest.mark.parametrize("word", ['"open', "'open", "${A", "${A:-x", "${A-x}", "${A:?x}", "${}"])
def test_what_is_not_closed_or_not_known_is_an_error(word: str) -> None:
    with pytest.raises(WordError):
        expand_word(word, VARIABLES)


def test_blanks_in_quotes_part_no_words() -> None:
    assert split_words(r"""A="x y" B='p q' C=a\ b   D""") == ['A="x y"', "B='p q'", r"C=a\ b", "D"]


@given(st.text("ab\"'$\\{}:-+ `"))
@example('"${')
def test_any_text_is_read_or_refused(text: str) -> None:
    for word in split_words(text):
        try:
            expand_word(word, VARIABLES)
        except WordError:
            continue


@given(st.text(st.characters(exclude_characters="'", exclude_categories=["Cs"])))
def test_single_quotes_keep_everything(text: str) -> None:
    assert expand_word(f"'{text}'", VARIABLES) == text
