"""How sure a word is to be an image's name."""

import pytest

from kubeimage.discovery.names import Form, read_token

DIGEST = f"sha256:{'a' * 64}"

# A word, the name in it, and what tells that it is one; None where nothing does.
WORDS: list[tuple[str, str, Form | None]] = [
    ("a/b:1", "a/b:1", Form.PATH),
    ("A/b:1", "A/b:1", Form.PATH),
    ("a:1", "a:1", Form.WORD),
    ("a.b/c:1", "a.b/c:1", Form.HOST),
    ("h:5000/a:1", "h:5000/a:1", Form.HOST),
    ("[::1]/a:1", "[::1]/a:1", Form.HOST),
    ("localhost/c:1", "localhost/c:1", Form.HOST),
    (f"a/b@{DIGEST}", f"a/b@{DIGEST}", Form.HOST),
    (f"a@{DIGEST}", f"a@{DIGEST}", Form.HOST),
    (f"a:1@{DIGEST}", f"a:1@{DIGEST}", Form.HOST),
    ("a/b:1@x", "a/b:1@x", Form.PATH),
    ("a:1@x", "a:1@x", Form.WORD),
    (f"@{DIGEST}", "", None),
    ("a/b@x", "", None),
    ("a/b", "", None),
    ("a/b:", "", None),
    ("a/:1", "", None),
    ("image:a/b:1", "a/b:1", Form.PATH),
    ("4.2.0:a/b:1", "a/b:1", Form.PATH),
    ("docker-archive:f@a/b:1", "a/b:1", Form.PATH),
    ("http://a/b:1", "a/b:1", Form.PATH),
]


@pytest.mark.parametrize(("word", "name", "form"), WORDS)
def test_a_word_says_by_its_form_that_it_is_a_name(word: str, name: str, form: Form | None) -> None:
    found = read_token(word)

    assert (found and (found.text, found.form)) == (form and (name, form))
