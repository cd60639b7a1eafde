"""Taking SRC apart, and what to suggest where it matches nothing. What it finds stands in the contract's tables."""

import pytest

from harness.fakes.context import Directory, MemoryContext, Symlink
from kubeimage.context.ignore import NO_RULES, IgnoreRules
from kubeimage.context.sources import SourceFinder, near_matches, parse_source
from kubeimage.errors import SourceEscapeError, SourceNotFoundError, UnreadableSourceError


@pytest.mark.parametrize(
    ("text", "parts", "contents"),
    [
        (".", (), True),
        ("/", (), True),
        ("./", (), True),
        ("a/..", (), True),
        ("a", ("a",), False),
        ("/a/", ("a",), False),
        ("a//b", ("a", "b"), False),
        ("a/.", ("a",), True),
        ("a/./", ("a",), True),
        ("a/b/..", ("a",), False),
        ("a/../b", ("b",), False),
        ("..a", ("..a",), False),
    ],
)
def test_a_source_is_taken_apart(text: str, parts: tuple[str, ...], contents: bool) -> None:
    pattern = parse_source(text)

    assert (pattern.parts, pattern.contents) == (parts, contents)


@pytest.mark.parametrize("text", ["..", "../a", "a/../..", "/../a"])
def test_a_source_may_not_leave_the_context(text: str) -> None:
    with pytest.raises(SourceEscapeError, match="leads out of the build context"):
        parse_source(text)


@pytest.mark.parametrize(
    ("wanted", "known", "expected"),
    [
        ("helm", ["helm3", "kubectl"], ["helm3"]),
        ("a.yaml", ["b.yaml", "etc/A.YAML", "other"], ["etc/A.YAML", "b.yaml"]),
        ("zzz", ["a", "b"], []),
        ("etc/a*", ["etc/ab", "etc/ac", "etc/ad", "etc/ae"], ["etc/ae", "etc/ad", "etc/ac"]),
    ],
)
def test_near_matches_put_the_same_name_first(wanted: str, known: list[str], expected: list[str]) -> None:
    assert near_matches(wanted, known) == expected


def test_suggestions_stop_at_folders_that_cannot_be_read() -> None:
    class Guarded(MemoryContext):
        def names(self, path: str) -> list[str]:
            if path == "locked":
                raise UnreadableSourceError("no permission")
            return list(super().names(path))

    with pytest.raises(SourceNotFoundError) as caught:
        SourceFinder(Guarded({"locked/x": "", "open/app": ""}), NO_RULES).find("app")

    assert caught.value.hint == "did you mean 'open/app'?"


def test_suggestions_pass_over_what_is_left_out() -> None:
    rules = IgnoreRules.parse("a-secret\n")

    with pytest.raises(SourceNotFoundError) as caught:
        SourceFinder(MemoryContext({"a-secret": "", "b": "", "imageList": ""}), rules).find("qqqq")

    assert caught.value.hint == "the build context holds 'b', 'imageList'"


def test_suggestions_do_not_follow_symlinks_round_in_circles() -> None:
    context = MemoryContext({"loop": Symlink("."), "d/up": Symlink("../d"), "e": Directory()})

    with pytest.raises(SourceNotFoundError) as caught:
        SourceFinder(context, NO_RULES).find("qqqq")

    assert caught.value.hint == "the build context holds 'd', 'e', 'loop'"


def test_a_way_of_forty_symlinks_is_followed_and_one_of_more_is_not() -> None:
    links = {f"link{number}": Symlink(f"link{number + 1}") for number in range(60)}
    finder = SourceFinder(MemoryContext({**links, "link60/file": ""}), NO_RULES)

    assert finder.find("link20/file") == finder.find("link60/file")
    with pytest.raises(SourceNotFoundError):
        finder.find("link19/file")


def test_what_is_ignored_is_no_match_of_a_wildcard() -> None:
    context = MemoryContext({"d/a.conf": "1", "d/b.conf": "2"})

    found = SourceFinder(context, IgnoreRules.parse("d/b.conf\n")).find("d/*.conf")

    assert [match.path for match in found] == ["d/a.conf"], "one file keeps the name that the destination gives it"


def test_a_link_that_leads_out_is_told_with_where_it_leads() -> None:
    context = MemoryContext({"out": Symlink("/etc")})

    with pytest.raises(SourceEscapeError, match="the symlink 'out' points to '/etc'"):
        SourceFinder(context, NO_RULES).find("out/passwd")
