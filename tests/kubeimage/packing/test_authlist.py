"""``imageListWithAuth.yaml``: what it brings, and what it must never reach."""

from pathlib import Path

import pytest

from harness.fakes.registry import FakeRegistry
from kubeimage.builder.events import PackingFinished
from kubeimage.errors import CredentialsError, RegistryAuthError
from kubeimage.packing.authlist import ListedCredentials, read_auth_list
from tests.containers import small_image
from tests.kubeimage.packing.conftest import Workshop, listing, publish

SECRET = "Tr0ub4dor-and-3"


def write(folder: Path, text: str) -> str:
    (folder / "imageListWithAuth.yaml").write_text(text)
    return str(folder)


def test_a_section_names_images_and_credentials(tmp_path: Path) -> None:
    (section,) = read_auth_list(
        write(
            tmp_path,
            f"- registry: https://r.example.com/\n  username: anna\n  password: {SECRET}\n"
            "  images: [team/app:v1, r.example.com/b:2, other.example.com/c:3]\n",
        )
    )

    assert [str(image) for image in section.images] == [
        "r.example.com/team/app:v1",
        "r.example.com/b:2",
        "other.example.com/c:3",
    ]
    assert section.credentials is not None
    assert section.credentials.password == SECRET
    assert SECRET not in repr(section)


def test_a_password_stays_a_text(tmp_path: Path) -> None:
    (section,) = read_auth_list(write(tmp_path, "- {registry: r.io, username: 0123, password: 1e3}"))

    assert section.credentials is not None
    assert (section.credentials.user, section.credentials.password) == ("0123", "1e3")


def test_without_the_file_there_is_nothing(tmp_path: Path) -> None:
    assert read_auth_list(str(tmp_path)) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"- {{registry: r.io, password: {SECRET}}}", "section 1 .* has no username"),
        ("- {registry: r.io, username: anna}", "section 1 .* has no password"),
        (f"- {{username: anna, password: {SECRET}}}", "does not say for which registry"),
        (f"- {SECRET}", "is not a mapping"),
        (f"password: {SECRET}", "is not a list of sections"),
        (f"- {{registry: r.io, pasword: {SECRET}}}", "a key that means nothing: 'pasword'"),
        (f'- password: "{SECRET}', "is not YAML: line"),
        ("- {registry: r.io, images: [Upper/Case:1]}", "upper case"),
        ("- {registry: r.io, images: {a: b}}", "not a list of names"),
    ],
)
def test_a_bad_file_is_an_error_that_tells_no_secret(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=message) as caught:
        read_auth_list(write(tmp_path, text))

    assert SECRET not in f"{caught.value} {caught.value.hint}"


def test_the_section_that_lists_an_image_is_asked_first(tmp_path: Path) -> None:
    sections = read_auth_list(
        write(
            tmp_path,
            "- {registry: r.io, username: all, password: x}\n"
            "- {registry: r.io, username: one, password: y, images: [team/app:v1]}\n",
        )
    )

    known = ListedCredentials(sections)

    users = {name: found.user for name in ("team/app", "b") if (found := known.get("r.io", name))}
    assert users == {"team/app": "one", "b": "all"}


@pytest.fixture
def private() -> FakeRegistry:
    return FakeRegistry(users={"anna": SECRET})


def test_listed_images_are_packed_and_the_secret_is_nowhere(
    private: FakeRegistry, registries: list[FakeRegistry], workshop: Workshop
) -> None:
    with private as registry:
        registries.append(registry)
        publish(registry, "app:v1", small_image("one"))
        auth = f"- registry: {registry.host}\n  username: anna\n  password: {SECRET}\n  images: [app:v1]\n"

        result = workshop.build({**listing(), "imageListWithAuth.yaml": auth}, name="app:v1")
        registries.remove(registry)
        host = registry.host

    assert workshop.told(PackingFinished)[-1].images == (f"{host}/app:v1",)
    assert "imageListWithAuth" not in str(result.image.config)
    texts = [path.read_bytes() for path in workshop.root.rglob("*") if path.is_file()]
    assert not [text for text in texts if SECRET.encode() in text]
    assert SECRET not in repr(workshop.events)


def test_without_credentials_the_registry_refuses(
    private: FakeRegistry, registries: list[FakeRegistry], workshop: Workshop
) -> None:
    with private as registry:
        registries.append(registry)
        publish(registry, "app:v1", small_image("one"))

        with pytest.raises(RegistryAuthError):
            workshop.build(listing(f"{registry.host}/app:v1"))
        registries.remove(registry)
