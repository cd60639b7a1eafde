"""``save`` and ``load`` on the command line."""

import json
from pathlib import Path

import pytest

from kubeimage.image.platform import Platform
from tests.kubeimage.cli.conftest import MakeContext, Run

PROJECT = {"Kubefile": "FROM scratch\nCOPY a .\n", "a": "a" * 5000}


@pytest.fixture
def built(run: Run, make_context: MakeContext) -> Run:
    """Build app:v1."""
    run("build", "-q", "-t", "app:v1", make_context(PROJECT))
    return run


def test_what_is_written_and_read_is_told(built: Run, tmp_path: Path) -> None:
    archive = tmp_path / "app.tar"

    saved = built("save", "app:v1", "-o", archive)
    loaded = built("--root", tmp_path / "elsewhere", "load", "-i", archive)

    layer, written = saved.stderr.splitlines()
    assert layer.startswith("layer ")
    assert written.endswith(f"written to {archive}")
    assert (saved.stdout, loaded.stdout, loaded.stderr) == ("", f"loaded app:v1 ({Platform.host()})\n", f"{layer}\n")


def test_loading_as_json_gives_names_and_ids(built: Run, tmp_path: Path) -> None:
    built("save", "app:v1", "-o", tmp_path / "app.tar")
    document = json.loads(built("inspect", "app:v1", "--format=json").stdout)

    loaded = built("load", "-i", tmp_path / "app.tar", "-t", "other:v2", "-t", "third:v3", "--format=json")

    (found,) = json.loads(loaded.stdout)
    assert [name.rpartition("/")[2] for name in found["references"]] == ["other:v2", "third:v3"]
    assert found["images"] == [{"platform": str(Platform.host()), "image_id": f"sha256:{document['spec']['id']}"}]


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (["save", "app:v1"], 2, "missing option '-o'"),
        (["save", "app:v1", "-o", "x", "--format", "zip"], 2, "'zip' is not one of"),
        (["save", "app:v1", "-o", "x", "--compression", "xz"], 2, "not a compression: 'xz'"),
        (["save", "app:v1", "-o", "x", "--format=docker-archive", "--compression=gzip"], 2, "layers uncompressed"),
        (["save", "app:v1", "-o", "x", "--platform=linux/s390x"], 1, "it is for linux/"),
        (["save", "app:v1", "-o", "/"], 2, "'/' is a folder"),
        (["load"], 2, "missing option '-i'"),
        (["load", "-i", "x", "-t", "NAME"], 2, "upper case"),
    ],
)
def test_what_cannot_be_is_an_error(
    built: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())

    failed = built(*arguments, status=status)

    assert expected in failed.stderr
    assert sorted(tmp_path.iterdir()) == before
