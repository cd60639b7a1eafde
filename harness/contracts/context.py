"""What every source collector does: a test class to inherit from.

    class TestMyCollector(SourceCollectorContract):
        @pytest.fixture
        def make_context(self) -> MakeContext: ...

A context is made from a dict, as `harness.fakes.context.Files` describes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from harness.contracts.placements import (
    DIRECTORIES,
    IGNORED,
    IGNORING,
    IGNORING_LINES,
    MESSY,
    MISTAKES,
    ODD_PLACEMENTS,
    PLACEMENTS,
    PROJECT,
    copy,
    label,
)
from harness.fakes.context import Directory, Fifo, File, Files, HardLink, Symlink
from kubeimage.errors import ContextError, SourceNotFoundError
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Kind, canonical_order
from kubeimage.protocols.context import Collected, CopyRequest, SourceCollector

MakeContext = Callable[[Files], SourceCollector]

MODES: Files = {
    "d": Directory(0o2755, mtime=11),
    "d/setuid": File(b"x", 0o4755, mtime=12),
    "d/none": File(b"", 0, mtime=13),
    "d/fifo": Fifo(0o620, mtime=14),
    "d/link": Symlink("setuid", mtime=15),
    "d/sticky": Directory(0o1777, mtime=16),
}
LINKED: Files = {
    "a/first": "shared",
    "a/second": HardLink("a/first"),
    "b/third": HardLink("a/first"),
    "alone": "single",
    "b/outside": HardLink("alone"),
}


class SourceCollectorContract:
    """Takes the fixture ``make_context``: a function from a dict to a ``SourceCollector`` of a context that holds it.

    It is called once a test.
    """

    @pytest.mark.parametrize(("request_", "expected"), PLACEMENTS, ids=label)
    def test_a_copy_lands_where_the_language_says(
        self, make_context: MakeContext, request_: CopyRequest, expected: list[str]
    ) -> None:
        """As an entry named after itself, inside DEST."""
        collected = make_context(PROJECT).collect(request_)

        assert shown(collected) == expected

    @pytest.mark.parametrize(("request_", "expected"), DIRECTORIES, ids=label)
    def test_the_directories_that_a_destination_implies_are_named(
        self, make_context: MakeContext, request_: CopyRequest, expected: tuple[str, ...]
    ) -> None:
        """Outermost first; whoever makes the layer sees which are missing."""
        assert make_context(PROJECT).collect(request_).directories == expected

    @pytest.mark.parametrize(("request_", "expected"), ODD_PLACEMENTS, ids=label)
    def test_odd_names_links_and_lists(
        self, make_context: MakeContext, request_: CopyRequest, expected: list[str]
    ) -> None:
        """A name may look like a pattern; a symlink is kept as one, and followed where something is below it."""
        assert shown(make_context(MESSY).collect(request_)) == expected

    @pytest.mark.parametrize(("request_", "error", "message"), MISTAKES, ids=label)
    def test_a_copy_that_cannot_be_followed_says_why(
        self, make_context: MakeContext, request_: CopyRequest, error: type[ContextError], message: str
    ) -> None:
        """And what to do."""
        with pytest.raises(error) as caught:
            make_context(MESSY).collect(request_)

        assert message in caught.value.message
        assert caught.value.hint

    def test_the_later_source_wins_where_two_files_meet(self, make_context: MakeContext) -> None:
        """By the order in which they are written, and the matches of a pattern by their names."""
        context = make_context({"a/conf": "from a", "b/conf": "from b", "want/conf": "from b"})

        wanted = content(context, copy("want/conf x"))

        assert content(context, copy("a/conf b/conf x")) == wanted
        assert content(context, copy("[ab]/conf x")) == wanted
        assert content(context, copy("b/. a/. b/conf x")) == wanted
        assert content(context, copy("b/conf a/conf x")) != wanted

    def test_a_symlink_and_a_file_replace_each_other(self, make_context: MakeContext) -> None:
        """Neither is a directory."""
        context = make_context({"a/conf": "text", "b/conf": Symlink("other")})

        assert shown(context.collect(copy("a/conf b/conf x"))) == ["x/conf -> other"]
        assert shown(context.collect(copy("b/conf a/conf x"))) == ["x/conf"]

    def test_directories_that_meet_are_merged_and_have_the_later_mode(self, make_context: MakeContext) -> None:
        """Nothing in them is lost."""
        context = make_context({"a/d/1": "", "a/d": Directory(0o700), "b/d/2": "", "b/d": Directory(0o750)})

        collected = context.collect(copy("a/d b/d x"))

        assert [(entry.path, entry.mode) for entry in collected.entries] == [
            ("x/d", 0o750),
            ("x/d/1", 0o644),
            ("x/d/2", 0o644),
        ]

    def test_where_a_source_lands_depends_on_no_other_source(self, make_context: MakeContext) -> None:
        """Nor on the order of names."""
        context = make_context({"conf": "file", "z.txt": "z", "a.txt": "a"})

        together = shown(context.collect(copy("* conf")))

        assert together == ["conf/a.txt", "conf/conf", "conf/z.txt"]

    def test_modes_are_kept_with_their_odd_bits(self, make_context: MakeContext) -> None:
        """A symlink has none of its own."""
        entries = make_context(MODES).collect(copy("d .")).entries

        assert {entry.path: oct(entry.mode) for entry in entries} == {
            "d": "0o2755",
            "d/fifo": "0o620",
            "d/link": "0o777",
            "d/none": "0o0",
            "d/setuid": "0o4755",
            "d/sticky": "0o1777",
        }

    def test_chmod_overrides_all_modes_but_those_of_symlinks(self, make_context: MakeContext) -> None:
        """Those of directories as well."""
        entries = make_context(MODES).collect(copy("d .", chmod=0o600)).entries

        assert {entry.path for entry in entries if entry.mode != 0o600} == {"d/link"}

    @pytest.mark.parametrize(("mtime", "expected"), [(0, [0] * 6), (99, [99] * 6), (None, [11, 14, 15, 13, 12, 16])])
    def test_times_are_the_ones_asked_for(
        self, make_context: MakeContext, mtime: int | None, expected: list[int]
    ) -> None:
        """One for all, or each file's own."""
        entries = make_context(MODES).collect(copy("d .", mtime=mtime)).entries

        assert [entry.mtime for entry in entries] == expected

    def test_hard_links_point_to_the_first_name_in_canonical_order(self, make_context: MakeContext) -> None:
        """Names that are not copied make no link."""
        assert kinds(make_context(LINKED).collect(copy("a b x"))) == [
            ("x/a/first", "file", ""),
            ("x/a/second", "hard link", "x/a/first"),
            ("x/b/outside", "file", ""),
            ("x/b/third", "hard link", "x/a/first"),
        ]

    def test_a_name_copied_twice_is_two_files_whatever_other_names_it_has(self, make_context: MakeContext) -> None:
        """Only names of the context are links of each other."""
        context = make_context(LINKED)

        assert kinds(context.collect(copy("alone alone x"))) == [("x/alone", "file", "")]
        assert kinds(context.collect(copy("b/outside b x"))) == [
            ("x/b/outside", "file", ""),
            ("x/b/third", "file", ""),
            ("x/outside", "file", ""),
        ]

    def test_a_hard_link_that_another_source_covers_is_not_linked_to(self, make_context: MakeContext) -> None:
        """The next name in order takes its part."""
        context = make_context({**LINKED, "c/first": "other"})

        assert kinds(context.collect(copy("a/. c/. b/. x"))) == [
            ("x/first", "file", ""),
            ("x/outside", "file", ""),
            ("x/second", "file", ""),
            ("x/third", "hard link", "x/second"),
        ]

    def test_names_that_share_a_prefix_stand_in_the_order_of_a_layer(self, make_context: MakeContext) -> None:
        """By the bytes of names, not of paths."""
        names = ["a/b", "a.b", "a b", "a-b/c", "ab", "é", "z", "a/.b", "日本 語/x"]

        entries = list(make_context(dict.fromkeys(names, "")).collect(copy(". .")).entries)

        assert entries == canonical_order(entries)
        assert [entry.path for entry in entries] == [
            *["a", "a/.b", "a/b", "a b", "a-b", "a-b/c", "a.b", "ab", "z", "é", "日本 語", "日本 語/x"]
        ]

    @pytest.mark.parametrize(
        ("source", "hint"),
        [
            ("dashboard.yaml", "did you mean 'manifests/dashboard.yaml'?"),
            ("manifest/dashbord.yaml", "did you mean 'manifests/dashboard.yaml'?"),
            ("Helm", "did you mean 'helm'?"),
            ("qqqqqqqq", "the build context holds 'helm', 'manifests'"),
        ],
    )
    def test_near_matches_are_the_hint(self, make_context: MakeContext, source: str, hint: str) -> None:
        """Or what there is, where nothing is near."""
        context = make_context({"manifests/dashboard.yaml": "", "helm": ""})

        assert hint_of(context, source) == hint

    def test_an_empty_context_says_that_it_is_empty(self, make_context: MakeContext) -> None:
        """All of it can be copied nevertheless."""
        context = make_context({})

        assert hint_of(context, "app") == "the build context is empty"
        assert context.collect(copy(". .")) == Collected([], ())

    def test_the_list_with_passwords_is_left_out_with_a_warning(self, make_context: MakeContext) -> None:
        """Wherever it lies."""
        context = make_context({"m/imageListWithAuth.yaml": "p", "imageListWithAuth.yaml": "p", "m/imageList": ""})

        everything, matched = context.collect(copy(". .")), context.collect(copy("m/* ."))

        assert shown(everything) == ["m/", "m/imageList"]
        assert everything.warnings == (
            "'imageListWithAuth.yaml' holds credentials and was left out: no layer ever has it",
            "'m/imageListWithAuth.yaml' holds credentials and was left out: no layer ever has it",
        )
        assert matched.warnings == everything.warnings[1:]

    def test_a_directory_may_be_called_like_the_list(self, make_context: MakeContext) -> None:
        """It is no list."""
        context = make_context({"imageListWithAuth.yaml/x": ""})

        assert shown(context.collect(copy(". ."))) == ["imageListWithAuth.yaml/", "imageListWithAuth.yaml/x"]

    def test_what_looks_like_a_key_is_copied_with_a_warning(self, make_context: MakeContext) -> None:
        """It may be meant."""
        names = ["ssh/id_rsa", "tls/ca.pem", "tls/ca.key", "monkey", ".npmrc"]

        collected = make_context({**dict.fromkeys(names, ""), "id_rsa": Directory()}).collect(copy(". ."))

        assert [warning.split("'")[1] for warning in collected.warnings] == [".npmrc", "ssh/id_rsa", "tls/ca.key"]
        assert "ssh/id_rsa" in shown(collected)

    def test_a_key_named_directly_is_a_warning_too(self, make_context: MakeContext) -> None:
        """Nobody knows what a pattern was."""
        assert len(make_context({"k/id_rsa": ""}).collect(copy("k/id_rsa .")).warnings) == 1

    @pytest.mark.parametrize(("request_", "expected"), IGNORED, ids=label)
    def test_a_kubeignore_leaves_files_out_of_every_copy(
        self, make_context: MakeContext, request_: CopyRequest, expected: list[str]
    ) -> None:
        """By gitignore's rules."""
        assert shown(make_context(IGNORING).collect(request_)) == expected

    @pytest.mark.parametrize(("source", "reason"), IGNORING_LINES)
    def test_a_source_that_is_ignored_names_the_line(self, make_context: MakeContext, source: str, reason: str) -> None:
        """So that nobody looks for a file that is there."""
        with pytest.raises(SourceNotFoundError) as caught:
            make_context(IGNORING).collect(copy(f"{source} x"))

        assert f"matches only what is left out: {reason}" in caught.value.message

    def test_digests_are_those_of_the_content(self, make_context: MakeContext) -> None:
        """Files alone have one."""
        big = bytes(range(256)) * 4_000
        context = make_context({"big": big, "empty": "", "link": Symlink("big"), "again": HardLink("big")})

        entries = context.with_digests(context.collect(copy(". .")).entries)

        assert {entry.path: entry.digest for entry in entries} == {
            "again": hashlib.sha256(big).digest(),
            "big": None,
            "empty": hashlib.sha256().digest(),
            "link": None,
        }

    def test_known_digests_are_left_as_they_are(self, make_context: MakeContext) -> None:
        """Nothing is read again."""
        context = make_context({"a": "1"})

        entries = [entry._replace(digest=b"known") for entry in context.collect(copy("a x")).entries]

        assert context.with_digests(entries) == entries

    def test_what_is_remembered_of_sources_is_never_told_of_others(self, make_context: MakeContext) -> None:
        """A collector may forget, and many have nothing to remember."""
        context = make_context({"a": "1", "b": "2"})
        one, other = (context.collect(copy(f"{name} x")).entries for name in "ab")
        sources = Digest.of(b"what a came to")

        context.remember_sources(one, sources)

        assert context.known_sources(one) in {None, sources}
        assert context.known_sources(other) is None


def shown(collected: Collected) -> list[str]:
    """Return the paths, directories with a slash at the end, symlinks with their target."""
    ends = {Kind.DIRECTORY: "/", Kind.FIFO: "|"}
    return [
        entry.path + (f" -> {entry.target}" if entry.target else ends.get(entry.kind, ""))
        for entry in collected.entries
    ]


def content(context: SourceCollector, request: CopyRequest) -> dict[str, object]:
    """Return what each path holds: digest of a file, mode of a directory, target of a link."""
    entries = context.with_digests(context.collect(request).entries)
    return {entry.path: entry.digest or entry.target or entry.mode for entry in entries}


def kinds(collected: Collected) -> list[tuple[str, str, str]]:
    """Return what is no directory, with the name that it is a link to."""
    return [(e.path, e.kind.value, e.target) for e in collected.entries if e.kind is not Kind.DIRECTORY]


def hint_of(context: SourceCollector, source: str) -> str | None:
    """Return the hint for a source that is not there."""
    with pytest.raises(SourceNotFoundError) as caught:
        context.collect(copy(f"{source} x"))
    return caught.value.hint
