"""What every mounter does: one table of RUNs and the changes each makes, for all of them.

    class TestMyMounter(MounterContract):
        @pytest.fixture
        def parts(self) -> RunParts: ...

The commands are such that a real ``sh`` and `harness.fakes.runner.ShellInterpreter` both run them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from kubeimage.errors import UnsupportedSourceError
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry, Kind, canonical_order, directory, file, opaque, symlink, whiteout
from kubeimage.protocols.layers import LayerStore
from kubeimage.protocols.running import Command, CommandResult, CommandRunner, Mount, Mounter

Layers = tuple[tuple[Entry, ...], ...]


@dataclass(frozen=True)
class RunParts:
    """A mounter, a runner that works with it, and the store of the layers that it mounts."""

    mounter: Mounter
    runner: CommandRunner
    layers: LayerStore


def fifo(path: str, mode: int = 0o644) -> Entry:
    """Make a FIFO."""
    return Entry(path, Kind.FIFO, mode)


def hard_link(path: str, target: str, mode: int = 0o644) -> Entry:
    """Make a HARDLINK."""
    return Entry(path, Kind.HARDLINK, mode, target=target)


def with_xattr(entry: Entry, name: str, value: bytes) -> Entry:
    """Return an entry with one more xattr."""
    return entry._replace(xattrs=((name, value),))


BASE: Layers = (
    (
        directory("d", 0o750),
        directory("d/sub"),
        file("d/sub/deep", b"deep\n"),
        file("d/x", b"x\n"),
        directory("etc"),
        file("etc/a", b"1\n"),
        file("etc/b", b"2\n", 0o600),
        symlink("etc/link", "a"),
        file("top", b"top\n"),
    ),
    (directory("etc"), file("etc/b", b"two\n", 0o640)),
)
ETC = directory("etc")
D = directory("d", 0o750)
WHOLE_D = (D, directory("d/sub"), file("d/sub/deep", b"deep\n"), file("d/x", b"x\n"))


def _case(
    name: str, script: str, *expected: Entry, layers: Layers = BASE, needs: str = "", **environment: str
) -> object:
    marks = [pytest.mark.needs(needs)] if needs else []
    return pytest.param(script, expected, layers, environment, id=name.replace(" ", "-"), marks=marks)


UNICODE = "\N{GREEK SMALL LETTER ALPHA}\N{COMBINING ACUTE ACCENT} \N{PILE OF POO}"

CASES = (
    _case("nothing", "true"),
    _case("touch alone is no change", "touch etc/a d top"),
    _case("equal content is no change", "echo 1 > etc/a"),
    _case("a change that is undone is none", "chmod 600 etc/a; chmod 644 etc/a; mv top t; mv t top"),
    _case("a file that does not last", "echo x > etc/new && rm etc/new"),
    _case("a directory that does not last", "mkdir n && echo x > n/x && rm -r n"),
    _case("the root's own mode is none of a layer's", "chmod 700 ."),
    _case("new file", "echo hi > etc/new", ETC, file("etc/new", b"hi\n")),
    _case("new file at the root", "echo hi > new", file("new", b"hi\n")),
    _case("first layer of all", "mkdir bin && echo x > bin/x", directory("bin"), file("bin/x", b"x\n"), layers=()),
    _case("changed content", "echo 9 > etc/a", ETC, file("etc/a", b"9\n")),
    _case("appended content", "echo 9 >> etc/b", ETC, file("etc/b", b"two\n9\n", 0o640)),
    _case("content behind a symlink", "echo 9 > etc/link", ETC, file("etc/a", b"9\n")),
    _case("content edited in place", "sed -i s/1/one/ etc/a", ETC, file("etc/a", b"one\n")),
    _case("arguments", 'echo "$WORDS" > new', file("new", b"a  b\n"), WORDS="a  b"),
    _case("mode alone", "chmod 600 etc/a", ETC, file("etc/a", b"1\n", 0o600)),
    _case("mode of a directory", "chmod 700 d", directory("d", 0o700)),
    _case("setuid", "chmod 4755 top", file("top", b"top\n", 0o4755)),
    _case("setgid and sticky directories", "mkdir g s; chmod 2775 g; chmod 1777 s",
          directory("g", 0o2775), directory("s", 0o1777)),
    _case("a file nobody may read", "chmod 0 etc/a", ETC, file("etc/a", b"1\n", 0)),
    _case("a directory nobody may enter", "mkdir n; echo x > n/x; chmod 0 n", directory("n", 0), file("n/x", b"x\n")),
    _case("deleted file", "rm etc/a", ETC, whiteout("etc/a")),
    _case("deleted file of two layers", "rm etc/b", ETC, whiteout("etc/b")),
    _case("deleted symlink", "rm etc/link", ETC, whiteout("etc/link")),
    _case("deleted directory", "rm -r d", whiteout("d")),
    _case("deleted everything", "rm -rf *", whiteout("d"), whiteout("etc"), whiteout("top")),
    _case("directory emptied", "rm -r d/x d/sub", D, whiteout("d/sub"), whiteout("d/x")),
    _case("directory made anew", "rm -r d; mkdir d; echo n > d/n",
          directory("d"), whiteout("d/sub"), whiteout("d/x"), file("d/n", b"n\n")),
    _case("directory made anew in one made anew", "rm -r d; mkdir -p d/sub; echo n > d/sub/n",
          directory("d"), whiteout("d/x"), directory("d/sub"), whiteout("d/sub/deep"), file("d/sub/n", b"n\n")),
    _case("directory made anew as it was", "rm -r d; mkdir d d/sub; chmod 750 d; echo x > d/x; echo deep > d/sub/deep"),
    _case("directory made anew with one change",
          "rm -r d; mkdir d d/sub; chmod 750 d; echo x > d/x; echo n > d/sub/deep",
          D, directory("d/sub"), file("d/sub/deep", b"n\n")),
    _case("renamed file", "mv etc/a etc/z", ETC, whiteout("etc/a"), file("etc/z", b"1\n")),
    _case("renamed over another file", "mv etc/a etc/b", ETC, whiteout("etc/a"), file("etc/b", b"1\n")),
    _case("renamed directory", "mv d e", whiteout("d"), *(one._replace(path="e" + one.path[1:]) for one in WHOLE_D)),
    _case("renamed directory with a change", "mv d e; echo n > e/sub/deep",
          whiteout("d"), directory("e", 0o750), directory("e/sub"), file("e/sub/deep", b"n\n"), file("e/x", b"x\n")),
    _case("directory renamed into another", "mv d etc",
          whiteout("d"), ETC, *(one._replace(path="etc/" + one.path) for one in WHOLE_D)),
    _case("directory renamed and back", "mv d e; mv e d"),
    _case("file becomes directory", "rm top; mkdir top; echo n > top/n", directory("top"), file("top/n", b"n\n")),
    _case("directory becomes file", "rm -r d; echo n > d", file("d", b"n\n")),
    _case("directory becomes symlink", "rm -r d; ln -s etc d", symlink("d", "etc")),
    _case("symlink becomes directory", "rm etc/link; mkdir etc/link", ETC, directory("etc/link")),
    _case("symlink becomes file", "rm etc/link; echo n > etc/link", ETC, file("etc/link", b"n\n")),
    _case("file becomes symlink", "ln -sf b etc/a", ETC, symlink("etc/a", "b")),
    _case("file becomes directory and file again", "rm top; mkdir top; rmdir top; echo n > top", file("top", b"n\n")),
    _case("symlink turned elsewhere", "ln -sf b etc/link", ETC, symlink("etc/link", "b")),
    _case("symlink made anew as it was", "rm etc/link; ln -s a etc/link"),
    _case("symlinks that lead nowhere and out", "ln -s nowhere n; ln -s ../../x o; ln -s /etc/passwd p",
          symlink("n", "nowhere"), symlink("o", "../../x"), symlink("p", "/etc/passwd")),
    _case("new hard links", "echo n > n; ln n m; ln n etc/z",
          ETC, file("etc/z", b"n\n"), hard_link("m", "etc/z"), hard_link("n", "etc/z")),
    _case("hard link to a file below", "ln top again", file("again", b"top\n")),
    _case("hard link to a file below, changed", "ln top again; echo n >> again",
          file("again", b"top\nn\n"), hard_link("top", "again")),
    _case("hard links below, one of them changed", "echo n > m",
          file("m", b"n\n"), layers=((file("l", b"l\n"), hard_link("m", "l")),)),
    _case("hard links below, one of them deleted", "rm l",
          whiteout("l"), layers=((file("l", b"l\n"), hard_link("m", "l")),)),
    _case("hard links over files below", "echo n > n; ln -f n etc/a; ln -f n etc/b",
          ETC, file("etc/a", b"n\n"), hard_link("etc/b", "etc/a"), hard_link("n", "etc/a")),
    _case("fifo", "mkfifo etc/pipe; chmod 620 etc/pipe", ETC, fifo("etc/pipe", 0o620)),
    _case("fifo becomes file", "rm p; echo n > p", file("p", b"n\n"), layers=((fifo("p"),),)),
    _case("file becomes fifo", "rm top; mkfifo top", fifo("top")),
    _case("xattr", "setfattr -n user.color -v red etc/a",
          ETC, with_xattr(file("etc/a", b"1\n"), "user.color", b"red"), needs="setfattr"),
    _case("xattr of a directory", "setfattr -n user.color -v red d", with_xattr(D, "user.color", b"red"),
          needs="setfattr"),
    _case("xattr as it was", "setfattr -n user.color -v red l", needs="setfattr",
          layers=((with_xattr(file("l", b"l\n"), "user.color", b"red"),),)),
    _case("a long way down", f"mkdir -p {'n/' * 60}; echo x > {'n/' * 60}x",
          *(directory("/".join("n" * depth)) for depth in range(1, 61)), file(f"{'n/' * 60}x", b"x\n")),
    _case("odd names",
          f"echo 1 > 'two words'; echo 2 > '-n'; mkdir '{UNICODE}'; echo 3 > \"{UNICODE}/it's\"; echo 4 > .h",
          file("-n", b"2\n"), file(".h", b"4\n"), file("two words", b"1\n"),
          directory(UNICODE), file(f"{UNICODE}/it's", b"3\n")),
    _case("a name that ends a line", "echo x > 'a\nb'", file("a\nb", b"x\n")),
    _case("names of the mount's own links", "mkdir l u w m; echo x > m/0",
          directory("l"), directory("m"), file("m/0", b"x\n"), directory("u"), directory("w")),
    _case("whiteouts below hold", "cat a && exit 1; test ! -e d/x && echo n > d/x",
          D, file("d/x", b"n\n"), layers=(*BASE, (whiteout("top"), D, whiteout("d/x")))),
    _case("what is deleted below and made anew is new", "echo top > top",
          file("top", b"top\n"), layers=(*BASE, (whiteout("top"),))),
    _case("a whiteout of nothing shows nowhere", "cat x/* > n", file("n", b"b\n"),
          layers=((file("x/b", b"b\n"), whiteout("x/a")), (file("top", b"1\n"),))),
    _case("a whiteout in an opaque directory shows nowhere", "cat d/* > n", file("n", b"b\n"),
          layers=(*BASE, (whiteout("d"), directory("d"), whiteout("d/x"), file("d/b", b"b\n")))),
    _case("a whiteout below an opaque directory shows nowhere", "cat d/e/* > n", file("n", b"b\n"),
          layers=(*BASE, (opaque("d"), whiteout("d/e/x"), file("d/e/b", b"b\n")))),
    _case("a whiteout and one in it leave a directory", "test ! -e d/x && test ! -e d/sub && echo 1 > d/n",
          directory("d"), file("d/n", b"1\n"), layers=(*BASE, (whiteout("d"), whiteout("d/x")))),
    _case("opaque directories below hold", "test ! -e d/sub && test -f d/n && rm -r d",
          whiteout("d"), layers=(*BASE, (opaque("d"), file("d/n", b"n\n")))),
    _case("opaque directory below, added to", "mkdir d/sub; echo deep > d/sub/deep",
          directory("d"), directory("d/sub"), file("d/sub/deep", b"deep\n"),
          layers=(*BASE, (directory("d"), opaque("d")))),
    _case("an opaque root below holds", "test ! -e top && rm n",
          whiteout("n"), layers=(*BASE, (opaque(""), file("n", b"n\n")))),
    _case("types that changed below", "test -f d && rm -r etc/a && echo n > d",
          file("d", b"n\n"), ETC, whiteout("etc/a"),
          layers=(*BASE, (file("d", b"d\n"), ETC, directory("etc/a"), file("etc/a/x", b"x\n")))),
    _case("a layer that comes again", "test -f top && echo n > top",
          file("top", b"n\n"), layers=(*BASE, (whiteout("top"),), BASE[0])),
    _case("unreadable below, untouched", "touch u/f", layers=((directory("u", 0), file("u/f", b"u\n", 0)),)),
    _case("unreadable below, equal", "rm u/f; echo u > u/f; chmod 0 u/f",
          layers=((directory("u", 0), file("u/f", b"u\n", 0)),)),
    _case("unreadable below, changed", "echo n > u/f",
          directory("u", 0), file("u/f", b"n\n", 0), layers=((directory("u", 0), file("u/f", b"u\n", 0)),)),
)  # fmt: skip


class MounterContract:
    """Takes the fixture ``parts``."""

    @pytest.mark.parametrize(("script", "expected", "layers", "environment"), CASES)
    def test_changes_say_exactly_what_happened(
        self,
        parts: RunParts,
        script: str,
        expected: Sequence[Entry],
        layers: Layers,
        environment: Mapping[str, str],
    ) -> None:
        """The layer's digest is that of what the table says."""
        below = put_layers(parts.layers, layers)

        with parts.mounter.mount(below) as mount:
            run(parts, mount, script, environment)
            changes = mount.changes()
            digest = parts.layers.put(changes).diff_id

            assert [describe(one) for one in changes] == [describe(one) for one in canonical_order(expected)]
            assert digest == parts.layers.put(canonical_order(expected)).diff_id

    def test_two_mounts_of_one_stack_know_nothing_of_each_other(self, parts: RunParts) -> None:
        """What one RUN leaves is not in the next, nor in one at the same time."""
        below = put_layers(parts.layers, BASE)

        with parts.mounter.mount(below) as first, parts.mounter.mount(below) as second:
            run(parts, first, "echo 1 > one")
            run(parts, second, "test ! -e one && echo 2 > two")

            assert [one.path for one in first.changes()] == ["one"]
            assert [one.path for one in second.changes()] == ["two"]

    def test_commands_on_one_mount_follow_each_other(self, parts: RunParts) -> None:
        """What one command left, the next finds; the changes are those of both."""
        with parts.mounter.mount(put_layers(parts.layers, BASE)) as mount:
            run(parts, mount, "rm top && echo 1 > one")
            run(parts, mount, "test ! -e top && mv one two")

            assert [one.path for one in mount.changes()] == ["top", "two"]

    def test_the_stack_that_was_given_stays_as_it_is(self, parts: RunParts) -> None:
        """Mounting turns nothing upside down but its own copy."""
        below = put_layers(parts.layers, BASE)
        before = list(below)

        with parts.mounter.mount(below) as mount:
            run(parts, mount, "rm -r etc")

        assert below == before

    def test_a_name_that_marks_deletions_is_refused(self, parts: RunParts) -> None:
        """A file called like a whiteout must not become one."""
        below = put_layers(parts.layers, BASE)

        with parts.mounter.mount(below) as mount:
            run(parts, mount, "echo x > etc/.wh.a")
            with pytest.raises(UnsupportedSourceError, match=r"'etc/\.wh\.a'"):
                mount.changes()


def put_layers(store: LayerStore, layers: Layers) -> list[Digest]:
    """Put changesets into a store, lowest first."""
    return [store.put(canonical_order(changeset)).diff_id for changeset in layers]


def run(parts: RunParts, mount: Mount, script: str, environment: Mapping[str, str] | None = None) -> CommandResult:
    """Run a script that must succeed."""
    result = parts.runner.run(Command(script, environment or {}), mount, lambda _data: None)
    assert result.status == 0, result.tail
    return result


def describe(entry: Entry) -> tuple[str, str, str, bytes, str, tuple[tuple[str, bytes], ...]]:
    """Return what counts of an entry, its content included."""
    content = b""
    if isinstance(entry.source, str):
        with open(entry.source, "rb") as stream:
            content = stream.read()
    elif entry.source is not None:
        content = entry.source
    return entry.path, entry.kind.value, f"{entry.mode:o}", content, entry.target, entry.xattrs


__all__ = ["BASE", "CASES", "MounterContract", "RunParts", "describe", "put_layers", "run"]
