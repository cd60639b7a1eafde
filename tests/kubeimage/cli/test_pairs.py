"""Two images: what differs, and both in one."""

import json
import os

import pytest

from tests.kubeimage.cli.conftest import MakeContext, Run

LOWER = {"Kubefile": "FROM scratch\nCOPY a b c .\nCMD one\n", "a/x": "1", "a/y": "1", "b": "same", "c": "old"}
UPPER = {
    "Kubefile": "FROM scratch\nARG V=1\nCOPY a b c .\nCOPY --chmod=755 b d\nCMD two\n",
    "a/x": "1",
    "b": "same",
    "c": "new",
}


@pytest.fixture
def both(run: Run, make_context: MakeContext) -> Run:
    """Build lower:v1 and upper:v1."""
    run("build", "-q", "-t", "lower:v1", make_context(LOWER, "lower"))
    run("build", "-q", "-t", "upper:v1", make_context(UPPER, "upper"))
    return run


def test_diff_lists_the_paths_that_are_not_alike(both: Run) -> None:
    result = both("diff", "lower:v1", "upper:v1")

    assert [line.split() for line in result.stdout.splitlines()] == [
        ["PATH", "WHAT"],
        ["-", "a/y", "file", "1", "B"],
        ["~", "c", "content"],
        ["+", "d", "directory"],
        ["+", "d/b", "file", "4", "B"],
    ]
    assert result.stderr == "2 paths added, 1 path removed, 1 path changed\n"


def test_diff_as_json_tells_both_sides(both: Run) -> None:
    found = json.loads(both("diff", "upper:v1", "lower:v1", "--format=json").stdout)

    assert [(one["path"], one["change"], one["what"]) for one in found] == [
        ("a/y", "added", []),
        ("c", "changed", ["content"]),
        ("d", "removed", []),
        ("d/b", "removed", []),
    ]
    assert found[3]["old"] == {"type": "file", "mode": "0755", "size": 4, "target": None}


@pytest.mark.parametrize("name", ["lower:v1", "upper:v1"])
def test_an_image_does_not_differ_from_itself(both: Run, name: str) -> None:
    result = both("diff", name, name)

    assert (result.stdout, result.stderr) == ("", "no difference\n")


def test_diff_tells_types_modes_targets_and_sizes(run: Run, make_context: MakeContext) -> None:
    old = make_context({"Kubefile": "FROM scratch\nCOPY m s t z .\n", "m": "", "t": "", "z": "12"}, "old")
    new = make_context({"Kubefile": "FROM scratch\nCOPY m s t z .\n", "m": "", "t/x": "", "z": "123"}, "new")
    for folder, target in ((old, "m"), (new, "z")):
        (folder / "s").symlink_to(target)
        (folder / "m").chmod(0o644)
    (new / "m").chmod(0o755)
    run("build", "-q", "-t", "old:v1", old)
    run("build", "-q", "-t", "new:v1", new)

    table = run("diff", "old:v1", "new:v1").stdout

    assert [line.split(maxsplit=2)[1:] for line in table.splitlines()[1:]] == [
        ["m", "mode 0644 -> 0755"],
        ["s", "target m -> z"],
        ["t", "type file -> directory"],
        ["t/x", "file"],
        ["z", "content 2 B -> 3 B"],
    ]


def test_merge_gives_the_files_of_one_on_the_other(both: Run, make_context: MakeContext) -> None:
    both("merge", "lower:v1", "upper:v1", "-t", "merged:v1")

    folder = make_context({}, "exported")
    both("export", "merged:v1", "-o", folder)
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert found == {"a/x": "1", "a/y": "1", "b": "same", "c": "new", "d/b": "same"}
    document = json.loads(both("inspect", "merged:v1", "--format=json").stdout)
    assert document["spec"]["image_config"]["cmd"]["current"] == ["one", "two"]
    assert document["spec"]["image_config"]["args"]["current"] == {"V": "1"}
    both("fsck")


def test_a_merge_does_not_depend_on_what_else_is_in_the_store(both: Run, root: os.PathLike[str]) -> None:
    first = both("merge", "lower:v1", "upper:v1", "-t", "merged:v1").stdout
    both("rmi", "merged:v1")
    both("prune")
    both("merge", "upper:v1", "lower:v1", "-t", "other:v1")

    assert both("merge", "lower:v1", "upper:v1", "-t", "again:v1").stdout == first


def test_merged_images_for_several_platforms_are_merged_platform_by_platform(
    run: Run, make_context: MakeContext
) -> None:
    for name, files in (("lower", LOWER), ("upper", UPPER)):
        run("build", "-q", "-t", f"{name}:v1", "--platform=linux/amd64,linux/arm64", make_context(files, name))

    run("merge", "lower:v1", "upper:v1", "-t", "merged:v1")
    run("merge", "lower:v1", "upper:v1", "-t", "one:v1", "--platform=arm64")

    listed = [(one["name"], one["platform"]) for one in json.loads(run("images", "--format=json").stdout)]
    assert [one for one in listed if one[0] in ("merged:v1", "one:v1")] == [
        ("merged:v1", "linux/amd64"),
        ("merged:v1", "linux/arm64"),
        ("one:v1", "linux/arm64"),
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (["lower:v1"], 2, "two images or more"),
        (["lower:v1", "uper:v1"], 1, "did you mean upper:v1"),
        (["lower:v1", "upper:v1", "--platform=s390x"], 1, "no image lower:v1 for linux/s390x"),
    ],
)
def test_a_merge_that_cannot_be_is_an_error(both: Run, arguments: list[str], status: int, expected: str) -> None:
    failed = both("merge", *arguments, "-t", "merged:v1", status=status)

    assert expected in failed.stderr
    assert "merged" not in both("images").stdout
