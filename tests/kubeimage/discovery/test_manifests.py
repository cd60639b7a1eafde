"""What is said of a file that is no YAML."""

import pytest

from kubeimage.discovery.manifests import find_in_manifest, find_in_text

BROKEN = "a: [\nimage: nginx:1\n"


@pytest.mark.parametrize(
    ("file", "text", "warned"),
    [
        ("a.yaml", BROKEN, True),
        ("a.yaml", f"{BROKEN}b: {{{{ .x }}}}\n", False),
        ("a.yaml.tmpl", BROKEN, False),
        ("a.yaml", "a: 1\n", False),
    ],
)
def test_a_file_that_is_no_yaml_and_no_template_is_warned_of(file: str, text: str, warned: bool) -> None:
    found = find_in_manifest(text, file)

    assert [one.partition(": ")[0] for one in found.warnings] == [file] * warned


def test_a_container_s_image_is_its_whole_name_whatever_stands_beside_it() -> None:
    pod = "spec:\n  containers:\n  - image: quay.io/a/b\n    tag: '9'\n"

    assert [str(one.image) for one in find_in_manifest(pod, "a.yaml").found] == ["quay.io/a/b:latest"]


def test_a_name_in_a_text_is_told_with_its_line() -> None:
    (found,) = find_in_text("first\nimage: quay.io/a/b:1\n", "notes").found

    assert found.place.path == "line 2"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("[--image, web:1]", ["docker.io/library/web:1"]),
        ("[--image=web:1]", ["docker.io/library/web:1"]),
        ("[image, web:1]", []),
        ("[--image=web:1, web:2]", ["docker.io/library/web:1"]),
        ("[--address, web:1]", []),
    ],
)
def test_a_word_behind_an_option_is_what_the_option_says(words: str, names: list[str]) -> None:
    assert [str(one.image) for one in find_in_manifest(f"args: {words}\n", "a.yaml").found] == names
