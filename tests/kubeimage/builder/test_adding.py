"""Where ADD puts what it fetches and unpacks."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, cast

import pytest

from kubeimage.builder.adding import content_fields, is_copy, put_together, unchecked
from kubeimage.errors import AdditionError
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry, Kind, canonical_order, directory, file
from kubeimage.protocols.context import Collected, CopyRequest, Remote, RootOpener

NONE = Collected(())


class Roots:
    """Has one archive, ``a.tar``."""

    def __init__(self, *unpacked: Entry) -> None:
        self._unpacked = canonical_order(unpacked)

    def unpack(self, archive: str, **_: object) -> AbstractContextManager[Sequence[Entry] | None]:
        return nullcontext(self._unpacked if archive == "a.tar" else None)


def add(request: CopyRequest, local: Collected = NONE, names: Sequence[str] = (), *unpacked: Entry) -> Collected:
    fetched = [file(name, name.encode()) for name in names]
    with ExitStack() as stack:
        return put_together(request, local, fetched, cast("RootOpener", Roots(*unpacked)), stack)


def request(destination: str, *names: str, **more: Any) -> CopyRequest:
    return CopyRequest((), destination, remotes=tuple(Remote(f"http://x/{name}") for name in names), **more)


# DEST, whether it ends in a slash, the names of what is fetched; where each lands, and what must be a directory.
PLACES: list[tuple[str, bool, list[str], list[str], list[str]]] = [
    ("bin/tool", False, ["t"], ["bin/tool"], ["bin"]),
    ("bin/tool", False, [""], ["bin/tool"], ["bin"]),
    ("tool", False, ["t"], ["tool"], []),
    ("bin", True, ["t"], ["bin/t"], ["bin"]),
    ("a/b", True, ["t"], ["a/b/t"], ["a", "a/b"]),
    ("a/b", False, ["t", "u"], ["a/b/t", "a/b/u"], ["a", "a/b"]),
    (".", False, ["t"], ["t"], []),
    ("/", False, ["t"], ["t"], []),
    (".", True, ["t", "u"], ["t", "u"], []),
]


@pytest.mark.parametrize(("destination", "into", "names", "places", "directories"), PLACES)
def test_what_is_fetched_lands_where_docker_puts_it(
    destination: str, into: bool, names: list[str], places: list[str], directories: list[str]
) -> None:
    found = add(request(destination, *names, into=into), names=names)

    assert [(one.path, one.source) for one in found.entries] == [
        (place, name.encode()) for place, name in zip(places, names, strict=True)
    ]
    assert list(found.directories) == directories


@pytest.mark.parametrize(("destination", "into", "count"), [("bin", True, 1), (".", False, 1), ("bin", False, 2)])
def test_what_has_no_name_needs_one_where_it_goes_into_a_folder(destination: str, into: bool, count: int) -> None:
    with pytest.raises(AdditionError, match="http://x/ ends in no name"):
        add(request(destination, *[""] * count, into=into), names=[""] * count)


def test_mode_owner_and_time_are_the_request_s_and_else_root_s_and_none() -> None:
    (as_is,) = add(request("f", "t", mtime=None), names=["t"]).entries
    (given,) = add(request("f", "t", mtime=7, chmod=0o600, owner=(1, 2)), names=["t"]).entries

    assert (as_is.mode, as_is.owner, as_is.mtime) == (0o644, (0, 0), 0)
    assert (given.mode, given.owner, given.mtime) == (0o600, (1, 2), 7)
    assert add(request("f", "t", owner=(1, 2)), names=["t"]).owner == (1, 2)


@pytest.mark.parametrize("destination", ["opt/x", "."])
def test_an_archive_that_a_source_names_is_unpacked_into_dest(destination: str) -> None:
    archive = Entry("a", Kind.FILE, size=1, source="a.tar")
    other = archive._replace(path="b", source="b.tar")
    local = Collected([archive, other], directories=(), alone=("a", "b"))
    inside = [
        directory("d"),
        file("d/f", b"1"),
        Entry("h", Kind.HARDLINK, target="d/f"),
        Entry("s", Kind.SYMLINK, target="d"),
    ]
    below = "" if destination == "." else f"{destination}/"

    found = add(CopyRequest(("a", "b"), destination), local, (), *inside)

    assert [(one.path, one.target) for one in found.entries] == sorted(
        [(f"{below}d", ""), (f"{below}d/f", ""), (f"{below}h", f"{below}d/f"), (f"{below}s", "d"), ("b", "")]
    )
    assert found.directories == (("opt", "opt/x") if below else ())


@pytest.mark.parametrize("alone", [("a",), ()])
def test_an_add_of_folders_is_a_copy(alone: tuple[str, ...]) -> None:
    local = Collected([directory("d"), file("a", b"")], alone=alone)

    assert is_copy(CopyRequest((".",), "x"), local) == (not alone)
    assert is_copy(CopyRequest(("d",), "x"), Collected([directory("d")], alone=("d",)))
    assert not is_copy(request("x", "t"), Collected([]))


def test_what_has_no_checksum_is_named_by_its_content() -> None:
    remotes = (Remote("http://x/a"), Remote("http://x/b", Digest("1" * 64)))
    one = file("f", b"1")._replace(digest=bytes(32))

    assert unchecked(CopyRequest((), "x", remotes=remotes)) == [remotes[0]]
    assert content_fields([one, one]) == (("content 1", f"sha256:{'0' * 64}"), ("content 2", f"sha256:{'0' * 64}"))
    assert content_fields(None) == ()
