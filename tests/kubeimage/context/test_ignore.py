"""The lines of a .kubeignore, as gitignore(5) describes them."""

import functools
import os
import subprocess
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeimage.context.ignore import NO_RULES, IgnoreRules
from kubeimage.context.wildcards import compile_name


def leaves_out(text: str, path: str) -> bool:
    """Whether a walk from the root meets a rule on its way to ``path``; a trailing slash names a directory."""
    rules = IgnoreRules.parse(text)
    parts = path.rstrip("/").split("/")
    return any(
        rules.leaves_out("/".join(parts[:count]), is_directory=count < len(parts) or path.endswith("/"))
        for count in range(1, len(parts) + 1)
    )


@pytest.mark.parametrize(
    ("text", "out", "kept"),
    [
        ("", [], ["a"]),
        ("# comment\n\n   \n", [], ["# comment", "a"]),
        ("a", ["a", "a/", "b/a", "a/b", "b/a/c"], ["ab", "b/ab"]),
        ("a/", ["a/", "a/b", "b/a/c"], ["a", "b/a"]),
        ("/a", ["a", "a/b"], ["b/a"]),
        ("a/b", ["a/b", "a/b/c"], ["b", "x/a/b"]),
        ("/a/b/", ["a/b/", "a/b/c"], ["a/b"]),
        ("*.log", ["x.log", ".log", "a/x.log"], ["x.logs"]),
        ("a/*", ["a/b", "a/.b", "a/b/c"], ["a", "b/a/c"]),
        ("a/*.log", ["a/x.log"], ["a/b/x.log", "x.log"]),
        ("**/a", ["a", "b/a", "b/c/a"], ["ba"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "a/"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb", "b"]),
        ("a**b", ["ab", "axb"], ["a/b"]),
        ("*\n!b", ["a", "c/b"], ["b"]),
        ("*\n!*/\n!*.go", ["a/x"], ["x.go", "a/", "a/x.go"]),
        ("a/\n!a/b", ["a/", "a/b"], ["b"]),
        ("a/*\n!a/b", ["a/c"], ["a/b", "a/"]),
        ("foo\n!/*", ["x/foo", "x/y/foo/z"], ["foo", "foo/x"]),
        ("!a\na", ["a"], []),
        ("\\#a\n\\!b", ["#a", "!b"], ["a", "b"]),
        ("a \nb\\ \nc  ", ["a", "b ", "c"], ["a ", "b"]),
        ("a\\\\ \nb\\\\\\ \nc\\\\\\\\  ", ["a\\", "b\\ ", "c\\\\"], ["a\\ ", "b\\", "c\\\\ "]),
        ("a\r\nb\r\n", ["a", "b"], []),
        ("\ufeffa", ["a"], []),
        ("[ab]\n[!a-y]", ["a", "b", "z"], ["c"]),
        ("/\n!\n//\n[\n\\", [], ["a", "[", "\\"]),
        ("a?c", ["abc", "aéc"], ["a/c", "ac"]),
    ],
)
def test_a_line_means_what_git_says(text: str, out: list[str], kept: list[str]) -> None:
    found = {path: leaves_out(text, path) for path in (*out, *kept)}

    assert found == {path: path in out for path in (*out, *kept)}


def test_the_rule_that_decided_knows_its_line() -> None:
    rule = IgnoreRules.parse("# a\n\n*.log\n a.log\na.*\n").leaves_out("x/a.log", is_directory=False)

    assert rule is not None
    assert (rule.line, rule.text) == (5, "a.*")


def test_no_file_leaves_nothing_out() -> None:
    assert not NO_RULES
    assert NO_RULES.leaves_out("a", is_directory=False) is None


NAMES = st.sampled_from(["a", "b", "ab", "foo", "x.y", ".h"])
PIECES = st.sampled_from(
    [
        "a",
        "b",
        "ab",
        "*",
        "?",
        "a*",
        "**",
        "***",
        "[ab]",
        "x.y",
        "*.y",
        ".h",
        ".*",
        "[!a]",
        "f\\oo",
        "*b*",
        "[[:alpha:]]",
    ]
)
LINES = st.tuples(
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(PIECES, min_size=1, max_size=3).map("/".join),
    st.sampled_from(["", "", "/", " "]),
).map("".join)


DEEP_LINES = st.lists(PIECES | st.just("**"), min_size=1, max_size=9).map("/".join)
DEEP_PATHS = st.lists(NAMES, min_size=1, max_size=9).map("/".join)


@given(line=DEEP_LINES, path=DEEP_PATHS)
def test_any_depth_means_what_going_through_all_depths_finds(line: str, path: str) -> None:
    rules = IgnoreRules.parse(f"/{line}")

    expected = matches(tuple(line.split("/")), tuple(path.split("/")))

    assert bool(rules.leaves_out(path, is_directory=False)) == expected


@functools.cache
def matches(parts: tuple[str, ...], names: tuple[str, ...]) -> bool:
    """The slow truth: each ``**`` is tried with no name, and with one more."""
    if not parts:
        return not names
    if len(parts[0]) > 1 and not parts[0].strip("*"):
        if len(parts) == 1:
            return bool(names)
        return matches(parts[1:], names) or bool(names and matches(parts, names[1:]))
    compiled = compile_name(parts[0])
    return bool(names and compiled and compiled.fullmatch(names[0]) and matches(parts[1:], names[1:]))


ENDLESS = ["**/" * 60 + "zz", "**/a/" * 60 + "zz", "**/*a*/" * 60 + "**/zz", "a/**/" * 40 + "**/a/zz", "**/**a**/" * 40]


@pytest.mark.parametrize("line", ENDLESS, ids=lambda line: line[:12])
def test_no_rule_takes_longer_than_its_names_times_the_path_s(line: str) -> None:
    # With one more try for each name of the path, this would not end in the life of a machine.
    rules = IgnoreRules.parse(line)

    assert rules.leaves_out("a/" * 400 + "b", is_directory=False) is None


@pytest.mark.needs("git")
@settings(max_examples=25)
@given(
    paths=st.sets(st.lists(NAMES, min_size=1, max_size=4).map("/".join), min_size=1, max_size=8),
    lines=st.lists(LINES | DEEP_LINES, min_size=1, max_size=4),
)
def test_git_itself_agrees(paths: set[str], lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    files = {path for path in paths if not any(other.startswith(f"{path}/") for other in paths)}

    assert {path for path in files if not leaves_out(text, path)} == kept_by_git(text, files)


def kept_by_git(text: str, files: set[str]) -> set[str]:
    with tempfile.TemporaryDirectory() as folder:
        for path in files:
            os.makedirs(os.path.join(folder, os.path.dirname(path)), exist_ok=True)
            open(os.path.join(folder, path), "w").close()
        rules = os.path.join(folder, ".git-rules")
        with open(rules, "w", encoding="utf-8") as stream:
            stream.write(text)
        git = ["git", "-c", "core.excludesFile=/dev/null", "-C", folder]
        environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": folder}
        subprocess.run([*git, "init", "-q"], check=True, env=environment, capture_output=True)
        listed = subprocess.run(
            [*git, "ls-files", "-o", "-z", f"--exclude-from={rules}"], check=True, env=environment, capture_output=True
        )
        return set(listed.stdout.decode().split("\0")) & files
