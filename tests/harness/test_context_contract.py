"""What every SourceCollector does: the table of the COPY rules, and equal answers from memory and from disk."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.fakes.context import (
    Directory,
    Fifo,
    File,
    Files,
    HardLink,
    Item,
    MemoryContext,
    Socket,
    Symlink,
    write_context,
)
from kubeimage.context import ContextCollector
from kubeimage.errors import (
    ContextError,
    DestinationError,
    SourceEscapeError,
    SourceNotFoundError,
    UnsupportedSourceError,
)
from kubeimage.layer.entry import Kind, canonical_order
from kubeimage.protocols import Collected, CopyRequest, SourceCollector

MakeContext = Callable[[Files], SourceCollector]


@pytest.fixture(params=["memory", "disk"])
def make_context(request: pytest.FixtureRequest, tmp_path: Path) -> MakeContext:
    def make(files: Files) -> SourceCollector:
        if request.param == "memory":
            return MemoryContext(files)
        write_context(files, str(tmp_path))
        return ContextCollector(str(tmp_path))

    return make


def copy(text: str, *, exact: bool = False, chmod: int | None = None, mtime: int | None = 0) -> CopyRequest:
    *sources, destination = text.split(" ")
    return CopyRequest(tuple(sources), destination, exact, chmod, mtime)


def exactly(text: str) -> CopyRequest:
    return copy(text, exact=True)


PROJECT: Files = {
    "helm": "binary",
    "kubectl": "other",
    "etc/a.yaml": "1",
    "etc/b.yaml": "2",
    "etc/conf/c.yaml": "3",
    "bin/helm": "nested",
    "app.v1/chart/values.yaml": "v",
    "docs/readme.txt": "r",
    ".hidden/x": "x",
    "empty": Directory(),
}


def shown(collected: Collected) -> list[str]:
    """The paths, directories with a trailing slash, symlinks with their target."""
    ends = {Kind.DIRECTORY: "/", Kind.FIFO: "|"}
    return [
        entry.path + (f" -> {entry.target}" if entry.target else ends.get(entry.kind, ""))
        for entry in collected.entries
    ]


ETC = ["etc/", "etc/a.yaml", "etc/b.yaml", "etc/conf/", "etc/conf/c.yaml"]
INSIDE_ETC = ["x/a.yaml", "x/b.yaml", "x/conf/", "x/conf/c.yaml"]
EVERYTHING = [
    ".hidden/",
    ".hidden/x",
    "app.v1/",
    "app.v1/chart/",
    "app.v1/chart/values.yaml",
    "bin/",
    "bin/helm",
    "docs/",
    "docs/readme.txt",
    "empty/",
    *ETC,
    "helm",
    "kubectl",
]

PLACEMENTS: list[tuple[CopyRequest, list[str]]] = [
    # an entry named after itself, inside DEST
    (copy("helm bin"), ["bin/helm"]),
    (copy("helm bin/"), ["bin/helm"]),
    (copy("helm /bin"), ["bin/helm"]),
    (copy("helm ./bin"), ["bin/helm"]),
    (copy("helm .//bin//"), ["bin/helm"]),
    (copy("helm a/b/c"), ["a/b/c/helm"]),
    (copy("helm ."), ["helm"]),
    (copy("helm /"), ["helm"]),
    (copy("helm ./"), ["helm"]),
    (copy("etc ."), ETC),
    (copy("etc /"), ETC),
    (copy("etc x"), ["x/" + path for path in ETC]),
    (copy("empty x"), ["x/empty/"]),
    (copy("bin/helm x"), ["x/helm"]),
    (copy("etc/conf x"), ["x/conf/", "x/conf/c.yaml"]),
    (copy("helm helm/bin"), ["helm/bin/helm"]),
    (copy("helm helmet"), ["helmet/helm"]),
    (copy("helm bin/HELM"), ["bin/HELM/helm"]),
    # not doubled where DEST ends in the source's own name
    (copy("helm bin/helm"), ["bin/helm"]),
    (copy("helm bin/helm/"), ["bin/helm"]),
    (copy("helm helm"), ["helm"]),
    (copy("helm /helm"), ["helm"]),
    (copy("helm helm/."), ["helm"]),
    (copy("bin/helm helm"), ["helm"]),
    (copy("etc etc"), ETC),
    (copy("etc/ /etc/"), ETC),
    (copy("etc/conf opt/conf"), ["opt/conf/", "opt/conf/c.yaml"]),
    (copy("helm helm/helm"), ["helm/helm"]),
    # how a source is written says nothing
    (copy("./helm bin"), ["bin/helm"]),
    (copy("/helm bin"), ["bin/helm"]),
    (copy("helm/ bin"), ["bin/helm"]),
    (copy(".//etc//conf// x"), ["x/conf/", "x/conf/c.yaml"]),
    (copy("etc/../helm bin"), ["bin/helm"]),
    (copy("etc/conf/.. ."), ETC),
    (copy("nowhere/../helm bin"), ["bin/helm"]),
    # with several matches DEST is always a directory
    (copy("helm kubectl bin"), ["bin/helm", "bin/kubectl"]),
    (copy("helm kubectl bin/helm"), ["bin/helm/helm", "bin/helm/kubectl"]),
    (copy("kubectl helm bin/helm"), ["bin/helm/helm", "bin/helm/kubectl"]),
    (copy("helm etc x"), ["x/etc/", *("x/" + path for path in ETC[1:]), "x/helm"]),
    (copy("helm helm helm"), ["helm/helm"]),
    (copy("helm etc/*.yaml helm"), ["helm/a.yaml", "helm/b.yaml", "helm/helm"]),
    # entries of a directory
    (copy(". ."), EVERYTHING),
    (copy("./ /"), EVERYTHING),
    (copy("/ ."), EVERYTHING),
    (copy("etc/.. ."), EVERYTHING),
    (copy(". x"), ["x/" + path for path in EVERYTHING]),
    (copy("etc/. x"), INSIDE_ETC),
    (copy("etc/./ x"), INSIDE_ETC),
    (copy("etc/* x"), INSIDE_ETC),
    (copy("./etc/* x"), INSIDE_ETC),
    (copy("etc/. etc"), ETC[1:]),
    (copy("etc/* etc"), ETC[1:]),
    (copy("bin/* helm"), ["helm/helm"]),
    (copy("bin/* bin"), ["bin/helm"]),
    (copy("empty/. x"), []),
    (copy("* ."), EVERYTHING),
    (copy("* helm"), ["helm/" + path for path in EVERYTHING]),
    (copy("etc/. bin/. x"), [*INSIDE_ETC, "x/helm"]),
    # wildcards, name by name
    (copy("etc/*.yaml x"), ["x/a.yaml", "x/b.yaml"]),
    (copy("etc/a* a.yaml"), ["a.yaml"]),
    (copy("etc/a* x"), ["x/a.yaml"]),
    (copy("etc/?.yaml x"), ["x/a.yaml", "x/b.yaml"]),
    (copy("etc/[b-z].yaml x"), ["x/b.yaml"]),
    (copy("etc/[!b].yaml x"), ["x/a.yaml"]),
    (copy("etc/[^a].yaml x"), ["x/b.yaml"]),
    (copy("*elm bin/helm"), ["bin/helm"]),
    (copy("*/helm bin"), ["bin/helm"]),
    (copy("*/*.yaml x"), ["x/a.yaml", "x/b.yaml"]),
    (copy("*/conf x"), ["x/conf/", "x/conf/c.yaml"]),
    (copy("*/conf/. x"), ["x/c.yaml"]),
    (copy("e*/. x"), INSIDE_ETC),
    (copy("*dden x"), ["x/.hidden/", "x/.hidden/x"]),
    (copy("app.v?/* x"), ["x/chart/", "x/chart/values.yaml"]),
    # exactly there
    (exactly("helm bin/helm-v3"), ["bin/helm-v3"]),
    (exactly("helm bin"), ["bin"]),
    (exactly("helm /opt/"), ["opt"]),
    (exactly("hel? bin/h"), ["bin/h"]),
    (exactly("bin/* bin/h"), ["bin/h"]),
    (exactly("etc x"), ["x/", *INSIDE_ETC]),
    (exactly("etc ."), [path.removeprefix("etc/") for path in ETC[1:]]),
    (exactly("etc/. x"), INSIDE_ETC),
    (exactly(". x"), ["x/" + path for path in EVERYTHING]),
    # up and down inside the root
    (copy("helm a/../bin"), ["bin/helm"]),
    (copy("helm a/.."), ["helm"]),
    (copy("helm a/b/../../bin/./helm"), ["bin/helm"]),
]


def label(case: object) -> str | None:
    if not isinstance(case, CopyRequest):
        return ""
    return " ".join([*(["--exact"] if case.exact else []), *case.sources, case.destination])


@pytest.mark.parametrize(("request_", "expected"), PLACEMENTS, ids=label)
def test_a_copy_lands_where_the_language_says(
    make_context: MakeContext, request_: CopyRequest, expected: list[str]
) -> None:
    collected = make_context(PROJECT).collect(request_)

    assert shown(collected) == expected


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (copy("helm ."), ()),
        (copy("helm bin"), ("bin",)),
        (copy("helm a/b/c"), ("a", "a/b", "a/b/c")),
        (copy("helm bin/helm"), ("bin",)),
        (copy("etc etc"), ()),
        (copy("etc a/etc"), ("a",)),
        (copy("helm kubectl helm"), ("helm",)),
        (copy(". x/y"), ("x", "x/y")),
        (copy("empty/. x"), ("x",)),
        (exactly("etc x/y"), ("x",)),
        (exactly("etc ."), ()),
        (exactly("helm x/y"), ("x",)),
    ],
    ids=label,
)
def test_the_directories_that_a_destination_implies_are_named(
    make_context: MakeContext, request_: CopyRequest, expected: tuple[str, ...]
) -> None:
    assert make_context(PROJECT).collect(request_).directories == expected


MESSY: Files = {
    "file": "f",
    "dir/file": "d",
    "dir/sub/file": "s",
    "other/sub": "a file",
    "other/file": "o",
    "safe -> not an arrow": "1",
    "star*": "literal",
    "starfish": "matched",
    "[ab]": "literal",
    "back\\slash": "literal",
    "in": Symlink("dir"),
    "deep/in": Symlink("../dir/./sub"),
    "dangling": Symlink("dir/gone"),
    "circle": Symlink("circle"),
    "out": Symlink("../elsewhere"),
    "absolute": Symlink("/etc"),
    "late": Symlink("dir/../../elsewhere"),
    "chain": Symlink("out"),
    "keeps/out": Symlink("/etc/passwd"),
    "dev/.wh.gone": "",
    "bad/socket": Socket(),
    "imageListWithAuth.yaml": "secret",
    "lists/imageListWithAuth.yaml": "secret",
    "lists/imageList": "public",
}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (copy("star* x"), ["x/star*"]),
        (copy("star? x"), ["x/star*"]),
        (copy("sta* x"), ["x/star*", "x/starfish"]),
        (copy("star\\* x"), ["x/star*"]),
        (copy("[ab] x"), ["x/[ab]"]),
        (copy("\\[ab\\] x"), ["x/[ab]"]),
        (copy("back\\slash x"), ["x/back\\slash"]),
        (copy("back\\\\slash x"), ["x/back\\slash"]),
        (copy("in x"), ["x/in -> dir"]),
        (copy("in/ x"), ["x/in -> dir"]),
        (copy("in/. x"), ["x/file", "x/sub/", "x/sub/file"]),
        (copy("in/file x"), ["x/file"]),
        (copy("in/* x"), ["x/file", "x/sub/", "x/sub/file"]),
        (copy("deep/in/file x"), ["x/file"]),
        (copy("d*/in/file x"), ["x/file"]),
        (copy("dangling x"), ["x/dangling -> dir/gone"]),
        (copy("circle x"), ["x/circle -> circle"]),
        (copy("keeps x"), ["x/keeps/", "x/keeps/out -> /etc/passwd"]),
        (copy("keeps/. x"), ["x/out -> /etc/passwd"]),
        (copy("lists x"), ["x/lists/", "x/lists/imageList"]),
        (copy("lists/image* x"), ["x/imageList"]),
    ],
    ids=label,
)
def test_odd_names_links_and_lists(make_context: MakeContext, request_: CopyRequest, expected: list[str]) -> None:
    assert shown(make_context(MESSY).collect(request_)) == expected


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        (copy("gone x"), SourceNotFoundError, "'gone' matches nothing"),
        (copy("gone/file x"), SourceNotFoundError, "matches nothing"),
        (copy("file/file x"), SourceNotFoundError, "matches nothing"),
        (copy("file gone x"), SourceNotFoundError, "'gone' matches nothing"),
        (copy("*.zip x"), SourceNotFoundError, "matches nothing"),
        (copy("[a x"), SourceNotFoundError, "matches nothing"),
        (copy("file/. x"), SourceNotFoundError, "inside 'file', which is no folder"),
        (copy("dangling/. x"), SourceNotFoundError, "matches nothing"),
        (copy("circle/file x"), SourceNotFoundError, "matches nothing"),
        (CopyRequest(("",), "x"), SourceNotFoundError, "found ''"),
        (CopyRequest(("a\0b",), "x"), SourceNotFoundError, "found"),
        (CopyRequest(("a\udcffb",), "x"), SourceNotFoundError, "found"),
        (CopyRequest(("n" * 300,), "x"), SourceNotFoundError, "matches nothing"),
        (copy("../x x"), SourceEscapeError, "'../x' leads out"),
        (copy("dir/../../x x"), SourceEscapeError, "leads out"),
        (copy("out x"), SourceEscapeError, "'out' points to '../elsewhere'"),
        (copy("absolute x"), SourceEscapeError, "'absolute' points to '/etc'"),
        (copy("absolute/passwd x"), SourceEscapeError, "leads out"),
        (copy("absolute/. x"), SourceEscapeError, "leads out"),
        (copy("late x"), SourceEscapeError, "leads out"),
        (copy("chain x"), SourceEscapeError, "leads out"),
        (copy("o?t x"), SourceEscapeError, "leads out"),
        (copy("keeps/* x"), SourceEscapeError, "leads out"),
        (copy("dev x"), UnsupportedSourceError, "'dev/.wh.gone'"),
        (copy("dev/.wh.gone x"), UnsupportedSourceError, "marks a deletion"),
        (copy("bad x"), UnsupportedSourceError, "'bad/socket': a socket"),
        (copy("imageListWithAuth.yaml x"), SourceNotFoundError, "left out: 'imageListWithAuth.yaml', since it holds"),
        (copy("lists/*Auth* x"), SourceNotFoundError, "left out"),
        (exactly("file lists/imageListWithAuth.yaml"), DestinationError, "no layer ever has"),
        (copy("file .."), DestinationError, "'..' leaves the image root"),
        (copy("file ../../x"), DestinationError, "leaves the image root"),
        (copy("file /../x"), DestinationError, "leaves the image root"),
        (copy("file a/../../x"), DestinationError, "leaves the image root"),
        (copy("file .wh.x"), DestinationError, "marks a deletion"),
        (copy("file x/.wh..wh..opq/y"), DestinationError, "marks a deletion"),
        (CopyRequest(("file",), ""), DestinationError, "found ''"),
        (CopyRequest(("file",), "a\0b"), DestinationError, "found"),
        (CopyRequest(("file",), "a\ud800"), DestinationError, "found"),
        (exactly("file ."), DestinationError, "image root, which is a directory"),
        (exactly("file dir/file x"), DestinationError, "found 2: 'file', 'dir/file'"),
        (exactly("d* x"), DestinationError, "--exact places one source"),
        (copy("dir/sub other/sub x"), DestinationError, "directory 'dir/sub' and the file 'other/sub' both at 'x/sub'"),
        (copy("other/sub dir/sub x"), DestinationError, "file 'other/sub' and the directory 'dir/sub'"),
        (copy("dir/. other/. x"), DestinationError, "both at 'x/sub'"),
    ],
    ids=label,
)
def test_a_copy_that_cannot_be_followed_says_why(
    make_context: MakeContext, request_: CopyRequest, error: type[ContextError], message: str
) -> None:
    with pytest.raises(error) as caught:
        make_context(MESSY).collect(request_)

    assert message in caught.value.message
    assert caught.value.hint


def content(context: SourceCollector, request: CopyRequest) -> dict[str, object]:
    """What each path holds: text of a file, mode of a directory, target of a link."""
    entries = context.with_digests(context.collect(request).entries)
    return {entry.path: entry.digest or entry.target or entry.mode for entry in entries}


def test_the_later_source_wins_where_two_files_meet(make_context: MakeContext) -> None:
    context = make_context({"a/conf": "from a", "b/conf": "from b", "want/conf": "from b"})

    wanted = content(context, copy("want/conf x"))

    assert content(context, copy("a/conf b/conf x")) == wanted
    assert content(context, copy("[ab]/conf x")) == wanted
    assert content(context, copy("b/. a/. b/conf x")) == wanted
    assert content(context, copy("b/conf a/conf x")) != wanted


def test_a_symlink_and_a_file_replace_each_other(make_context: MakeContext) -> None:
    context = make_context({"a/conf": "text", "b/conf": Symlink("other")})

    assert shown(context.collect(copy("a/conf b/conf x"))) == ["x/conf -> other"]
    assert shown(context.collect(copy("b/conf a/conf x"))) == ["x/conf"]


def test_directories_that_meet_are_merged_and_have_the_later_mode(make_context: MakeContext) -> None:
    context = make_context({"a/d/1": "", "a/d": Directory(0o700), "b/d/2": "", "b/d": Directory(0o750)})

    collected = context.collect(copy("a/d b/d x"))

    assert [(entry.path, entry.mode) for entry in collected.entries] == [
        ("x/d", 0o750),
        ("x/d/1", 0o644),
        ("x/d/2", 0o644),
    ]


def test_where_a_source_lands_depends_on_no_other_source(make_context: MakeContext) -> None:
    context = make_context({"conf": "file", "z.txt": "z", "a.txt": "a"})

    together = shown(context.collect(copy("* conf")))

    assert together == ["conf/a.txt", "conf/conf", "conf/z.txt"]
    assert together == sorted(f"conf/{name}" for name in ("conf", "z.txt", "a.txt"))


MODES: Files = {
    "d": Directory(0o2755, mtime=11),
    "d/setuid": File(b"x", 0o4755, mtime=12),
    "d/none": File(b"", 0, mtime=13),
    "d/fifo": Fifo(0o620, mtime=14),
    "d/link": Symlink("setuid", mtime=15),
    "d/sticky": Directory(0o1777, mtime=16),
}


def test_modes_are_kept_with_their_odd_bits(make_context: MakeContext) -> None:
    entries = make_context(MODES).collect(copy("d .")).entries

    assert {entry.path: oct(entry.mode) for entry in entries} == {
        "d": "0o2755",
        "d/fifo": "0o620",
        "d/link": "0o777",
        "d/none": "0o0",
        "d/setuid": "0o4755",
        "d/sticky": "0o1777",
    }


def test_chmod_overrides_all_modes_but_those_of_symlinks(make_context: MakeContext) -> None:
    entries = make_context(MODES).collect(copy("d .", chmod=0o600)).entries

    assert {entry.path for entry in entries if entry.mode != 0o600} == {"d/link"}


@pytest.mark.parametrize(("mtime", "expected"), [(0, [0] * 6), (99, [99] * 6), (None, [11, 14, 15, 13, 12, 16])])
def test_times_are_the_ones_asked_for(make_context: MakeContext, mtime: int | None, expected: list[int]) -> None:
    entries = make_context(MODES).collect(copy("d .", mtime=mtime)).entries

    assert [entry.mtime for entry in entries] == expected


LINKED: Files = {
    "a/first": "shared",
    "a/second": HardLink("a/first"),
    "b/third": HardLink("a/first"),
    "alone": "single",
    "b/outside": HardLink("alone"),
}


def kinds(collected: Collected) -> list[tuple[str, str, str]]:
    return [(e.path, e.kind.value, e.target) for e in collected.entries if e.kind is not Kind.DIRECTORY]


def test_hard_links_point_to_the_first_name_in_canonical_order(make_context: MakeContext) -> None:
    assert kinds(make_context(LINKED).collect(copy("a b x"))) == [
        ("x/a/first", "file", ""),
        ("x/a/second", "hard link", "x/a/first"),
        ("x/b/outside", "file", ""),
        ("x/b/third", "hard link", "x/a/first"),
    ]


def test_a_name_copied_twice_is_two_files_whatever_other_names_it_has(make_context: MakeContext) -> None:
    context = make_context(LINKED)

    assert kinds(context.collect(copy("alone alone x"))) == [("x/alone", "file", "")]
    assert kinds(context.collect(copy("b/outside b x"))) == [
        ("x/b/outside", "file", ""),
        ("x/b/third", "file", ""),
        ("x/outside", "file", ""),
    ]


def test_a_hard_link_that_another_source_covers_is_not_linked_to(make_context: MakeContext) -> None:
    context = make_context({**LINKED, "c/first": "other"})

    assert kinds(context.collect(copy("a/. c/. b/. x"))) == [
        ("x/first", "file", ""),
        ("x/outside", "file", ""),
        ("x/second", "file", ""),
        ("x/third", "hard link", "x/second"),
    ]


def test_names_that_share_a_prefix_stand_in_the_order_of_a_layer(make_context: MakeContext) -> None:
    files: Files = {
        "a/b": "",
        "a.b": "",
        "a b": "",
        "a-b/c": "",
        "ab": "",
        "é": "",
        "z": "",
        "a/.b": "",
        "日本 語/x": "",
    }

    entries = list(make_context(files).collect(copy(". .")).entries)

    assert entries == canonical_order(entries)
    assert [entry.path for entry in entries] == [
        *["a", "a/.b", "a/b", "a b", "a-b", "a-b/c", "a.b", "ab", "z", "é", "日本 語", "日本 語/x"]
    ]


def test_near_matches_are_the_hint(make_context: MakeContext) -> None:
    context = make_context({"manifests/dashboard.yaml": "", "helm": ""})

    assert hint_of(context, "dashboard.yaml") == "did you mean 'manifests/dashboard.yaml'?"
    assert hint_of(context, "manifest/dashbord.yaml") == "did you mean 'manifests/dashboard.yaml'?"
    assert hint_of(context, "Helm") == "did you mean 'helm'?"
    assert hint_of(context, "qqqqqqqq") == "the build context holds 'helm', 'manifests'"


def test_an_empty_context_says_that_it_is_empty(make_context: MakeContext) -> None:
    context = make_context({})

    assert hint_of(context, "app") == "the build context is empty"
    assert context.collect(copy(". .")) == Collected([], ())


def hint_of(context: SourceCollector, source: str) -> str | None:
    with pytest.raises(SourceNotFoundError) as caught:
        context.collect(copy(f"{source} x"))
    return caught.value.hint


def test_the_list_with_passwords_is_left_out_with_a_warning(make_context: MakeContext) -> None:
    context = make_context({"m/imageListWithAuth.yaml": "p", "imageListWithAuth.yaml": "p", "m/imageList": ""})

    everything, matched = context.collect(copy(". .")), context.collect(copy("m/* ."))

    assert shown(everything) == ["m/", "m/imageList"]
    assert everything.warnings == (
        "'imageListWithAuth.yaml' holds credentials and was left out: no layer ever has it",
        "'m/imageListWithAuth.yaml' holds credentials and was left out: no layer ever has it",
    )
    assert matched.warnings == everything.warnings[1:]


def test_a_directory_may_be_called_like_the_list(make_context: MakeContext) -> None:
    context = make_context({"imageListWithAuth.yaml/x": ""})

    assert shown(context.collect(copy(". ."))) == ["imageListWithAuth.yaml/", "imageListWithAuth.yaml/x"]


def test_what_looks_like_a_key_is_copied_with_a_warning(make_context: MakeContext) -> None:
    files: Files = {
        "ssh/id_rsa": "",
        "tls/ca.pem": "",
        "tls/ca.key": "",
        "monkey": "",
        ".npmrc": "",
        "id_rsa": Directory(),
    }

    collected = make_context(files).collect(copy(". ."))

    assert [warning.split("'")[1] for warning in collected.warnings] == [".npmrc", "ssh/id_rsa", "tls/ca.key"]
    assert "ssh/id_rsa" in shown(collected)


def test_a_key_named_directly_is_a_warning_too(make_context: MakeContext) -> None:
    assert len(make_context({"k/id_rsa": ""}).collect(copy("k/id_rsa .")).warnings) == 1


IGNORING: Files = {
    ".kubeignore": "# what stays here\n*.log\n\nbuild/\n!build/keep\n/secret*\n!important.log\nlogs/*\n!logs/keep\n",
    "a.log": "",
    "important.log": "",
    "app/b.log": "",
    "app/main": "",
    "build/keep": "",
    "logs/keep": "",
    "logs/drop": "",
    "secrets/x": "",
    "app/secrets/x": "",
    "to-build": Symlink("build"),
    "to-app": Symlink("app"),
}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (
            copy(". ."),
            [
                ".kubeignore",
                "app/",
                "app/main",
                "app/secrets/",
                "app/secrets/x",
                "important.log",
                "logs/",
                "logs/keep",
                "to-app -> app",
                "to-build -> build",
            ],
        ),
        (copy("app x"), ["x/app/", "x/app/main", "x/app/secrets/", "x/app/secrets/x"]),
        (copy("*.log x"), ["x/important.log"]),
        (copy("*.log important.log"), ["important.log"]),
        (copy("to-app/. x"), ["x/main", "x/secrets/", "x/secrets/x"]),
        (copy("*/keep x"), ["x/keep"]),
        (copy("to-build x"), ["x/to-build -> build"]),
    ],
    ids=label,
)
def test_a_kubeignore_leaves_files_out_of_every_copy(
    make_context: MakeContext, request_: CopyRequest, expected: list[str]
) -> None:
    assert shown(make_context(IGNORING).collect(request_)) == expected


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("a.log", "'a.log' by line 2 of .kubeignore, '*.log'"),
        ("app/b.log", "'app/b.log' by line 2 of .kubeignore"),
        ("app/*.log", "'app/b.log' by line 2 of .kubeignore"),
        ("build", "'build' by line 4 of .kubeignore, 'build/'"),
        ("build/keep", "'build' by line 4 of .kubeignore"),
        ("build/.", "'build' by line 4 of .kubeignore"),
        ("to-build/keep", "'build' by line 4 of .kubeignore"),
        ("secrets/x", "'secrets' by line 6 of .kubeignore, '/secret*'"),
    ],
)
def test_a_source_that_is_ignored_names_the_line(make_context: MakeContext, source: str, reason: str) -> None:
    with pytest.raises(SourceNotFoundError) as caught:
        make_context(IGNORING).collect(copy(f"{source} x"))

    assert f"matches only what is left out: {reason}" in caught.value.message


def test_digests_are_those_of_the_content(make_context: MakeContext) -> None:
    from hashlib import sha256

    big = bytes(range(256)) * 4_000
    context = make_context({"big": big, "empty": "", "link": Symlink("big"), "again": HardLink("big")})

    entries = context.with_digests(context.collect(copy(". .")).entries)

    assert {entry.path: entry.digest for entry in entries} == {
        "again": sha256(big).digest(),
        "big": None,
        "empty": sha256().digest(),
        "link": None,
    }


def test_known_digests_are_left_as_they_are(make_context: MakeContext) -> None:
    context = make_context({"a": "1"})

    entries = [entry._replace(digest=b"known") for entry in context.collect(copy("a x")).entries]

    assert context.with_digests(entries) == entries


# Generated trees and COPYs: memory and disk agree.

NAMES = st.sampled_from(
    ["a", "b", "a.b", "ab", "a b", ".a", "é", "*", "[a]", "a\\", "id_rsa", "imageListWithAuth.yaml"]
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TARGETS = st.one_of(PATHS, PATHS.map("../{}".format), st.just("/a"), st.just(".."), st.just("."), st.just("../.."))
ITEMS = st.one_of(
    st.binary(max_size=4),
    st.builds(File, st.binary(max_size=4), st.sampled_from([0o644, 0o755, 0o4711, 0o600]), st.integers(0, 9)),
    st.builds(Directory, st.sampled_from([0o755, 0o700, 0o1777])),
    st.builds(Symlink, TARGETS),
    st.builds(Fifo, st.sampled_from([0o644, 0o600])),
)
PATTERNS = st.sampled_from([".", "*", "a", "?", "*b", "[!a]*", "a*", "\\*", "..", "a/.", "*/.", "*/*", "b/*", "/a/"])
SOURCES = st.one_of(PATHS, PATTERNS, st.tuples(PATTERNS, PATHS).map("/".join), st.tuples(PATHS, PATTERNS).map("/".join))
IGNORE_LINES = st.sampled_from(["a", "*.b", "/b", "a/", "!a", "**/b", "a/**", "!*b", ".a", "*", "!/*"])


@st.composite
def contexts(draw: st.DrawFn) -> Files:
    """Trees that a directory can hold, sometimes with hard links and ignore rules."""
    files: dict[str, bytes | str | Item] = {}
    for path, item in draw(st.dictionaries(PATHS, ITEMS, max_size=8)).items():
        inner = any(path.startswith(f"{other}/") and not isinstance(files[other], Directory) for other in files)
        outer = any(other.startswith(f"{path}/") for other in files) and not isinstance(item, Directory)
        if not inner and not outer:
            files[path] = item
    regular = [path for path, item in files.items() if isinstance(item, bytes | File)]
    if draw(st.booleans()) and regular:
        files["linked"] = HardLink(draw(st.sampled_from(regular)))
    rules = draw(st.lists(IGNORE_LINES, max_size=3))
    if rules:
        files[".kubeignore"] = "\n".join(rules)
    return files


REQUESTS = st.builds(
    CopyRequest,
    st.lists(SOURCES, min_size=1, max_size=3).map(tuple),
    st.one_of(st.just("."), PATHS, st.just("../x"), st.just("x/../a")),
    exact=st.booleans(),
    chmod=st.sampled_from([None, 0o600]),
    mtime=st.just(0),
)


def outcome(context: SourceCollector, request: CopyRequest) -> object:
    """The entries without what only a disk knows, or the error."""
    try:
        collected = context.collect(request)
    except ContextError as error:
        return type(error), error.message, error.hint
    entries = [e._replace(source=None, identity=None) for e in context.with_digests(collected.entries)]
    return entries, collected.directories, collected.warnings


@given(files=contexts(), request=REQUESTS)
@example(files={"a": Symlink(".")}, request=CopyRequest(("a/a/.",), "x"))
@example(files={"a/b": "", "b": Symlink("a/gone/../b")}, request=CopyRequest(("b",), "x"))
def test_memory_and_disk_agree(files: Files, request: CopyRequest) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # One step down, so that nothing of the machine stands beside the context.
        root = os.path.join(folder, "context")
        os.mkdir(root)
        write_context(files, root)

        assert outcome(ContextCollector(root), request) == outcome(MemoryContext(files, label=root), request)


@given(files=contexts(), request=REQUESTS)
def test_entries_are_in_canonical_order_and_no_path_comes_twice(files: Files, request: CopyRequest) -> None:
    try:
        collected = MemoryContext(files).collect(request)
    except ContextError:
        return
    paths = [entry.path for entry in collected.entries]

    assert list(collected.entries) == canonical_order(collected.entries)
    assert len(set(paths)) == len(paths)
    assert not set(collected.directories) & set(paths)
    assert all(parent_of(path) in {"", *paths, *collected.directories} for path in paths)


def parent_of(path: str) -> str:
    return path.rpartition("/")[0]


@given(files=contexts(), request=REQUESTS)
def test_copying_the_context_changes_nothing_but_times(files: Files, request: CopyRequest) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first, second = (os.path.join(folder, name, "context") for name in ("one", "other"))
        _write_with_times(files, first, 1_000)
        _write_with_times(dict(reversed(list(files.items()))), second, 2_000)

        assert _anywhere(outcome(ContextCollector(first), request), first) == _anywhere(
            outcome(ContextCollector(second), request), second
        )


def _write_with_times(files: Files, root: str, seconds: int) -> None:
    os.makedirs(root)
    write_context(files, root)
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            os.utime(os.path.join(folder, name), (seconds, seconds), follow_symlinks=False)


def _anywhere(result: object, root: str) -> object:
    return repr(result).replace(root, "")


@pytest.mark.parametrize(
    "files",
    [
        {"a": "", "a/b": ""},
        {"../a": ""},
        {"a//b": ""},
        {"/a": ""},
        {"": ""},
        {"a": HardLink("gone")},
        {"a": HardLink("a")},
    ],
    ids=str,
)
def test_a_dict_that_no_directory_can_hold_is_refused(files: Files) -> None:
    with pytest.raises(ValueError, match=r"path in a context|no directory|hard link"):
        MemoryContext(files)
