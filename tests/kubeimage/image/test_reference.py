import pytest

from kubeimage.errors import ReferenceFormatError
from kubeimage.image.digest import Digest
from kubeimage.image.reference import DEFAULT_DOMAIN, DEFAULT_NAMESPACE, Reference

HEX = "a" * 64
DEFAULT = f"{DEFAULT_DOMAIN}/{DEFAULT_NAMESPACE}"


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("kubernetes", f"{DEFAULT}/kubernetes:latest"),
        ("kubernetes:v1.19.8", f"{DEFAULT}/kubernetes:v1.19.8"),
        ("team/app:v1", f"{DEFAULT_DOMAIN}/team/app:v1"),
        (f"{DEFAULT_DOMAIN}/kubernetes:v1", f"{DEFAULT}/kubernetes:v1"),
        ("localhost/app:v1", "localhost/app:v1"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("127.0.0.1:5055/demo/base:v1", "127.0.0.1:5055/demo/base:v1"),
        ("[::1]:5000/app:v1", "[::1]:5000/app:v1"),
        ("docker.io/library/nginx:1.21", "docker.io/library/nginx:1.21"),
        ("a.b/c__d/e-f.g:T_1", "a.b/c__d/e-f.g:T_1"),
        (f"a.b/c@sha256:{HEX}", f"a.b/c@sha256:{HEX}"),
        (f"a.b/c:v1@sha256:{HEX}", f"a.b/c:v1@sha256:{HEX}"),
    ],
)
def test_a_name_is_completed_as_sealer_does(text: str, full: str) -> None:
    assert str(Reference.parse(text)) == full


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the repository is missing"),
        ("a.b/", "the repository is missing"),
        ("App:v1", "upper case"),
        ("a.b/Team/app", "use 'team/app'"),
        ("app:", "'' is not a tag"),
        ("app:-x", "'-x' is not a tag"),
        ("app:" + "t" * 129, "is not a tag"),
        ("a b", "not a repository name"),
        ("app..x", "not a repository name"),
        ("-a.b/c", "not a registry host"),
        ("app@sha256:12", "not a digest"),
        ("app@md5:" + "0" * 32, "not a digest"),
        ("../x", "not a registry host"),
        ("a/" * 200 + "b", "not a repository name"),
    ],
)
def test_a_text_that_is_no_reference_says_which_part_is_wrong(text: str, why: str) -> None:
    with pytest.raises(ReferenceFormatError) as caught:
        Reference.parse(text)

    assert why in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("text", ["app:v1", "team/app:v1", "a.b/c:d", "localhost/x:1", f"a.b/c@sha256:{HEX}"])
def test_the_familiar_name_leads_back_to_the_same_reference(text: str) -> None:
    reference = Reference.parse(text)

    assert reference.familiar() == text
    assert Reference.parse(reference.familiar()) == reference


def test_the_defaults_can_be_others() -> None:
    reference = Reference.parse("app", domain="reg.example.com:5000", namespace="")

    assert str(reference) == "reg.example.com:5000/app:latest"
    assert reference.familiar(domain="reg.example.com:5000", namespace="") == "app:latest"


def test_another_tag_drops_the_digest() -> None:
    reference = Reference("a.b", "c", "v1", Digest(HEX))

    assert reference.with_tag("v2") == Reference("a.b", "c", "v2")
