"""Secrets of a RUN: it finds them, and nobody else does, anywhere."""

import secrets as random
from pathlib import Path

import pytest

from kubeimage.layer.disclosure import Secrets
from tests.e2e.program import Program

SEALER = "FROM scratch\nRUN --mount=type=secret,id=token {shown}{command}\n"


@pytest.fixture
def value() -> bytes:
    return random.token_hex(16).encode()


@pytest.fixture
def context(tmp_path: Path, value: bytes) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (tmp_path / "token").write_bytes(value + b"\n")
    return folder


def leaks(folder: Path, value: bytes) -> list[str]:
    """Return the files below a folder that give a secret away."""
    known = Secrets({"token": value})
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return [str(path) for path in files if known.find(path.read_bytes()) is not None]


@pytest.mark.parametrize(
    ("mount", "read"),
    [
        ("id=token", "cat /run/secrets/token"),
        ("id=token,target=/tmp/other", "cat /tmp/other"),
        ("id=token,env=TOKEN", 'printf %s "$TOKEN"'),
    ],
)
@pytest.mark.parametrize("progress", ["plain", "json"])
def test_a_run_finds_it_and_nothing_keeps_it(
    kubeimage: Program, context: Path, value: bytes, mount: str, read: str, progress: str
) -> None:
    (context / "Kubefile").write_text(
        f"FROM scratch\nRUN --mount=type=secret,{mount} {read}; {read} | wc -c > size; {read} | base64\n"
    )

    done = kubeimage.run(
        "build", f"--progress={progress}", "--secret", f"id=token,src={context.parent}/token", "-t", "a:1", context
    )

    said = Secrets({"token": value})
    assert said.find(done.stdout.encode()) is said.find(done.stderr.encode()) is None
    assert "[secret token]" in done.stderr
    assert leaks(kubeimage.root, value) == []
    export = kubeimage.export("a:1")
    assert sorted(str(path.relative_to(export)) for path in export.rglob("*")) == ["size"]
    assert (export / "size").read_text().strip() == str(len(value) + 1)


@pytest.mark.parametrize("write", ["cat", "base64", "od -An -tx1 -v | tr -d ' \\n' <"])
def test_a_run_that_leaves_it_fails(kubeimage: Program, context: Path, value: bytes, write: str) -> None:
    command = f"{write} /run/secrets/token > etc-copy" if "<" not in write else ""
    command = command or "od -An -tx1 -v /run/secrets/token | tr -d ' \\n' > etc-copy"
    (context / "Kubefile").write_text(f"FROM scratch\nRUN --mount=type=secret,id=token {command}\n")

    done = kubeimage.run("build", "--secret", f"id=token,src={context.parent}/token", "-t", "a:1", context, status=1)

    assert "has left the secret token in the image, in 'etc-copy'" in done.stderr
    assert "Kubefile:2" in done.stderr
    assert leaks(kubeimage.root, value) == []


def test_a_failing_run_tells_it_to_nobody(kubeimage: Program, context: Path, value: bytes) -> None:
    (context / "Kubefile").write_text(
        "FROM scratch\nRUN --mount=type=secret,id=token,env=TOKEN echo about $TOKEN; exit 3\n"
    )

    done = kubeimage.run("build", "--secret", f"id=token,src={context.parent}/token", "-t", "a:1", context, status=1)

    assert value.decode() not in done.stderr
    assert "about [secret token]" in done.stderr


def test_another_value_is_no_other_build(kubeimage: Program, context: Path, value: bytes) -> None:
    (context / "Kubefile").write_text(
        "FROM scratch\nRUN --mount=type=secret,id=token cat /run/secrets/token >/dev/null\n"
    )
    kubeimage.run("build", "--secret", f"id=token,src={context.parent}/token", "-t", "a:1", context)
    (context.parent / "token").write_text("another one")

    done = kubeimage.run("build", "--secret", f"id=token,src={context.parent}/token", "-t", "a:1", context)

    assert "cached" in done.stderr


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("id=token", "names no secret"),
        ("src=token", "names no secret"),
        ("id=token,src=nowhere", "cannot read 'nowhere': No such file or directory"),
        ("id=token,env=NOWHERE_SET", "the variable NOWHERE_SET is not set"),
        ("id=token,file=x", "comes from nowhere"),
    ],
)
def test_an_option_that_names_none_is_refused(kubeimage: Program, context: Path, option: str, why: str) -> None:
    (context / "Kubefile").write_text("FROM scratch\n")

    done = kubeimage.run("build", "--secret", option, "-t", "a:1", context, status=2)

    assert why in done.stderr


def test_a_short_value_is_refused(kubeimage: Program, context: Path) -> None:
    (context / "Kubefile").write_text("FROM scratch\n")
    (context.parent / "token").write_text("1234567\n")

    done = kubeimage.run("build", "--secret", f"id=token,src={context.parent}/token", "-t", "a:1", context, status=2)

    assert "has 7 bytes, and needs 8" in done.stderr
    assert "1234567" not in done.stderr


def test_what_is_required_and_missing_is_told(kubeimage: Program, context: Path) -> None:
    (context / "Kubefile").write_text("FROM scratch\nRUN --mount=type=secret,id=token,required=true true\n")

    done = kubeimage.run("build", "-t", "a:1", context, status=1)

    assert "needs the secret token" in done.stderr
    assert "--secret id=token,src=FILE" in done.stderr


def test_only_secrets_are_mounted_in_a_kubefile(kubeimage: Program, context: Path) -> None:
    (context / "Kubefile").write_text("FROM scratch\nRUN --mount=type=cache,target=/x true\n")

    done = kubeimage.run("build", "-t", "a:1", context, status=2)

    assert "RUN takes --mount=type=secret" in done.stderr
