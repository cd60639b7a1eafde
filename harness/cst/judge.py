"""What is wrong with an image, by one test of container-structure-test's.

Source: what the program itself says, by its tar driver of files and config, by its docker driver of owners and
commands. Symlinks are followed inside the image alone.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from typing import Protocol

from harness.cst.golang import expand, mode_text
from harness.cst.re2 import BadPatternError, matches
from harness.cst.spec import (
    UNSET,
    CommandTest,
    FileContentTest,
    FileExistenceTest,
    LicenseTest,
    MetadataTest,
    Pair,
    Spec,
    Test,
    faults_of,
)
from kubeimage.errors import ImageFileError
from kubeimage.image.runtime import RuntimeConfig
from kubeimage.layer.entry import Entry, Kind

_FORBIDDEN = (b"AGPL", b"WTFPL")
_PASSED_OVER = "libgnutls30"
_PACKAGES = "usr/share/doc"
_EXECUTABLE = {"any": 0o111, "owner": 0o100, "group": 0o010, "other": 0o001}
_SHOWN = 400


class Subject(Protocol):
    """The image that is judged."""

    @property
    def runtime(self) -> RuntimeConfig:
        """Its config."""
        ...

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        ...

    def find(self, path: str) -> Entry | None:
        """Return what stands at ``path``, a symlink at its end as itself; None where nothing stands."""
        ...

    def read(self, path: str) -> bytes:
        """Return a file's content, through symlinks.

        Raises: ImageFileError where there is no file.
        """
        ...

    def folders_in(self, path: str) -> list[str]:
        """Return the names of the folders in a folder, sorted.

        Raises: ImageFileError where there is none.
        """
        ...


RunCommand = Callable[[CommandTest, Spec], Iterator[str]]
"""Runs a command test's programs, and yields what is wrong with how they went."""


def judge(test: Test, spec: Spec, subject: Subject, run: RunCommand) -> list[str]:
    """Return what is wrong with the image; nothing where the test passes.

    Raises: UntranslatableError for a regular expression that cannot be judged; what ``run`` raises.
    """
    faults = [f"the test {fault}" for fault in faults_of(test)]
    if faults:
        return faults
    match test:
        case CommandTest():
            return list(run(test, spec))
        case FileExistenceTest():
            return list(_existence(test, subject))
        case FileContentTest():
            return list(_content(test, subject))
        case LicenseTest():
            return list(_licenses(test, subject))
        case MetadataTest():
            return list(_metadata(test, subject))


def variables_of(subject: Subject) -> dict[str, str]:
    """Return the variables of the image's config."""
    return dict(subject.runtime.env)


def patterns(wanted: tuple[str, ...], excluded: tuple[str, ...], data: bytes, where: str) -> Iterator[str]:
    """Yield which patterns are missing in ``data``, and which are there and should not be.

    One that Go refuses is wrong in both.
    """
    for pattern in wanted:
        yield from _pattern(pattern, data, where, should_match=True)
    for pattern in excluded:
        yield from _pattern(pattern, data, where, should_match=False)


def _pattern(pattern: str, data: bytes, where: str, *, should_match: bool) -> Iterator[str]:
    try:
        found = matches(pattern, data)
    except BadPatternError as error:
        yield f"this is no regular expression of Go's: {error}"
        return
    if found != should_match:
        said = f"nothing in {where} matches" if should_match else f"something in {where} matches"
        yield f"{said} {pattern!r}: {_shown(data)}"


def _shown(data: bytes) -> str:
    text = data[:_SHOWN].decode("utf-8", "replace")
    return repr(text) + (f"… ({len(data)} bytes)" if len(data) > _SHOWN else "")


