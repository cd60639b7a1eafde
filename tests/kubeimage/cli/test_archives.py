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
        (["save", "app:v1", "-o", "x", "--referrers", "sig"], 2, "--referrers: not a kind of referrer: 'sig'"),
        (["save", "app:v1", "-o", "x", "--referrers", "all,sbom"], 2, "not a kind of referrer: 'all'"),
        (["save", "app:v1", "-o", "x", "--format=docker-archive", "--referrers=all"], 2, "no room for what refers to"),
        (["load", "-i", "x", "--referrers", ""], 2, "not a kind of referrer: ''"),
        (["pull", "app:v1", "--referrers", "sboms"], 2, "not a kind of referrer: 'sboms'"),
        (["save", "app:v1", "-o", "x", "--format=docker-archive", "--compression=gzip"], 2, "layers uncompressed"),
        (["save", "app:v1", "-o", "x", "--platform=linux/s390x"], 1, "it is for linux/"),
        (["save", "app:v1", "-o", "/"], 2, "'/' is a folder"),
        (["save", "app:v1", "-o", "x", "--split", "many"], 2, "'many': it is a number of bytes above 0"),
        (["save", "app:v1", "-o", "x", "--split", "1kB"], 2, "parts of 1000 bytes have no room"),
        (["save", "app:v1", "-o", "x", "--since", "gone:v7"], 1, "no image gone:v7"),
        (["save", "app:v1", "-o", "x", "--since", "a"], 1, "a:1: a line of an inventory has"),
        (["inventory", "gone:v7"], 1, "no image gone:v7"),
        (["load", "--check", "-i", "a"], 1, "a: this is no archive of images"),
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
    (tmp_path / "a").write_text("no inventory at all, nor an archive")
    before = sorted(tmp_path.iterdir())

    failed = built(*arguments, status=status)

    assert expected in failed.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_difference_in_parts_travels_by_an_inventory(built: Run, make_context: MakeContext, tmp_path: Path) -> None:
    site = tmp_path / "elsewhere"
    built("save", "app:v1", "-o", tmp_path / "app.tar")
    built("--root", site, "load", "-i", tmp_path / "app.tar")
    (tmp_path / "inventory").write_text(built("--root", site, "inventory", "--format=json").stdout)
    built("build", "-q", "-t", "app:v2", make_context({**PROJECT, "Kubefile": "FROM app:v1\nCOPY a b\n"}))

    saved = built("save", "app:v2", "-o", tmp_path / "p", "--since", tmp_path / "inventory", "--split=64kB")
    checked = built("load", "--check", "-i", tmp_path / "p", "--format=json")
    loaded = built("--root", site, "load", "-i", tmp_path / "p")

    assert "1 layer left out, " in saved.stderr
    assert saved.stderr.endswith(f"written to {tmp_path / 'p'} in 1 part\n")
    assert json.loads(checked.stdout) == [f"{tmp_path / 'p/p.1of1.tar'}: part 1 of 1 of {NAME}, whole"]
    assert (loaded.stdout, loaded.stderr.count("layer ")) == (f"loaded app:v2 ({Platform.host()})\n", 1)


NAME = "registry.cn-qingdao.aliyuncs.com/sealer-io/app:v2"


def test_the_table_of_an_inventory_is_read_back(built: Run, tmp_path: Path) -> None:
    table = built("inventory", "app:v1").stdout
    (tmp_path / "table").write_text(table)

    saved = built("save", "app:v1", "-o", tmp_path / "nothing.tar", "--since", tmp_path / "table")

    assert table.splitlines()[0].split() == ["KIND", "DIGEST", "SIZE", "IMAGE"]
    assert "1 layer left out, " in saved.stderr
