"""A built image's rootfs, layers and what is told of them."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.asking.options import Settings
from harness.cases.building import KubeBuild
from harness.cases.workshop import Workshop
from harness.images.explain import explain
from harness.images.image import BuiltImage
from harness.trees import Content, Fifo, File, Folder, HardLink, Link
from kubeimage.image.digest import Digest
from kubeimage.image.document import Layer

BASE: dict[str, Content] = {"usr/lib/x": "old", "lib": Link("usr/lib"), "etc/conf": "a\nb\nc\n"}
CONTEXT: dict[str, Content] = {
    "tool": File(b"#!/bin/sh\n", 0o755),
    "tree/x": "new",
    "tree/same": HardLink("tree/x"),
    "tree/pipe": Fifo(0o600),
    "tree/two words/größe": b"\xff",
    "tree/closed": Folder(0o700),
    "tree/closed/file": "",
}
TEXT = "FROM base\nCOPY tool bin\nCOPY tree/* lib\n"

Build = Callable[..., BuiltImage]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return KubeBuild(Workshop(Settings(backend="memory"), str(tmp_path_factory.mktemp("run"))))


@pytest.fixture(scope="session")
def image(build: Build) -> BuiltImage:
    return build(TEXT, CONTEXT, base=BASE)


def test_the_rootfs_is_a_mapping_of_all_paths(image: BuiltImage) -> None:
    assert list(image.rootfs) == sorted(image.rootfs)
    assert len(image.rootfs) == len(list(image.rootfs))
    assert image.rootfs == {
        "bin/tool": File(b"#!/bin/sh\n", 0o755),
        "etc/conf": "a\nb\nc\n",
        "lib": Link("usr/lib"),
        "usr/lib/x": "new",
        "usr/lib/same": "new",
        "usr/lib/pipe": Fifo(0o600),
        "usr/lib/two words/größe": b"\xff",
        "usr/lib/closed": Folder(0o700),
        "usr/lib/closed/file": "",
    }


@pytest.mark.parametrize("path", ["usr/lib/x", "/usr/lib/x", "./usr//lib/x/", "lib/x"])
def test_a_path_may_be_written_in_many_ways_and_lead_through_links(image: BuiltImage, path: str) -> None:
    assert path in image.rootfs
    assert image.rootfs[path].path == "usr/lib/x"
    assert image.rootfs[path].read_text() == "new"


@pytest.mark.parametrize("path", ["usr/lib/y", "../usr", "etc/conf/x", "", 7], ids=repr)
def test_what_is_not_there_is_not_there(image: BuiltImage, path: object) -> None:
    assert path not in image.rootfs


def test_a_missing_path_is_a_key_error_with_near_names(image: BuiltImage) -> None:
    with pytest.raises(KeyError, match=r"bin/tol \(did you mean bin/tool\?\)"):
        image.rootfs["bin/tol"]


def test_an_entry_tells_what_it_is(image: BuiltImage) -> None:
    tool, link, folder = (image.rootfs[path] for path in ("bin/tool", "lib", "usr/lib/closed"))

    assert (tool.mode, tool.size, tool.is_file, tool.is_dir, tool.is_symlink) == (0o755, 10, True, False, False)
    assert tool.digest == Digest.of(b"#!/bin/sh\n")
    assert (tool.mtime, tool.xattrs) == (0, {})
    assert (link.target, link.is_symlink, link.is_file) == ("usr/lib", True, False)
    assert (folder.is_dir, folder.mode, folder.size) == (True, 0o700, 0)
    assert repr(tool) == "<bin/tool: '#!/bin/sh\\n' with mode 755>"


@pytest.mark.parametrize(
    ("path", "error"), [("usr/lib", IsADirectoryError), ("lib", ValueError), ("usr/lib/pipe", ValueError)]
)
def test_only_files_have_content(image: BuiltImage, path: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=path):
        image.rootfs[path].read_bytes()


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("etc/*", ["etc/conf"]),
        ("*", ["bin", "etc", "lib", "usr"]),
        ("**/x", ["usr/lib/x"]),
        ("bin/**", ["bin/tool"]),
        ("[be]*/*", ["bin/tool", "etc/conf"]),
        ("[!be]*", ["lib", "usr"]),
        ("usr/lib/?", ["usr/lib/x"]),
        ("/etc/c[n-p]nf", ["etc/conf"]),
        ("nothing/*", []),
        ("etc.conf", []),
    ],
)
def test_globs_stay_within_names_but_for_two_stars(image: BuiltImage, pattern: str, paths: list[str]) -> None:
    assert image.rootfs.glob(pattern) == paths


def test_the_layer_of_a_path_names_its_instruction(image: BuiltImage) -> None:
    tool, conf = image.layer_of("bin/tool"), image.layer_of("etc/conf")

    assert (tool.number, tool.line, tool.instruction) == (2, 2, "COPY tool bin")
    assert (conf.number, conf.line, conf.kind) == (1, None, "COPY")
    with pytest.raises(KeyError):
        image.layer_of("nothing")


def test_a_layer_that_no_instruction_made_takes_no_line_from_those_before_it(image: BuiltImage) -> None:
    found = Layer(Digest.of(b"found"), 10, "BASE", "rootfs cache")

    longer = BuiltImage(replace(image.image, layers=(*image.image.layers, found)), image.place, image.result)

    assert [layer.line for layer in longer.layers] == [*(layer.line for layer in image.layers), None]


def test_an_image_tells_of_itself(image: BuiltImage) -> None:
    assert len(image.layers) == 3
    assert image.size == sum(layer.size for layer in image.layers)
    assert image.history[1:] == ["COPY tool bin", "COPY tree/* lib"]
    assert image.id == image.image.id
    assert "ClusterFile" in "".join(image.annotations)
    assert repr(image).startswith(f"<image {image.id.short}, 3 layers")
    assert [step.layer is not None for step in image.steps] == [True, True]


def test_efficiency_counts_what_is_overwritten(build: Build) -> None:
    once = build("FROM scratch\nCOPY a .", {"a": "x" * 100})
    twice = build("FROM base\nCOPY a .", {"a": "y" * 100}, base=once)

    assert (once.efficiency, once.wasted) == (1.0, 0)
    assert (twice.efficiency, twice.wasted) == (0.5, 200)


def test_rootfs_of_two_images_compare(build: Build, image: BuiltImage) -> None:
    assert build(TEXT, CONTEXT, base=BASE).rootfs == image.rootfs
    assert build(TEXT, {**CONTEXT, "tool": "other"}, base=BASE).rootfs != image.rootfs


@pytest.mark.parametrize(
    ("expected", "lines"),
    [
        ({"a": "1", "d/b": "2", "c": "3"}, ["- c: expected '3', and not there"]),
        ({"a": "1"}, ["+ d/b: '2' with mode 644, and not expected; it is from line 3: COPY b d"]),
        ({"a": b"\xff", "d/b": "2"}, ["~ a: expected b'\\xff', found '1' with mode 644; it is from line 2: COPY a ."]),
        ({"a": File("1", 0o755), "d/b": "2"}, ["~ a: expected '1' with mode 755, found '1' with mode 644; *"]),
        ({"a": None, "d/b": "2"}, ["~ a: expected a directory, found *"]),
        ({"a": Link("x"), "d/b": "2"}, ["~ a: expected a symlink to 'x', found *"]),
        ({"a": "1", "d": "2"}, ["~ d: expected '2', found a directory with mode 755; *", "+ d/b: *"]),
    ],
    ids=["missing", "more", "content", "mode", "directory", "link", "file for a directory"],
)
def test_a_failed_comparison_says_which_paths_differ(
    build: Build, expected: dict[str, Content], lines: list[str]
) -> None:
    from fnmatch import fnmatchcase

    image = build("FROM scratch\nCOPY a .\nCOPY b d", {"a": "1", "b": "2"})

    shown = explain("==", image.rootfs, expected)

    assert image.rootfs != expected
    assert shown is not None
    assert shown[0].startswith("the image's rootfs is not the expected tree: ")
    assert len(shown) == 1 + len(lines)
    assert all(fnmatchcase(one, pattern) or one == pattern for one, pattern in zip(shown[1:], lines, strict=True))


def test_texts_of_many_lines_show_their_difference(image: BuiltImage) -> None:
    shown = explain("==", image.rootfs, {**dict(image.rootfs), "etc/conf": "a\nB\nc\n"})

    assert shown is not None
    assert [line.strip() for line in shown[-4:]] == ["a", "-B", "+b", "c"]


def test_many_differences_are_cut_short_unless_all_are_wanted(build: Build) -> None:
    image = build("FROM scratch\nCOPY . .", {f"{number}": "" for number in range(30)})

    short, whole = explain("==", image.rootfs, {}), explain("==", {}, image.rootfs, verbose=True)

    assert short is not None
    assert whole is not None
    assert (len(short), short[-1]) == (22, "... and 10 more; use -v to see them")
    assert len(whole) == 31


def test_lists_of_layers_show_which_differ(build: Build) -> None:
    one = build("FROM scratch\nCOPY a .\nCOPY b .", {"a": "", "b": ""})
    two = build("FROM scratch\nCOPY a .", {"a": ""})

    shown = explain("==", one.layers, two.layers)

    assert shown is not None
    assert shown[0] == "2 layers, and 1:"
    assert shown[1].startswith("  layer 1: COPY a . (")
    assert shown[2].startswith("- layer 2: COPY b . (")


def test_a_list_of_layers_is_no_tuple(image: BuiltImage) -> None:
    shown = explain("==", image.layers, list(image.layers))

    assert shown is not None
    assert shown[0] == "a tuple is never equal to a list; the layers of an image are a tuple"


def test_images_show_all_that_differs(build: Build) -> None:
    one = build("FROM scratch\nARG A=1\nCOPY a .\nCMD x", {"a": "1\n2\n"})
    two = build("FROM scratch\nARG A=2\nCOPY a .\nCOPY b .\nCMD y", {"a": "1\n3\n", "b": ""}, labels={"l": "v"})

    shown = explain("==", one, two)

    assert one != two
    assert one == build("FROM scratch\nARG A=1\nCOPY a .\nCMD x", {"a": "1\n2\n"})
    assert shown is not None
    assert shown[:5] == [
        f"two images: {one.id.short} and {two.id.short}",
        "cmd: ['x'], and ['y']",
        "args: {'A': '1'}, and {'A': '2'}",
        "labels: {}, and {'l': 'v'}",
        "1 layer, and 2:",
    ]
    assert shown[-3:] == ["- a: '1\\n2\\n' with mode 644", "+ a: '1\\n3\\n' with mode 644", "+ b: '' with mode 644"]


def test_two_entries_show_where_they_are_from(build: Build) -> None:
    image = build("FROM scratch\nCOPY a .\nCOPY b .", {"a": "1\n2\n", "b": "1\n3\n"})

    shown = explain("==", image.rootfs["a"], image.rootfs["b"])

    assert shown is not None
    assert shown[:3] == [
        "another thing stands there",
        "- a: '1\\n2\\n' with mode 644, from line 2: COPY a .",
        "+ b: '1\\n3\\n' with mode 644, from line 3: COPY b .",
    ]
    assert [line.strip() for line in shown[-2:]] == ["-2", "+3"]


def test_a_path_that_is_missing_shows_names_near_it_and_one_too_many_its_origin(image: BuiltImage) -> None:
    assert explain("in", "usr/tool", image.rootfs) == [
        f"'usr/tool' is not in the image's rootfs, which has {len(image.rootfs)} paths",
        "near it: bin/tool, usr/lib",
    ]
    assert explain("in", "zzz", image.rootfs) == [
        f"'zzz' is not in the image's rootfs, which has {len(image.rootfs)} paths"
    ]
    assert explain("not in", "bin/tool", image.rootfs) == [
        "'bin/tool' is in the image's rootfs",
        "it is '#!/bin/sh\\n' with mode 755, from line 2: COPY tool bin",
    ]


def test_other_comparisons_are_left_to_pytest(image: BuiltImage) -> None:
    assert explain("==", {}, {}) is None
    assert explain("==", image.rootfs, 3) is None
    assert explain("==", (), ()) is None
