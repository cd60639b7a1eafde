"""A file of container-structure-test, read: its tests and what goes for all of them.

Source: container-structure-test, README ("Command Tests" and below), schema versions 2.0.0 and 1.0.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from harness.cst import nodes
from harness.cst.nodes import Fields, Mistake, MistakesError, Reader, Reading, Value

VERSIONS = ("2.0.0", "1.0.0")
SUFFIXES = (".yaml", ".yml", ".json")

UNSET = -1
"""The owner of a file about which a test says nothing."""


@dataclass(frozen=True)
class Pair:
    """A variable or a label."""

    key: str
    value: str
    is_regex: bool = False


@dataclass(frozen=True)
class CommandTest:
    """A program to run, and what is to come of it. Shape: regular expressions are Go's."""

    name: str
    command: tuple[str, ...]
    setup: tuple[tuple[str, ...], ...] = ()
    teardown: tuple[tuple[str, ...], ...] = ()
    env: tuple[Pair, ...] = ()
    exit_code: int = 0
    expected_output: tuple[str, ...] = ()
    excluded_output: tuple[str, ...] = ()
    expected_error: tuple[str, ...] = ()
    excluded_error: tuple[str, ...] = ()
    line: int | None = None

    kind = "Command Test"


@dataclass(frozen=True)
class FileExistenceTest:
    """A path that is to be there, or not. Shape: ``uid`` and ``gid`` are `UNSET` where they do not matter."""

    name: str
    path: str
    should_exist: bool = True
    permissions: str = ""
    uid: int = UNSET
    gid: int = UNSET
    executable_by: str = ""
    expands: bool = True
    line: int | None = None

    kind = "File Existence Test"


@dataclass(frozen=True)
class FileContentTest:
    """What a file is to hold, and what not. Shape: regular expressions are Go's."""

    name: str
    path: str
    expected: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    line: int | None = None

    kind = "File Content Test"


@dataclass(frozen=True)
class LicenseTest:
    """Files, and with ``debian`` those of all packages, that are not to have some licences."""

    debian: bool
    files: tuple[str, ...] = ()
    passes_gnutls: bool = True
    line: int | None = None

    kind = "License Test"


