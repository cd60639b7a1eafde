import pytest

from kubeimage.discovery.references import Choice, familiar, parse_ignore_file, parse_image

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("bitnami/redis:7", "docker.io/bitnami/redis:7"),
        ("docker.io/nginx:1", "docker.io/library/nginx:1"),
        ("index.docker.io/library/nginx:1", "docker.io/library/nginx:1"),
        ("registry-1.docker.io/nginx:1", "docker.io/library/nginx:1"),
        ("registry.local:5000/a:1", "registry.local:5000/a:1"),
        (f"nginx@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
        (f"a.com/x:1@{DIGEST}", f"a.com/x:1@{DIGEST}"),
    ],
)
def test_short_names_mean_docker_hub(text: str, full: str) -> None:
    image = parse_image(text)

    assert str(image) == full
    assert parse_image(familiar(image)) == image


@pytest.mark.parametrize(
    ("pattern", "ignored"),
    [
        ("nginx", ["nginx:1", "nginx:2"]),
        ("nginx:1", ["nginx:1"]),
        ("nginx:*", ["nginx:1", "nginx:2"]),
        ("docker.io/library/nginx:2", ["nginx:2"]),
        ("quay.io/*", ["quay.io/team/app:1"]),
        ("*/app", ["quay.io/team/app:1"]),
        ("ngin", []),
    ],
)
def test_patterns_of_names_leave_images_out(pattern: str, ignored: list[str]) -> None:
    names = ["nginx:1", "nginx:2", "quay.io/team/app:1"]

    assert [name for name in names if Choice((pattern,)).ignores(parse_image(name))] == ignored


def test_an_ignore_file_has_comments_and_blank_lines() -> None:
    assert parse_ignore_file("\ufeff# all\n\n  quay.io/*  # theirs\nnginx\r\n") == ("quay.io/*", "nginx")
