"""Images for several platforms under one name."""

import json

import pytest

from kubeimage.image.platform import Platform
from tests.kubeimage.cli.conftest import MakeContext, Run

BOTH = "--platform=linux/amd64,linux/arm64"
PROJECT = {
    "Kubefile": "FROM scratch\nCOPY ${ARCH} bin\nCOPY common .\n",
    "amd64": "a",
    "arm64": "b",
    "common": "c",
}


def listed(run: Run) -> list[tuple[str, str]]:
    return [(one["name"], one["platform"]) for one in json.loads(run("images", "--format=json").stdout)]


def test_a_build_for_several_platforms_makes_one_index(run: Run, make_context: MakeContext) -> None:
    context = make_context(PROJECT)

    built = run("build", "-q", "-t", "app:v1", BOTH, context)

    assert listed(run) == [("app:v1", "linux/amd64"), ("app:v1", "linux/arm64")]
    found = [
        json.loads(run("inspect", "app:v1", "--format=json", f"--platform={one}").stdout) for one in ("amd64", "arm64")
    ]
    assert [one["architecture"] for one in found] == ["amd64", "arm64"]
    assert run("inspect", f"app@{built.stdout.strip()}", "--platform=arm64").stdout.startswith("architecture: arm64")
    run("fsck")


def test_each_image_is_what_a_build_for_its_platform_makes(run: Run, make_context: MakeContext) -> None:
    context = make_context(PROJECT)
    alone = run("build", "-q", "-t", "alone:v1", "--platform=linux/arm64", "--no-cache", context).stdout.strip()

    run("build", "-q", "-t", "app:v1", BOTH, "--no-cache", context)

    together = json.loads(run("inspect", "app:v1", "--platform=arm64", "--format=json").stdout)
    assert f"sha256:{together['spec']['id']}" == alone


def test_of_several_platforms_none_is_shown_where_one_fails(run: Run, make_context: MakeContext) -> None:
    context = make_context(PROJECT)
    (context / "arm64").unlink()

    failed = run("build", "-t", "app:v1", BOTH, context, status=1)

    assert "'arm64'" in failed.stderr
    assert listed(run) == []


def test_a_rebuild_takes_all_platforms_from_the_cache(run: Run, make_context: MakeContext) -> None:
    context = make_context(PROJECT)
    first = run("build", "-q", "-t", "app:v1", BOTH, context)

    again = run("build", "-t", "app:v1", BOTH, context)
    planned = json.loads(run("plan", BOTH, "--format=json", context).stdout)

    assert again.stdout == first.stdout
    assert again.stderr.count("cached: ") == 4
    assert [(one["platform"], one["outcome"]) for one in planned] == [
        (platform, "hit") for platform in ("linux/amd64", "linux/arm64") for _ in range(2)
    ]


def test_an_image_for_several_platforms_is_a_base_for_each(run: Run, make_context: MakeContext) -> None:
    run("build", "-q", "-t", "base:v1", BOTH, make_context(PROJECT))
    context = make_context({"Kubefile": "FROM base:v1\nCOPY x .\n", "x": "x"}, "above")

    run("build", "-q", "-t", "app:v1", BOTH, context)

    run("rmi", "base:v1")
    assert listed(run) == [("app:v1", "linux/amd64"), ("app:v1", "linux/arm64")]
    run("fsck")


def test_a_base_that_lacks_a_platform_is_told_before_any_work(run: Run, make_context: MakeContext) -> None:
    run("build", "-q", "-t", "base:v1", "--platform=linux/amd64", make_context(PROJECT))
    context = make_context({"Kubefile": "FROM base:v1\nCOPY x .\n", "x": "x"}, "above")

    failed = run("build", "-t", "app:v1", BOTH, "--pull=never", context, status=1)

    assert "not in the store for linux/arm64; the store has it for linux/amd64" in failed.stderr
    assert "[1/1]" not in failed.stderr


@pytest.mark.parametrize("command", ["build", "plan"])
def test_a_run_for_a_foreign_platform_is_told_before_any_work(
    run: Run, make_context: MakeContext, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(Platform, "host", lambda: Platform("linux", "amd64"))
    monkeypatch.setattr("kubeimage.run.foreign.HANDLERS", "/nonexistent")
    context = make_context({"Kubefile": "FROM scratch\nCOPY x .\nRUN ls\n", "x": "x"})

    failed = run(command, "-t", "app:v1", "--platform=linux/s390x", context, status=1)

    assert "a RUN for linux/s390x cannot run on this linux/amd64 machine" in failed.stderr
    assert "Kubefile:3:1" in failed.stderr
    assert "[1/2]" not in failed.stderr


def test_one_platform_is_removed_and_the_other_stays(run: Run, make_context: MakeContext) -> None:
    run("build", "-q", "-t", "app:v1", BOTH, make_context(PROJECT))

    removed = run("rmi", "app:v1", "--platform=linux/arm64")
    missing = run("rmi", "app:v1", "--platform=linux/arm64", status=1)

    assert removed.stdout.startswith("untagged app:v1 for linux/arm64\nfreed ")
    assert "no image app:v1 for linux/arm64" in missing.stderr
    assert listed(run) == [("app:v1", "linux/amd64")]
    run("fsck")


def test_exports_and_histories_are_a_platforms(run: Run, make_context: MakeContext) -> None:
    context = make_context(PROJECT)
    run("build", "-q", "-t", "app:v1", BOTH, context)

    run("export", "app:v1", "--platform=arm64", "-o", str(context / "out"))
    histories = {run("history", "app:v1", f"--platform={one}").stdout for one in ("amd64", "arm64")}

    assert (context / "out/bin/arm64").read_text() == "b"
    assert len(histories) == 2