@dataclass(frozen=True)
class MetadataTest:
    """What an image's config is to say. Shape: ``entrypoint`` and ``cmd`` are None where they do not matter."""

    env: tuple[Pair, ...] = ()
    unbound_env: tuple[Pair, ...] = ()
    labels: tuple[Pair, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    exposed_ports: tuple[str, ...] = ()
    unexposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    unmounted_volumes: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    line: int | None = None

    kind = "Metadata Test"


Test = CommandTest | FileContentTest | FileExistenceTest | LicenseTest | MetadataTest


@dataclass(frozen=True)
class RunOptions:
    """How containers of command tests are to run."""

    user: str = ""
    privileged: bool = False
    tty: bool = False
    env_file: str = ""
    env_vars: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    bind_mounts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spec:
    """A file of tests, in the order in which the program runs them."""

    path: str
    tests: tuple[Test, ...] = ()
    global_env: tuple[Pair, ...] = ()
    options: RunOptions = field(default_factory=RunOptions)


def name_of(test: Test) -> str:
    """Return what the program calls a test in its reports, JUnit's included.

    A test that its file does not give all it needs is called by its bare name.
    """
    if isinstance(test, LicenseTest | MetadataTest):
        return test.kind
    return f"{test.kind}: {test.name}" if not faults_of(test) else test.name


def faults_of(test: Test) -> list[str]:
    """Return what its file does not give a test; the program fails such a test without looking at the image."""
    match test:
        case CommandTest():
            return _faults_of_command(test)
        case FileContentTest() | FileExistenceTest():
            path = [] if test.path or (isinstance(test, FileExistenceTest) and not test.expands) else ["has no path"]
            return [*([] if test.name else ["has no name"]), *path]
        case MetadataTest():
            pairs = (*((one, "envVars") for one in test.env), *((one, "labels") for one in test.labels))
            lists = ((test.exposed_ports, "exposedPorts"), (test.unexposed_ports, "unexposedPorts"))
            volumes = ((test.volumes, "volumes"), (test.unmounted_volumes, "unmountedVolumes"))
            unbound = [(one, "unboundEnvVars") for one in test.unbound_env]
            faults = [f"has an empty key in {where}" for one, where in (*pairs, *unbound) if not one.key]
            return faults + [f"has an empty value in {name}" for found, name in (*lists, *volumes) if "" in found]
    return []


def _faults_of_command(test: CommandTest) -> list[str]:
    faults = [] if test.name else ["has no name"]
    faults += [] if test.command and test.command[0] else ["has no command"]
    for name, found in (("setup", test.setup), ("teardown", test.teardown)):
        faults += [f"has an empty command in {name}"] if () in found else []
    return faults + ["has an empty key or value in envVars"] * any(not one.key or not one.value for one in test.env)


def read_spec(path: str, data: bytes) -> Spec:
    """Read a file of tests.

    Raises: MistakesError with all of its mistakes.
    """
    if not path.endswith(SUFFIXES):
        raise MistakesError([Mistake(f"a file of tests ends in {', '.join(SUFFIXES)}", None)])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MistakesError([Mistake("it is not UTF-8", data[: error.start].count(b"\n") + 1)]) from error
    value = nodes.parse_json(text) if path.endswith(".json") else nodes.parse_yaml(text)
    reader = Reader()
    version = _version(value)
    if version not in VERSIONS:
        what = f"the schemaVersion {version!r} is not known" if version else "it has no schemaVersion"
        raise MistakesError([Mistake(f"{what}; known are {', '.join(VERSIONS)}", value.line)])
    found = reader.fields(value, _file_types(version, is_json=value.is_json)).values
    if reader.mistakes:
        raise MistakesError(reader.mistakes)
    metadata = found.get("metadataTest")
    tests = (
        *found.get("commandTests", ()),
        *found.get("fileContentTests", ()),
        *found.get("fileExistenceTests", ()),
        *found.get("licenseTests", ()),
        *((metadata,) if metadata is not None and metadata != MetadataTest(line=metadata.line) else ()),
    )
    return Spec(path, tests, found.get("globalEnvVars", ()), found.get("containerRunOptions", RunOptions()))


def _version(value: Value) -> str:
    looking = Reader()
    ignore: Reading = lambda _reader, _value: None  # noqa: E731
    known = _file_types(VERSIONS[0], is_json=value.is_json)
    found = looking.fields(value, {**dict.fromkeys(known, ignore), "schemaVersion": nodes.text}).values
    return str(found.get("schemaVersion") or "")


def _file_types(version: str, *, is_json: bool) -> Mapping[str, Reading]:
    is_first = version == "1.0.0"
    types: dict[str, Reading] = {
        "schemaVersion": nodes.text,
        "globalEnvVars": _pairs,
        "commandTests": partial(_tests, partial(_command, is_first=is_first)),
        "fileExistenceTests": partial(_tests, partial(_existence, is_first=is_first, is_json=is_json)),
        "fileContentTests": partial(_tests, _content),
        "licenseTests": partial(_tests, partial(_license, is_first=is_first)),
    }
    if not is_first:
        types |= {"metadataTest": _metadata, "containerRunOptions": _options}
    return types


def _tests(read: Reading, reader: Reader, value: Value) -> tuple[Any, ...]:
    return tuple(read(reader, one) for one in reader.items(value))


def _pairs(reader: Reader, value: Value) -> tuple[Pair, ...]:
    types: dict[str, Reading] = {"key": nodes.text, "value": nodes.text, "isRegex": nodes.truth}
    found = [reader.fields(one, types).values for one in reader.items(value)]
    return tuple(Pair(one.get("key", ""), one.get("value", ""), one.get("isRegex", False)) for one in found)


def _command(reader: Reader, value: Value, *, is_first: bool) -> CommandTest:
    types: dict[str, Reading] = {
        "name": nodes.text,
        "setup": nodes.commands,
        "teardown": nodes.commands,
        "envVars": _pairs,
        "exitCode": nodes.number,
        "command": nodes.texts if is_first else nodes.text,
        "expectedOutput": nodes.texts,
        "excludedOutput": nodes.texts,
        "expectedError": nodes.texts,
        "excludedError": nodes.texts,
    }
    found, line = reader.fields(value, types if is_first else {**types, "args": nodes.texts})
    command = found.get("command", ())
    words = command if isinstance(command, tuple) else (command, *found.get("args", ()))
    return CommandTest(
        found.get("name", ""),
        words,
        found.get("setup", ()),
        found.get("teardown", ()),
        found.get("envVars", ()),
        found.get("exitCode", 0),
        found.get("expectedOutput", ()),
        found.get("excludedOutput", ()),
        found.get("expectedError", ()),
        found.get("excludedError", ()),
        line,
    )


def _existence(reader: Reader, value: Value, *, is_first: bool, is_json: bool) -> FileExistenceTest:
    types: dict[str, Reading] = {
        "name": nodes.text,
        "path": nodes.text,
        "shouldExist": nodes.truth,
        "permissions": nodes.text,
    }
    if not is_first:
        types |= {"uid": nodes.number, "gid": nodes.number, "isExecutableBy": nodes.text}
    found, line = reader.fields(value, types)
    # Where nothing is said, Go's JSON leaves the empty values, and the program's YAML its defaults.
    owner = 0 if is_json and not is_first else UNSET
    return FileExistenceTest(
        found.get("name", ""),
        found.get("path", ""),
        found.get("shouldExist", not is_json),
        found.get("permissions", ""),
        found.get("uid", owner),
        found.get("gid", owner),
        found.get("isExecutableBy", ""),
        expands=not is_first,
        line=line,
    )


def _content(reader: Reader, value: Value) -> FileContentTest:
    types: dict[str, Reading] = {
        "name": nodes.text,
        "path": nodes.text,
        "expectedContents": nodes.texts,
        "excludedContents": nodes.texts,
    }
    found, line = reader.fields(value, types)
    lists = found.get("expectedContents", ()), found.get("excludedContents", ())
    return FileContentTest(found.get("name", ""), found.get("path", ""), *lists, line=line)


def _license(reader: Reader, value: Value, *, is_first: bool) -> LicenseTest:
    found, line = reader.fields(value, {"debian": nodes.truth, "files": nodes.texts})
    return LicenseTest(found.get("debian", False), found.get("files", ()), passes_gnutls=not is_first, line=line)


_METADATA = {
    "envVars": ("env", _pairs),
    "unboundEnvVars": ("unbound_env", _pairs),
    "labels": ("labels", _pairs),
    "entrypoint": ("entrypoint", nodes.texts),
    "cmd": ("cmd", nodes.texts),
    "exposedPorts": ("exposed_ports", nodes.texts),
    "unexposedPorts": ("unexposed_ports", nodes.texts),
    "volumes": ("volumes", nodes.texts),
    "unmountedVolumes": ("unmounted_volumes", nodes.texts),
    "workdir": ("workdir", nodes.text),
    "user": ("user", nodes.text),
}

_OPTIONS = {
    "user": ("user", nodes.text),
    "privileged": ("privileged", nodes.truth),
    "allocateTty": ("tty", nodes.truth),
    "envFile": ("env_file", nodes.text),
    "envVars": ("env_vars", nodes.texts),
    "capabilities": ("capabilities", nodes.texts),
    "bindMounts": ("bind_mounts", nodes.texts),
}


def _renamed(table: Mapping[str, tuple[str, Reading]], reader: Reader, value: Value) -> Fields:
    found, line = reader.fields(value, {name: reading for name, (_, reading) in table.items()})
    return Fields({table[name][0]: one for name, one in found.items()}, line)


def _metadata(reader: Reader, value: Value) -> MetadataTest:
    found, line = _renamed(_METADATA, reader, value)
    return MetadataTest(**found, line=line)


def _options(reader: Reader, value: Value) -> RunOptions:
    return RunOptions(**_renamed(_OPTIONS, reader, value).values)
