"""The plugin's options, each of which is an ini setting as well, and what a run was asked for with them.

Nothing here imports kubeimage: a run without a Kubefile pays for none of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

BACKENDS = ("auto", "overlay", "copy", "memory")
PULL_IMAGES = ("missing", "always")
ISOLATIONS = ("auto", "sandbox", "landlock", "none")
EMPTY = "empty"

_IniType = Literal["string", "linelist", "bool", "int", "float"]


@dataclass(frozen=True)
class Option:
    """One option. Shape: ``flag`` is its name on the command line; the ini setting has its underscored form."""

    flag: str
    help: str
    ini_type: _IniType = "string"
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the ini setting, and of the option where pytest keeps it."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def known_ini_type(self) -> _IniType:
        """The type as this pytest knows it: numbers are texts before 8.4, and numbers in TOML from then on."""
        is_number = self.ini_type in {"int", "float"}
        return "string" if is_number and pytest.version_tuple < (8, 4) else self.ini_type


_MANY = {"action": "append"}

OPTIONS = (
    Option(
        "--kubefile",
        "collect the checks of this Kubefile; a folder or a glob stands for every Kubefile in it. "
        "Without any test path, nothing else is collected. May be repeated",
        "linelist",
        {**_MANY, "metavar": "PATH"},
    ),
    Option(
        "--kubefile-context",
        "the build context; without it, each Kubefile's own folder",
        extra={"metavar": "DIR"},
    ),
    Option(
        "--kubefile-build-arg",
        "set an ARG; a bare KEY takes its value from the environment. May be repeated",
        "linelist",
        {**_MANY, "metavar": "KEY[=VALUE]"},
    ),
    Option(
        "--kubefile-platform",
        "build for this platform, as in linux/arm64; without it, for this machine's",
        extra={"metavar": "OS/ARCH"},
    ),
    Option(
        "--kubefile-backend",
        "what builds: overlay mounts, copies of the root filesystem, or all of it in memory, where RUN knows a small "
        "shell only. auto takes what works on this machine",
        extra={"choices": BACKENDS},
    ),
    Option(
        "--kubefile-isolation",
        "how RUN is kept from the machine: in a sandbox, by Landlock, or not at all, which only none does. auto is the "
        "sandbox, or Landlock where no sandbox can be made",
        extra={"choices": ISOLATIONS},
    ),
    Option(
        "--kubefile-run-path",
        "let RUN see this place of the machine too, read-only. May be repeated",
        "linelist",
        {**_MANY, "metavar": "DIR"},
    ),
    Option(
        "--kubefile-memory",
        "let the processes of a RUN have this much memory together, as in 2GiB",
        extra={"metavar": "SIZE"},
    ),
    Option(
        "--kubefile-pids",
        "let a RUN have at most this many processes at once",
        "int",
        {"metavar": "N"},
    ),
    Option(
        "--kubefile-tmp-size",
        "let the /tmp of a RUN hold this much, as in 1GiB",
        extra={"metavar": "SIZE"},
    ),
    Option(
        "--kubefile-root",
        "build in this image store, where base images are, and keep it; without it, in a store that goes with the run",
        extra={"metavar": "DIR"},
    ),
    Option(
        "--kubefile-base",
        "let something stand in for the base image NAME: a folder (built with its Kubefile, or copied whole if it has "
        "none), a Kubefile, a tar of a root filesystem, or the word empty. May be repeated",
        "linelist",
        {**_MANY, "metavar": "NAME=DIR|FILE|empty"},
    ),
    Option(
        "--kubefile-pull-images",
        "pack the container images that manifests and charts name, asking registries for what is missing, or always, "
        "and add the checks offline-complete, all of them are inside and whole, and offline-rehearsal, a node gets all",
        extra={"choices": PULL_IMAGES},
    ),
    Option(
        "--kubefile-cache-from",
        "look steps up in this build cache that machines share, HOST/REPOSITORY or oci:DIR. May be repeated",
        "linelist",
        {**_MANY, "metavar": "REF"},
    ),
    Option(
        "--kubefile-cache-to",
        "write each step to this shared build cache as it is done, so that no other machine does it again. May be "
        "repeated",
        "linelist",
        {**_MANY, "metavar": "REF"},
    ),
    Option(
        "--kubefile-cache-key",
        "sign what goes to the shared build cache with this private key",
        extra={"metavar": "FILE"},
    ),
    Option(
        "--kubefile-cache-trust",
        "believe only what this public key has signed in a shared build cache. May be repeated",
        "linelist",
        {**_MANY, "metavar": "FILE"},
    ),
    Option(
        "--kubefile-locked",
        "build with nothing but what the lock beside each Kubefile says, and fail by name where something differs",
        "bool",
        {"action": "store_true"},
    ),
    Option(
        "--kubefile-config",
        "the configuration file of kubeimage: how registries are reached, and what a RUN gets; without it, the user's "
        "own is heeded where a registry is asked, and nowhere else",
        extra={"metavar": "FILE"},
    ),
    Option(
        "--kubefile-insecure",
        "a registry that need not prove who it is; http://HOST for one without TLS. May be repeated",
        "linelist",
        {**_MANY, "metavar": "HOST[:PORT]"},
    ),
    Option(
        "--kubefile-max-layers",
        "let the check layer-limit fail above this number of layers",
        "int",
        {"metavar": "N"},
    ),
    Option(
        "--kubefile-max-size",
        "add the check size-limit: the layers together have at most this size, as in 200MB or 1.5GiB",
        extra={"metavar": "SIZE"},
    ),
    Option(
        "--kubefile-min-efficiency",
        "add the check efficiency: at least this part of the layers' content is not overwritten or deleted again by "
        "a later layer, as in 0.95; measured as dive does",
        "float",
        {"metavar": "PART"},
    ),
    Option(
        "--kubefile-allow-lint",
        "let the check lint be silent about this code, as in W06. May be repeated",
        "linelist",
        {**_MANY, "metavar": "CODE"},
    ),
    Option(
        "--kubefile-allow-secret",
        "let the check build be silent about files of the build context that look like keys, where this glob matches "
        "their path. May be repeated",
        "linelist",
        {**_MANY, "metavar": "GLOB"},
    ),
    Option(
        "--kubefile-allow-leftover",
        "let the check no-leaks be silent about what a build leaves behind, where this glob matches its path, or a "
        "process's name. May be repeated",
        "linelist",
        {**_MANY, "metavar": "GLOB"},
    ),
    Option(
        "--kubefile-signed-by",
        "add the check signed: this public key, or another one that is named so, has signed each packed container "
        "image. May be repeated",
        "linelist",
        {**_MANY, "metavar": "FILE"},
    ),
    Option(
        "--kubefile-nothing-skipped",
        "add the check nothing-skipped: no text that reads as a container image's name is left out",
        "bool",
        {"action": "store_true"},
    ),
    Option(
        "--kubefile-allow-skipped",
        "let the check nothing-skipped be silent about names that this glob matches. May be repeated",
        "linelist",
        {**_MANY, "metavar": "GLOB"},
    ),
    Option(
        "--kubefile-skip",
        "leave out this check. May be repeated",
        "linelist",
        {**_MANY, "metavar": "CHECK"},
    ),
    Option(
        "--kubefile-strict-lint",
        "let the check lint fail on warnings too",
        "bool",
        {"action": "store_true"},
    ),
    Option(
        "--kubefile-save-failures",
        "keep the project of each check or test that fails in this folder: Kubefile, context, what stood in for base "
        "images, the report, and a script that builds it with kubeimage",
        extra={"metavar": "DIR"},
    ),
    Option(
        "--kubefile-sarif",
        "write what the checks warn of and fail with to this file, as SARIF 2.1.0",
        extra={"metavar": "FILE"},
    ),
    Option(
        "--kubefile-report",
        "write what was checked and built to this file, as one HTML page",
        extra={"metavar": "FILE"},
    ),
    Option(
        "--kubefile-changed",
        "leave out the Kubefiles of which nothing has changed since the last commit: not themselves, not a file that "
        "a COPY of theirs reads, not a base image that --kubefile-base names. Files that are not in git have changed",
        "bool",
        {"action": "store_true"},
    ),
    Option(
        "--kubefile-changed-since",
        "the same, for what has changed since this branch left the branch, tag or commit REF, as in origin/main; an "
        "empty REF leaves nothing out",
        extra={"metavar": "REF"},
    ),
    Option(
        "--kubefile-durations",
        "list the N steps of builds that took longest, 0 for all",
        "int",
        {"metavar": "N"},
    ),
)


def option_of(setting: str) -> str:
    """Return the option for a field of ``Settings``."""
    return "--kubefile-" + setting.replace("_", "-")


def add_options(parser: pytest.Parser) -> None:
    """Add every option and ini setting to pytest."""
    group = parser.getgroup("kubefile", "cluster images from Kubefiles")
    for option in OPTIONS:
        group.addoption(option.flag, default=None, dest=option.name, help=option.help, **option.extra)
        parser.addini(option.name, f"the same as {option.flag}", type=option.known_ini_type, default=None)


@dataclass(frozen=True)
class Settings:
    """What a run was asked for.

    Shape: all paths are absolute. ``kubefiles`` were named by option or setting; ``only`` says that nothing else is
           to be collected. ``bases`` are (name, path or ``empty``). ``allowed_skipped``,
           ``allowed_secrets`` and ``allowed_leftovers`` are globs, ``allowed_lint`` has codes.
    Units: ``memory``, ``tmp_size`` and ``max_size`` in bytes; ``min_efficiency`` from 0 to 1.
    """

    kubefiles: tuple[str, ...] = ()
    only: bool = False
    context: str | None = None
    build_args: tuple[str, ...] = ()
    platform: str | None = None
    backend: str = "auto"
    isolation: str = "auto"
    run_paths: tuple[str, ...] = ()
    memory: int | None = None
    pids: int | None = None
    tmp_size: int | None = None
    root: str | None = None
    bases: tuple[tuple[str, str], ...] = ()
    pull_images: str | None = None
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    cache_key: str | None = None
    cache_trust: tuple[str, ...] = ()
    locked: bool = False
    config: str | None = None
    insecure: tuple[str, ...] = ()
    max_layers: int | None = None
    max_size: int | None = None
    min_efficiency: float | None = None
    allowed_lint: frozenset[str] = frozenset()
    signed_by: tuple[str, ...] | None = None
    nothing_skipped: bool | None = None
    allowed_skipped: tuple[str, ...] = ()
    allowed_secrets: tuple[str, ...] = ()
    allowed_leftovers: tuple[str, ...] = ()
    skip: frozenset[str] = frozenset()
    strict_lint: bool = False
    save_failures: str | None = None
    sarif: str | None = None
    report: str | None = None
    durations: int | None = None
    changed: bool = False
    changed_since: str | None = None

    def command_line(self) -> list[str]:
        """Return the options that ask for the same again, but for the Kubefile."""
        pairs = [
            *(("--kubefile-build-arg", text) for text in self.build_args),
            *(("--kubefile-base", f"{name}={value}") for name, value in self.bases),
            ("--kubefile-context", self.context),
            ("--kubefile-platform", self.platform),
            ("--kubefile-backend", self.backend if self.backend != BACKENDS[0] else None),
            ("--kubefile-isolation", self.isolation if self.isolation != ISOLATIONS[0] else None),
            *(("--kubefile-run-path", path) for path in self.run_paths),
            ("--kubefile-memory", self.memory),
            ("--kubefile-pids", self.pids),
            ("--kubefile-tmp-size", self.tmp_size),
            ("--kubefile-root", self.root),
            ("--kubefile-pull-images", self.pull_images),
            *(("--kubefile-cache-from", ref) for ref in self.cache_from),
            *(("--kubefile-cache-to", ref) for ref in self.cache_to),
            ("--kubefile-cache-key", self.cache_key),
            *(("--kubefile-cache-trust", path) for path in self.cache_trust),
            ("--kubefile-config", self.config),
            *(("--kubefile-insecure", host) for host in self.insecure),
            ("--kubefile-max-layers", self.max_layers),
            ("--kubefile-max-size", self.max_size),
            ("--kubefile-min-efficiency", self.min_efficiency),
            *(("--kubefile-allow-lint", code) for code in sorted(self.allowed_lint)),
            *(("--kubefile-signed-by", path) for path in self.signed_by or ()),
            *(("--kubefile-allow-skipped", glob) for glob in self.allowed_skipped),
            *(("--kubefile-allow-secret", glob) for glob in self.allowed_secrets),
            *(("--kubefile-allow-leftover", glob) for glob in self.allowed_leftovers),
        ]
        flags = ["--kubefile-nothing-skipped"] if self.nothing_skipped else []
        flags += ["--kubefile-locked"] if self.locked else []
        return [*flags, *(f"{flag}={value}" for flag, value in pairs if value is not None)]
