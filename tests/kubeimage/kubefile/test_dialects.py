import pytest

from kubeimage.errors import KubefileError
from kubeimage.image.compatibility import Dialect
from kubeimage.kubefile import parse, render
from kubeimage.kubefile.dialects import choose_dialect

FROM = "FROM scratch\n"


@pytest.mark.parametrize(
    ("file", "text", "asked", "preset", "expected"),
    [
        ("Kubefile", FROM, None, "sealer", "sealer"),
        ("Kubefile", FROM, None, "sealos", "sealos"),
        ("kubefile", FROM, "sealos", "sealer", "sealos"),
        ("Dockerfile", FROM, None, "sealer", "sealos"),
        ("a/b/Sealfile", FROM, None, "sealer", "sealos"),
        ("Containerfile", FROM, None, "sealer", "sealos"),
        ("Dockerfile", FROM, "sealer", "sealer", "sealer"),
        ("Kubefile", f"# syntax=sealos\n{FROM}", None, "sealer", "sealos"),
        ("Dockerfile", f"# syntax=sealer\n{FROM}", None, "sealos", "sealer"),
        ("Kubefile", f"# syntax=sealos\n{FROM}", "sealer", "sealer", "sealer"),
        ("Kubefile", f"# a project\n#Syntax = sealos \n{FROM}", None, "sealer", "sealos"),
        ("Kubefile", f"\N{BYTE ORDER MARK}# escape=`\r\n# syntax=sealos\r\n{FROM}", None, "sealer", "sealos"),
        ("Kubefile", f"{FROM}# syntax=sealos\n", None, "sealer", "sealer"),
        ("Kubefile", f"\n# syntax=sealos\n{FROM}", None, "sealer", "sealer"),
        ("Dockerfile", f"# syntax=docker/dockerfile:1\n{FROM}", None, "sealer", "sealos"),
    ],
)
def test_the_dialect_is_what_says_so_first(
    file: str, text: str, asked: Dialect | None, preset: Dialect, expected: Dialect
) -> None:
    assert parse(text, file=file, dialect=asked, preset=preset).dialect == expected


def test_the_name_of_a_folder_says_nothing() -> None:
    assert choose_dialect("Dockerfile/Kubefile", None, asked=None, preset="sealer") == "sealer"


@pytest.mark.parametrize(("word", "dialect"), [("ENV", "sealos"), ("entrypoint", "sealos"), ("LAUNCH", "sealer-0.9")])
def test_a_word_of_another_dialect_is_an_error_that_names_it(word: str, dialect: str) -> None:
    with pytest.raises(KubefileError) as caught:
        parse(f"{FROM}{word} A=1\n")

    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0201"
    assert diagnostic.hint is not None
    assert f"--dialect {dialect}" in diagnostic.hint


def test_equal_text_in_two_dialects_is_two_kubefiles() -> None:
    text = f"{FROM}COPY a b\n"

    assert parse(text) != parse(text, dialect="sealos")


@pytest.mark.parametrize(
    "text",
    [
        f'{FROM}ENV A=1 \\\n  B=\'x y\'\nCOPY --chmod=755 a [b] c/\nCMD ["a", "b c"]\nCMD x  y\n',
        f"ARG V\n{FROM}RUN <<E\none\nE\nWORKDIR /a\nHEALTHCHECK NONE\n",
    ],
)
def test_what_is_rendered_is_read_as_the_same(text: str) -> None:
    kubefile = parse(text, dialect="sealos")

    assert parse(render(kubefile)) == kubefile


@pytest.mark.parametrize(("value", "length"), [("", 1), ("x", 1), ("nobody/knows:1", 14)])
def test_a_dialect_that_is_none_is_pointed_at(value: str, length: int) -> None:
    with pytest.raises(KubefileError) as caught:
        parse(f"# syntax={value}\nFROM scratch\n")

    (found,) = caught.value.diagnostics
    assert found.location is not None
    assert (found.location.column, found.location.length) == (10, length)
