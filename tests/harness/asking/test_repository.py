"""What git says has changed, and what is said where git cannot tell."""

import os
import subprocess
from pathlib import Path

import pytest

from harness.asking.repository import Changes, Repositories
from tests.harness.conftest import Git

pytestmark = pytest.mark.needs("git")


@pytest.fixture
def top(git: Git, pytester: pytest.Pytester) -> Path:
    """A repository with a commit."""
    path = pytester.path
    for name in ("a", "b", "folder/c", "naïve file\n"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(name)
    (path / ".gitignore").write_text("*.out\n")
    git("add", ".")
    git("commit", "-m", "first")
    return path


def changed(top: Path, since: str | None = None) -> set[str]:
    return {os.path.relpath(path, top) for path in Repositories(since).need(str(top)).paths}


@pytest.mark.parametrize(
    ("script", "paths"),
    [
        ("true", set()),
        ("touch a", set()),
        ("echo x > a", {"a"}),
        ("echo x > a; git add a", {"a"}),
        ("echo x > a; git add a; printf a > a", set()),
        ("rm a", {"a"}),
        ("git rm -q a", {"a"}),
        ("git mv a folder/d", {"a", "folder/d"}),
        ("mv folder other", {"folder/c", "other/c"}),
        ("chmod +x a", {"a"}),
        ("ln -sf b a", {"a"}),
        ("echo x > new", {"new"}),
        ("mkdir -p n/m; echo x > n/m/new", {"n/m/new"}),
        ("echo x > made.out", {"made.out"}),
        ("echo x > 'naïve file\n'", {"naïve file\n"}),
        ("git init -q inner; echo x > inner/new", {"inner"}),
        ("git config diff.noprefix true; git config diff.renames copies; git mv a d", {"a", "d"}),
    ],
)
def test_what_differs_from_the_last_commit(top: Path, script: str, paths: set[str]) -> None:
    subprocess.run(["sh", "-ec", script], cwd=top, check=True)

    assert changed(top) == paths


def test_without_a_commit_everything_is_new(git: Git, pytester: pytest.Pytester) -> None:
    for name in ("a", "b"):
        (pytester.path / name).write_text(name)
    git("add", "a")

    assert changed(pytester.path) == {"a", "b"}


def test_since_a_branch_is_what_this_one_has_done_beside_it(top: Path, git: Git) -> None:
    git("checkout", "-b", "mine")
    (top / "a").write_text("mine")
    git("commit", "-am", "mine")
    git("checkout", "main")
    (top / "b").write_text("theirs")
    git("commit", "-am", "theirs")
    git("checkout", "mine")
    (top / "new").write_text("not in git")

    assert changed(top, "main") == {"a", "new"}
    assert changed(top) == {"new"}


def test_what_a_hook_of_git_says_of_its_repository_is_not_heeded(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (top / "folder/c").write_text("changed")
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.setenv(name, "elsewhere")

    assert changed(top) == {"folder/c"}


@pytest.mark.parametrize("ref", ["nope", "--all", "main:a", "a b", "@{-7}"])
def test_a_ref_that_names_no_commit_is_a_usage_error(top: Path, ref: str) -> None:
    with pytest.raises(pytest.UsageError, match=r"^--kubefile-changed-since=.*: the repository .* has no commit of"):
        changed(top, ref)


def test_a_shallow_clone_says_so(top: Path, git: Git, tmp_path: Path) -> None:
    git("tag", "v1")
    (top / "a").write_text("second")
    git("commit", "-am", "second")
    clone = tmp_path / "clone"
    git("clone", "--depth=1", top.as_uri(), str(clone))

    assert changed(clone) == set()
    with pytest.raises(pytest.UsageError, match=r"no commit of that name \(this clone is shallow: .*fetch-depth: 0"):
        changed(clone, "v1")
    git("-C", str(clone), "fetch", "--depth=1", "origin", "tag", "v1")
    with pytest.raises(pytest.UsageError, match=r"no commit in common in .* \(this clone is shallow: "):
        changed(clone, "v1")


def test_histories_without_a_commit_in_common_are_a_usage_error(top: Path, git: Git) -> None:
    git("checkout", "--orphan", "other")
    git("commit", "-m", "other")

    with pytest.raises(pytest.UsageError, match=r"no commit in common in .* \(name a commit that this branch comes"):
        changed(top, "main")


def test_no_repository_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(pytest.UsageError, match=r"^--kubefile-changed: .* is in no git repository \(leave the option"):
        Repositories(None).need(str(tmp_path))


def test_no_git_is_a_usage_error(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(pytest.UsageError, match=r"^--kubefile-changed: git cannot be started \(install it, or leave"):
        changed(top)


def test_a_repository_that_git_cannot_read_is_a_usage_error(top: Path) -> None:
    (top / ".git/index").write_text("damaged")

    with pytest.raises(pytest.UsageError, match=r"^--kubefile-changed: git cannot read the repository .* status says"):
        changed(top)


def test_a_repository_of_another_user_has_a_hint_of_its_own(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    with pytest.raises(pytest.UsageError, match=r"git cannot read .* \(it belongs to another user; .* safe.directory"):
        changed(top)


def test_a_folder_has_what_lies_below_it_and_what_it_lies_in() -> None:
    changes = Changes("/r", ("/r/a", "/r/a-b/x", "/r/a.x", "/r/b/c", "/r/b/d/e", "/r/bc", "/r/sub"))

    assert changes.below("/r/b") == ("/r/b/c", "/r/b/d/e")
    assert changes.below("/r/a") == ("/r/a",)
    assert changes.below("/r/sub/folder") == ("/r/sub",)
    assert changes.below("/r") == changes.paths
    assert changes.below("/r/c") == ()
