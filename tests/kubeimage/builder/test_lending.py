"""What a RUN inside an image's own root is lent, and that none of it stays."""

from dataclasses import replace

import pytest

from harness.fakes.stores import MemoryLayerStore
from kubeimage.builder.lending import lend, without_lent
from kubeimage.errors import CommandError
from kubeimage.layer.entry import Entry, directory, file, symlink
from kubeimage.layer.stack import LayerStack, StackedLayer
from kubeimage.protocols.running import Command, ImageRoot, ShownPath

IMAGE = ImageRoot(("/bin/sh", "-c", "true"))
COMMAND = Command("true", image=IMAGE)
SHELL = (directory("bin"), file("bin/sh", b"#", 0o755))


def rootfs(*entries: Entry) -> LayerStack:
    layers = MemoryLayerStore()
    return LayerStack(layers, [StackedLayer(layers.put(sorted(entries, key=lambda one: one.path)).diff_id)])


def lent(*entries: Entry) -> tuple[tuple[str, ...], frozenset[str]]:
    command, made = lend(COMMAND, rootfs(*SHELL, *entries))
    assert command.image is not None
    return command.image.lent, made


def test_what_is_missing_is_made_and_what_is_there_is_not() -> None:
    both = ("/etc/resolv.conf", "/etc/hosts")

    assert lent() == (both, frozenset({"proc", "dev", "etc", "etc/resolv.conf", "etc/hosts"}))
    assert lent(directory("etc"), file("etc/hosts", b""), directory("proc")) == (
        both,
        frozenset({"dev", "etc/resolv.conf"}),
    )


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((directory("etc"), symlink("etc/hosts", "/x")), ("/etc/resolv.conf",)),
        ((directory("etc"), directory("etc/hosts")), ("/etc/resolv.conf",)),
        ((symlink("etc", "/x"),), ()),
        ((file("etc", b""),), ()),
    ],
)
def test_nothing_is_lent_where_something_else_stands(entries: tuple[Entry, ...], expected: tuple[str, ...]) -> None:
    assert lent(*entries)[0] == expected


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ((), "no /bin/sh"),
        ((symlink("bin", "usr/bin"),), "no /bin/sh"),
        ((*SHELL, symlink("proc", "/x")), "symlink at /proc"),
        ((*SHELL, file("dev", b"")), "file at /dev"),
    ],
)
def test_an_image_that_no_run_can_be_in_is_refused(entries: tuple[Entry, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        lend(COMMAND, rootfs(*entries))


def test_a_shell_behind_a_symlink_is_one() -> None:
    lend(COMMAND, rootfs(symlink("bin", "usr/bin"), directory("usr"), directory("usr/bin"), file("usr/bin/sh", b"#")))


def test_home_is_known_where_there_is_a_list_of_users() -> None:
    bare, _ = lend(COMMAND, rootfs(*SHELL))
    listed, _ = lend(COMMAND, rootfs(*SHELL, directory("etc"), file("etc/passwd", b"")))

    assert (bare.environment["HOME"], listed.environment["HOME"]) == ("/", "/root")


def test_a_folder_that_the_run_has_filled_stays() -> None:
    made = frozenset({"etc", "etc/hosts", "proc"})
    mounted = [directory("etc"), file("etc/hosts", b""), directory("proc")]

    assert without_lent(mounted, made) == []
    assert without_lent([*mounted, file("etc/x", b"")], made) == [directory("etc"), file("etc/x", b"")]


def test_what_is_made_to_mount_on_is_gone_afterwards_however_deep_it_is() -> None:
    shown = (ShownPath("a/b/c"), ShownPath("link/d"), ShownPath("etc/one", "/host/one", is_file=True))
    command = replace(COMMAND, image=replace(IMAGE, shown=shown))

    lent, made = lend(command, rootfs(*SHELL, directory("real"), symlink("link", "/real")))

    assert lent.image is not None
    assert [one.target for one in lent.image.shown] == ["a/b/c", "real/d", "etc/one"]
    assert {"a", "a/b", "a/b/c", "real/d", "etc/one"} <= made
    assert "real" not in made
    assert without_lent([directory(path) for path in sorted(made)], made) == []
    kept = [directory("a"), directory("a/b"), file("a/b/new", b"")]
    assert without_lent([*kept[:2], directory("a/b/c"), kept[2]], made) == kept
