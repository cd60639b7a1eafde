import json
import re
from pathlib import Path

import pytest

from tests.kubeimage.cli.conftest import MakeContext, Run


@pytest.fixture
def store(run: Run, make_context: MakeContext, root: Path) -> Path:
    """A store with an image, and with one that lost its name."""
    run("build", "-q", "-t", "app:v1", make_context({"Kubefile": "FROM scratch\nCOPY a .\n", "a": "1" * 5000}))
    run("build", "-q", "-t", "app:v1", make_context({"a": "2" * 5000}))
    return root


def damage(root: Path, run: Run) -> Path:
    """Change a byte of the image's layer."""
    (step,) = json.loads(run("history", "app:v1", "--format=json").stdout)
    blob = root / "blobs/sha256" / str(step["layer"]).removeprefix("sha256:")
    data = bytearray(blob.read_bytes())
    data[600] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    return blob


def test_a_sound_store_has_no_findings(store: Path, run: Run) -> None:
    run("prune", "--keep-cache")
    result = run("fsck")

    assert (result.stdout, result.stderr) == ("", "the store is sound\n")
    assert run("fsck", "--format=json").stdout == "[]\n"


def test_damage_is_found_and_fails(store: Path, run: Run) -> None:
    blob = damage(store, run)

    result = run("fsck", status=1)
    findings = json.loads(run("fsck", "--format=json", status=1).stdout)

    assert f"  --> {blob}\nhint: " in result.stdout
    assert re.fullmatch(r"\d damaged, \d notes?\n", result.stderr)
    assert str(blob) in [finding["where"] for finding in findings if finding["damage"] and not finding["repaired"]]


def test_a_policy_keeps_the_cache_but_for_what_it_lets_go(store: Path, run: Run) -> None:
    assert run("prune", "--unused-for", "30d").stderr.startswith("freed ")
    assert (store / "cache/keys").is_dir()

    would = json.loads(run("prune", "--keep-size=1kB", "--dry-run", "--format=json").stdout)
    done = run("prune", "--keep-size=1kB")

    assert {item["kind"] for item in would["items"]} >= {"cache"}
    assert "more than 1.0 kB are left: images and builds need them" in done.stderr
    assert run("prune", "--cache", "--unused-for=1h").stderr == "freed 0 B, 0 items\n"
    assert run("prune", "--snapshots").stderr == "freed 0 B, 0 items\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--keep-size", "much"], "'much': it is a number of bytes above 0"),
        (["--unused-for", "long"], "'long': "),
        (["--keep-cache", "--cache"], "--keep-cache and --cache contradict each other"),
    ],
)
def test_a_policy_that_says_nothing_is_refused(store: Path, run: Run, arguments: list[str], expected: str) -> None:
    assert expected in run("prune", *arguments, status=2).stderr


def test_prune_says_what_it_would_free_and_then_frees_it(store: Path, run: Run) -> None:
    before = sorted(path.name for path in (store / "blobs/sha256").iterdir())
    would = json.loads(run("prune", "--dry-run", "--format=json").stdout)

    listed = run("prune")

    after = sorted(path.name for path in (store / "blobs/sha256").iterdir())
    assert (would["dry_run"], would["size"]) == (True, sum(item["size"] for item in would["items"]))
    assert sorted(item["name"] for item in would["items"] if item["kind"] == "blob") == sorted({*before} - {*after})
    assert listed.stdout.startswith("KIND ")
    assert listed.stderr.startswith("freed ")
    assert run("prune").stderr == "freed 0 B, 0 items\n"
    assert run("fsck").stdout == ""


def test_a_kept_cache_still_hits(store: Path, run: Run, make_context: MakeContext) -> None:
    run("prune", "--keep-cache")

    result = run("build", "-t", "app:v1", "--progress=json", make_context({}))

    assert [event["cached"] for event in map(json.loads, result.stderr.splitlines()) if "cached" in event] == [True]