def _existence(test: FileExistenceTest, subject: Subject) -> Iterator[str]:
    path = expand(test.path, lambda name: variables_of(subject).get(name, "")) if test.expands else test.path
    entry = subject.find(path)
    if entry is None:
        if test.should_exist:
            yield f"{path} is not there"
        return
    if not test.should_exist:
        yield f"{path} is there, and should not be"
    mode = mode_text(entry)
    if test.permissions and mode != test.permissions:
        yield f"{path} has the permissions {mode}, and not {test.permissions}"
    if test.executable_by and test.executable_by not in _EXECUTABLE:
        yield f"isExecutableBy is {test.executable_by!r}; known are {', '.join(_EXECUTABLE)}"
    elif test.executable_by and not entry.mode & _EXECUTABLE[test.executable_by]:
        yield f"{path} with the permissions {mode} is not executable by {test.executable_by}"
    for name, wanted, found in (("user", test.uid, entry.owner[0]), ("group", test.gid, entry.owner[1])):
        if wanted not in (UNSET, found):
            yield f"{path} belongs to the {name} {found}, and not to {wanted}"


def _content(test: FileContentTest, subject: Subject) -> Iterator[str]:
    try:
        data = subject.read(test.path)
    except ImageFileError as error:
        yield error.message
        return
    yield from patterns(test.expected, test.excluded, data, test.path)


def _licenses(test: LicenseTest, subject: Subject) -> Iterator[str]:
    files = list(test.files)
    if test.debian:
        try:
            packages = subject.folders_in(_PACKAGES)
        except ImageFileError as error:
            # Nothing else is looked at then.
            yield error.message
            return
        passed_over = {_PASSED_OVER} if test.passes_gnutls else set()
        files = [f"/{_PACKAGES}/{name}/copyright" for name in packages if name not in passed_over] + files
    for path in files:
        try:
            text = subject.read(path).upper()
        except ImageFileError as error:
            yield error.message
            continue
        yield from (f"{path} holds the word {word.decode()}" for word in _FORBIDDEN[:] if word in text)


def _metadata(test: MetadataTest, subject: Subject) -> Iterator[str]:
    config = subject.runtime
    env = variables_of(subject)
    yield from _pairs(test.env, env, "variable")
    yield from (f"the variable {one.key} is there, and should not be" for one in test.unbound_env if one.key in env)
    yield from _pairs(test.labels, subject.labels, "label")
    for name, wanted, found in (("cmd", test.cmd, config.cmd), ("entrypoint", test.entrypoint, config.entrypoint)):
        if wanted is not None and wanted != found:
            yield f"the {name} is {list(found)}, and not {list(wanted)}"
    for name, asked, is_so in (("workdir", test.workdir, config.working_dir), ("user", test.user, config.user)):
        if asked and asked != is_so:
            yield f"the {name} is {is_so!r}, and not {asked!r}"
    ports = {port.partition("/")[0] for port in config.exposed_ports}
    yield from _members("the port", test.exposed_ports, test.unexposed_ports, ports)
    yield from _members("the volume", test.volumes, test.unmounted_volumes, set(config.volumes))


def _members(what: str, wanted: tuple[str, ...], unwanted: tuple[str, ...], found: set[str]) -> Iterator[str]:
    yield from (f"{what} {one} is not among {sorted(found)}" for one in wanted if one not in found)
    yield from (f"{what} {one} is there, and should not be" for one in unwanted if one in found)


def _pairs(wanted: tuple[Pair, ...], found: dict[str, str], what: str) -> Iterator[str]:
    for pair in wanted:
        if pair.key not in found:
            yield f"there is no {what} {pair.key}"
        elif pair.is_regex:
            yield from patterns((pair.value,), (), found[pair.key].encode(), f"the {what} {pair.key}")
        elif found[pair.key] != pair.value:
            yield f"the {what} {pair.key} is {found[pair.key]!r}, and not {pair.value!r}"


def clean_path(path: str) -> str:
    """Return a path from the image's root as Go's filepath.Join leaves it, without a slash at either end."""
    return posixpath.normpath(f"/{path}").lstrip("/")


ROOT_ENTRY = Entry("", Kind.DIRECTORY, 0o755)
"""What stands at ``/``: no layer need say anything of it."""
