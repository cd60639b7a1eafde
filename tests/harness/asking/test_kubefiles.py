import os
from pathlib import Path

import pytest

from harness.asking.kubefiles import find_kubefiles, is_kubefile_name, kubefile_in


@pytest.mark.parametrize("name", ["Kubefile", "kubefile", "app.Kubefile", "Kubefile.app", "Kubefile.arm64"])
def test_kubefiles_are_known_by_their_names(name: str) -> None:
    assert is_kubefile_name(name)


@pytest.mark.parametrize("name", ["Kubefile.py", "Kubefile.md", "Kubefile~", "Dockerfile", "myKubefile", "KUBEFILE"])
def test_other_files_are_no_kubefiles(name: str) -> None:
    assert not is_kubefile_name(name)


def named(folder: Path, *texts: str) -> list[tuple[str, str]]:
    return [(text, os.path.join(folder, text)) for text in texts]


def touch(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def test_a_folder_stands_for_every_kubefile_below_it(tmp_path: Path) -> None:
    touch(tmp_path, "b/Kubefile", "a/deep/app.Kubefile", "a/Kubefile.py", ".git/Kubefile", "a/README")

    found = find_kubefiles(named(tmp_path, "."))

    assert [os.path.relpath(path, tmp_path) for path in found] == ["a/deep/app.Kubefile", "b/Kubefile"]


def test_a_glob_matches_files_whatever_their_names_and_folders_with_a_kubefile(tmp_path: Path) -> None:
    touch(tmp_path, "app/Kubefile", "app/other", "lib/other")

    found = find_kubefiles(named(tmp_path, "*", "app/o*"))

    assert [os.path.relpath(path, tmp_path) for path in found] == ["app/Kubefile", "app/other"]


def test_a_file_that_is_named_twice_stands_once(tmp_path: Path) -> None:
    touch(tmp_path, "Kubefile")

    assert find_kubefiles(named(tmp_path, "Kubefile", "K*")) == (str(tmp_path / "Kubefile"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("app/Kubfile", r"--kubefile=app/Kubfile: .*/app/Kubfile does not exist \(did you mean Kubefile\?\)"),
        ("*/x", r"--kubefile=\*/x: nothing matches"),
        ("empty", r"--kubefile=empty: no Kubefile in this folder or below it"),
        ("nowhere/x", r"--kubefile=nowhere/x: .* does not exist$"),
    ],
    ids=["misspelt", "glob", "folder", "no such folder"],
)
def test_what_stands_for_nothing_is_a_usage_error(tmp_path: Path, text: str, message: str) -> None:
    touch(tmp_path, "app/Kubefile", "empty/README")

    with pytest.raises(pytest.UsageError, match=message):
        find_kubefiles(named(tmp_path, text))


def test_a_projects_kubefile_is_found_under_both_its_names(tmp_path: Path) -> None:
    touch(tmp_path, "a/kubefile", "b/Kubefile", "b/kubefile", "c/x.Kubefile")

    assert [kubefile_in(str(tmp_path / name)) for name in "abc"] == [
        str(tmp_path / "a/kubefile"),
        str(tmp_path / "b/Kubefile"),
        None,
    ]
