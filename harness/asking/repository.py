"""What has changed in a git repository, by git itself.

Source: git-diff(1), git-ls-files(1), git-merge-base(1).
"""

from __future__ import annotations

import os
import subprocess
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

# A hook of git's names the repository that it runs in by these; here each folder's own is meant.
_OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY")
_NO_LOCKS = "--no-optional-locks"


@dataclass(frozen=True)
class Changes:
    """The paths that differ in one repository.

    Shape: ``top`` is the repository's folder; ``paths`` are absolute and sorted. They are files and symlinks, there or
           not, and folders that are repositories of their own.
    """

    top: str
    paths: tuple[str, ...]

    def below(self, folder: str) -> tuple[str, ...]:
        """Return those below ``folder``, and a path that ``folder`` itself lies at or below."""
        prefix = folder.rstrip(os.sep) + os.sep
        start = bisect_left(self.paths, prefix)
        end = bisect_left(self.paths, prefix[:-1] + chr(ord(os.sep) + 1))
        above = tuple(path for path in _ways(folder, self.top) if self.has(path))
        return above + self.paths[start:end]

    def has(self, path: str) -> bool:
        """Whether ``path`` itself differs."""
        at = bisect_left(self.paths, path)
        return at < len(self.paths) and self.paths[at] == path


class Repositories:
    """The repositories that a run meets, each asked once.

    Shape: ``since`` names a commit; None stands for what was committed last.
    """

    def __init__(self, since: str | None) -> None:
        self._since = since
        self._known: dict[str, Changes] = {}

    @property
    def option(self) -> str:
        """The option, as it was given."""
        return "--kubefile-changed" if self._since is None else f"--kubefile-changed-since={self._since}"

    def around(self, path: str) -> Changes | None:
        """Return what has changed in the repository around the real path ``path``; None where there is none.

        Raises: pytest.UsageError where git cannot tell.
        """
        top = next((folder for folder in _ways(path, os.sep) if os.path.lexists(os.path.join(folder, ".git"))), None)
        if top is None:
            return None
        if top not in self._known:
            self._known[top] = Changes(top, tuple(sorted(set(self._changed(top)))))
        return self._known[top]

    def need(self, path: str) -> Changes:
        """Return what has changed in the repository around ``path``.

        Raises: pytest.UsageError where there is none, or git cannot tell.
        """
        found = self.around(os.path.realpath(path))
        if found is None:
            raise self._error(f"{path} is in no git repository", "leave the option out to run all Kubefiles")
        return found

    def _changed(self, top: str) -> Iterator[str]:
        start = self._start(top)
        if start is None:
            listed = self._git(top, "ls-files", "-z")
        else:
            options = ("--name-only", "--no-renames", "--no-ext-diff", "--ignore-submodules=none", "-z")
            listed = self._git(top, "diff", *options, start, "--")
        # What git is told to ignore is in no commit either: nobody can say that it is what it was.
        listed += self._git(top, "ls-files", "--others", "-z")
        return (os.path.join(top, name.rstrip("/")) for name in listed.split("\0") if name)

    def _start(self, top: str) -> str | None:
        """Return the commit to compare with; None where nothing has been committed yet."""
        head = self._find(top, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if self._since is None:
            return head or None
        shallow = self._git(top, "rev-parse", "--is-shallow-repository").strip() == "true"
        fetch = "this clone is shallow: fetch more of it, git fetch --unshallow, or fetch-depth: 0 in a GitHub checkout"
        # Else one that begins with a dash would be an option.
        ref = self._find(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{self._since}^{{commit}}")
        if not ref:
            hint = fetch if shallow else "name a branch, a tag or a commit that git log knows, as in origin/main"
            raise self._error(f"the repository {top} has no commit of that name", hint)
        base = self._find(top, "merge-base", ref, head) if head else ""
        if not base:
            hint = fetch if shallow else "name a commit that this branch comes from"
            raise self._error(f"that commit and HEAD have no commit in common in {top}", hint)
        return base

    def _find(self, top: str, *arguments: str) -> str:
        """Return what git prints, without the line's end; nothing where it finds nothing."""
        return self._git(top, *arguments, may_miss=True).strip()

    def _git(self, top: str, *arguments: str, may_miss: bool = False) -> str:
        surroundings = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
        command = ["git", "-C", top, _NO_LOCKS, *arguments]
        try:
            done = subprocess.run(command, capture_output=True, check=False, env={**surroundings, "LC_ALL": "C"})
        except OSError as error:
            raise self._error("git cannot be started", "install it, or leave the option out") from error
        if done.returncode == 1 and may_miss:
            return ""
        if done.returncode != 0:
            raise self._error(f"git cannot read the repository {top}", _remedy(top, done.stderr))
        return os.fsdecode(done.stdout)

    def _error(self, message: str, hint: str) -> pytest.UsageError:
        return pytest.UsageError(f"{self.option}: {message} ({hint})")


def _remedy(top: str, said: bytes) -> str:
    if b"dubious ownership" in said:
        return f"it belongs to another user; git config --global --add safe.directory {top} trusts it"
    return f"git -C {top} status says why"


def _ways(path: str, top: str) -> Iterator[str]:
    """Yield ``path`` and the folders above it, up to ``top``."""
    while True:
        yield path
        above = os.path.dirname(path)
        if path in {top, above}:
            return
        path = above
