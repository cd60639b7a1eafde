"""Which Kubefiles a change concerns."""

import subprocess

import pytest

from harness.trees import Content, Link
from tests.harness.conftest import Git, Run, WriteProject

pytestmark = pytest.mark.needs("git")

PROJECT: dict[str, Content] = {
    # Whole folders, by each rule of leaving out.
    "whole/Kubefile": "FROM scratch\nCOPY . .\n",
    "whole/.kubeignore": "*.log\nskipped/\n",
    "whole/a.log": "",
    "whole/in/a": "a",
    "whole/skipped/a": "a",
    "docker/Dockerfile": "FROM scratch\nCOPY . /\n",
    "docker/.dockerignore": "*\n!kept\n",
    "docker/kept/a": "a",
    "docker/other/a": "a",
    # Single names, patterns and symlinks.
    "parts/Kubefile": "FROM scratch\nARG NAME=one\nCOPY ${NAME}.txt *.yaml dir-?/x etc\nCOPY current/conf etc\n",
    "parts/one.txt": "1",
    "parts/two.txt": "2",
    "parts/a.yaml": "a: 1",
    "parts/b.yaml": "b: 1",
    "parts/dir-1/x": "x",
    "parts/dir-1/y": "y",
    "parts/v1/conf/c": "1",
    "parts/v2/conf/c": "2",
    "parts/current": Link("v1"),
    # A chain of bases: top on middle on bottom, which is a folder; and what takes from an image.
    "top/Kubefile": "FROM middle\nCOPY a etc\n",
    "top/a": "a",
    "middle/Kubefile": "FROM bottom\nCOPY a etc\n",
    "middle/a": "a",
    "middle/unread": "u",
    "bottom/f": "f",
    "taking/Dockerfile": "FROM scratch\nCOPY --from=middle /etc/a /a\n",
    "packed/Kubefile": "FROM rootfs\n",
    "rootfs.tar": "",
}
NAMED = (
    "whole/Kubefile",
    "docker/Dockerfile",
    "parts/Kubefile",
    "top/Kubefile",
    "taking/Dockerfile",
    "packed/Kubefile",
)
BASES = ("middle=middle", "bottom=bottom", "rootfs=rootfs.tar")


@pytest.mark.parametrize(
    ("script", "folders"),
    [
        ("echo x > unrelated", ""),
        ("echo CMD x >> whole/Kubefile", "whole"),
        ("echo x > whole/in/a", "whole"),
        ("echo x > whole/in/new", "whole"),
        ("rm whole/in/a", "whole"),
        ("git mv whole/in whole/out", "whole"),
        ("echo x > whole/a.log; echo x > whole/skipped/a; echo x > whole/new.log", ""),
        ("rm whole/a.log; rm -r whole/skipped", ""),
        ("echo >> whole/.kubeignore", "whole"),
        ("echo x > docker/kept/a", "docker"),
        ("echo x > docker/other/a", ""),
        ("rm docker/other/a", ""),
        ("rm docker/kept/a", "docker"),
        ("echo >> docker/.dockerignore", "docker"),
        ("echo x > parts/one.txt", "parts"),
        ("echo x > parts/two.txt; echo x > parts/dir-1/y; rm parts/v2/conf/c", ""),
        ("echo x > parts/b.yaml", "parts"),
        ("rm parts/b.yaml", "parts"),
        ("echo x > parts/dir-1/x", "parts"),
        ("mkdir parts/dir-2; echo x > parts/dir-2/x", "parts"),
        ("echo x > parts/v1/conf/c", "parts"),
        ("echo x > parts/v2/conf/c", ""),
        ("ln -sfn v2 parts/current", "parts"),
        ("rm parts/one.txt", "parts"),
        ("echo x > top/a", "top"),
        ("echo x > middle/a", "top taking"),
        ("echo x > middle/unread", ""),
        ("echo CMD x >> middle/Kubefile", "top taking"),
        ("echo x > bottom/f", "top taking"),
        ("rm bottom/f; echo x > bottom/g", "top taking"),
        ("echo x > rootfs.tar", "packed"),
        ("echo NONSENSE >> top/Kubefile", "top"),
        ("echo NONSENSE >> middle/Kubefile", "top taking"),
    ],
)
def test_only_what_a_change_concerns_is_run(
    project: WriteProject, run: Run, git: Git, pytester: pytest.Pytester, script: str, folders: str
) -> None:
    project(PROJECT)
    git("add", ".")
    git("commit", "-m", "first")
    subprocess.run(["sh", "-ec", script], cwd=pytester.path, check=True)

    named = [f"--kubefile={path}" for path in NAMED]
    bases = [f"--kubefile-base={base}" for base in BASES]
    result = run("--kubefile-changed", "--collect-only", "-q", "-p", "no:cacheprovider", *named, *bases)

    shown = {line.partition("/")[0] for line in result.outlines if "file::" in line}
    assert shown == set(folders.split())
    assert result.ret == pytest.ExitCode.OK


@pytest.mark.parametrize(("script", "runs"), [("echo x > shared/a", True), ("echo x > app/a", False)])
def test_the_context_that_the_run_names_is_looked_at(
    project: WriteProject, run: Run, git: Git, pytester: pytest.Pytester, script: str, runs: bool
) -> None:
    project({"app/Kubefile": "FROM scratch\nCOPY a etc\n", "app/a": "1", "shared/a": "2"})
    git("add", ".")
    git("commit", "-m", "first")
    subprocess.run(["sh", "-ec", script], cwd=pytester.path, check=True)

    result = run("--kubefile-changed", "--collect-only", "-q", "--kubefile=app", "--kubefile-context=shared")

    assert ("app/Kubefile::build" in result.outlines) is runs


def test_what_no_repository_holds_counts_as_changed(
    project: WriteProject, run: Run, git: Git, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "a").write_text("a")
    project({"app/Kubefile": "FROM base\n"})
    git("add", ".")
    git("commit", "-m", "first")

    result = run("--kubefile-changed", "--collect-only", "-q", "--kubefile=app", f"--kubefile-base=base={outside}")

    assert "app/Kubefile::build" in result.outlines
