"""Reading what a run was asked for: options before settings, and every mistake with the name of the one that has it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from harness.asking.kubefiles import find_kubefiles
from harness.asking.options import BACKENDS, EMPTY, ISOLATIONS, PULL_IMAGES, Settings

if TYPE_CHECKING:
    from kubeimage.settings import Settings as BuildSettings

_UNITS: dict[str, int] = {
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)},
}
_SIZE = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?) ?(?P<unit>([kmgt]i?)?b|)", re.ASCII | re.IGNORECASE)


def read_settings(config: pytest.Config) -> Settings:
    """Read options and settings, and find the Kubefiles they name.

    Raises: pytest.UsageError that says which option is wrong, and what to do.
    """
    raw = RawSettings(config)
    return Settings(
        kubefiles=find_kubefiles(raw.named("kubefile")),
        only=bool(config.getoption("kubefile")) and not _names_tests(config),
        context=raw.folder("kubefile_context"),
        build_args=tuple(raw.texts("kubefile_build_arg")),
        platform=raw.text("kubefile_platform"),
        backend=raw.choice("kubefile_backend", BACKENDS),
        isolation=raw.choice("kubefile_isolation", ISOLATIONS),
        run_paths=tuple(path for _, path in raw.named("kubefile_run_path")),
        memory=raw.size("kubefile_memory"),
        pids=raw.count("kubefile_pids"),
        tmp_size=raw.size("kubefile_tmp_size"),
        root=raw.future_folder("kubefile_root"),
        bases=tuple(raw.bases()),
        pull_images=raw.choice_if_any("kubefile_pull_images", PULL_IMAGES),
        cache_from=tuple(raw.texts("kubefile_cache_from")),
        cache_to=tuple(raw.texts("kubefile_cache_to")),
        cache_key=raw.path("kubefile_cache_key"),
        cache_trust=tuple(path for _, path in raw.named("kubefile_cache_trust")),
        locked=bool(raw.value("kubefile_locked")),
        config=raw.file("kubefile_config"),
        insecure=tuple(raw.texts("kubefile_insecure")),
        max_layers=raw.count("kubefile_max_layers"),
        max_size=raw.size("kubefile_max_size"),
        min_efficiency=raw.part("kubefile_min_efficiency"),
        allowed_lint=frozenset(raw.texts("kubefile_allow_lint")),
        signed_by=tuple(path for _, path in raw.named("kubefile_signed_by")) or None,
        nothing_skipped=bool(raw.value("kubefile_nothing_skipped")) or None,
        allowed_skipped=tuple(raw.texts("kubefile_allow_skipped")),
        allowed_secrets=tuple(raw.texts("kubefile_allow_secret")),
        allowed_leftovers=tuple(raw.texts("kubefile_allow_leftover")),
        skip=frozenset(raw.texts("kubefile_skip")),
        strict_lint=bool(raw.value("kubefile_strict_lint")),
        save_failures=raw.future_folder("kubefile_save_failures"),
        sarif=raw.future_file("kubefile_sarif"),
        report=raw.future_file("kubefile_report"),
        durations=raw.count("kubefile_durations"),
        changed=bool(raw.value("kubefile_changed")),
        changed_since=raw.text("kubefile_changed_since"),
    )


def read_build_settings(asked: Settings) -> BuildSettings | None:
    """Return the settings of kubeimage that a run names; None where it names none, and the user's own are heeded.

    Raises: SettingsError for a file that cannot be followed, or for what is no registry.
    """
    if asked.config is None and not asked.insecure:
        return None
    from kubeimage import settings

    return settings.read_settings(asked.config).with_insecure(asked.insecure)


def _names_tests(config: pytest.Config) -> bool:
    return config.args_source is pytest.Config.ArgsSource.ARGS


class RawSettings:
    """Options before settings: a path on the command line is relative to where pytest was started, one in an ini
    file to that file.
    """

    def __init__(self, config: pytest.Config, *, prefix: str = "") -> None:
        self._config = config
        self._prefix = prefix
        self._here = str(config.invocation_params.dir)
        self._ini_folder = str(config.inipath.parent) if config.inipath else self._here

    def is_given(self, name: str) -> bool:
        """Whether the option stands on the command line; one that was not added does not."""
        return self._config.getoption(self._prefix + name, None) is not None

    def value(self, name: str) -> Any:
        given = self._config.getoption(self._prefix + name, None)
        if given is not None:
            return given
        try:
            return self._config.getini(name)
        except (TypeError, ValueError, pytest.UsageError) as error:
            # pytest's own words name the setting for a wrong type in TOML, and for nothing else.
            reason = error if name in str(error) else f"{name}: {error}"
            raise pytest.UsageError(str(reason)) from error

    def text(self, name: str) -> str | None:
        return self.value(name) or None

    def texts(self, name: str) -> list[str]:
        # An xdist worker gets the options twice: parsed, and to be parsed.
        return list(dict.fromkeys(self.value(name) or ()))

    def choice_if_any(self, name: str, choices: Sequence[str]) -> str | None:
        return self.choice(name, choices) if self.text(name) else None

    def choice(self, name: str, choices: Sequence[str]) -> str:
        value = self.text(name) or choices[0]
        if value not in choices:
            raise pytest.UsageError(f"{name} = {value}: it is one of {', '.join(choices)}")
        return value

    def count(self, name: str) -> int | None:
        value = self.value(name)
        if value in (None, ""):
            return None
        text = str(value)
        if not (text.isascii() and text.isdigit()):
            raise pytest.UsageError(f"{_flag(name)}={text}: it takes a number, as in {_flag(name)}=40")
        return int(text)

    def part(self, name: str) -> float | None:
        value = self.value(name)
        if value in (None, ""):
            return None
        try:
            number = float(value)
        except ValueError:
            number = None
        if number is None or not 0 <= number <= 1:
            shown = value if number is None else f"{number:g}"
            raise pytest.UsageError(f"{_flag(name)}={shown}: it takes a number from 0 to 1, as in {_flag(name)}=0.95")
        return number

    def size(self, name: str) -> int | None:
        text = self.text(name)
        if text is None:
            return None
        found = _SIZE.fullmatch(text)
        if found is None:
            raise pytest.UsageError(
                f"{_flag(name)}={text}: it takes a number of bytes, or one with a unit: kB, MB, GB, KiB, MiB or GiB, "
                f"as in {_flag(name)}=200MB"
            )
        return round(float(found["number"]) * _UNITS[found["unit"].lower() or "b"])

    def path(self, name: str) -> str | None:
        text = self.text(name)
        return self._absolute(name, text) if text else None

    def future_folder(self, name: str) -> str | None:
        """Return a folder that need not be there yet."""
        path = self.path(name)
        if path is not None and os.path.lexists(path) and not os.path.isdir(path):
            raise pytest.UsageError(f"{_flag(name)}={self.text(name)}: {path} is a file, not a folder")
        return path

    def future_file(self, name: str) -> str | None:
        """Return a file that need not be there yet, in a folder that need not either."""
        path = self.path(name)
        if path is not None and os.path.isdir(path):
            raise pytest.UsageError(f"{_flag(name)}={self.text(name)}: {path} is a folder, not a file")
        return path

    def file(self, name: str) -> str | None:
        path = self.future_file(name)
        if path is not None and not os.path.exists(path):
            raise pytest.UsageError(f"{_flag(name)}={self.text(name)}: {path} does not exist")
        return path

    def folder(self, name: str) -> str | None:
        path = self.future_folder(name)
        if path is not None and not os.path.isdir(path):
            raise pytest.UsageError(f"{_flag(name)}={self.text(name)}: {path} does not exist")
        return path

    def named(self, name: str) -> Iterable[tuple[str, str]]:
        """Return what was named, with its absolute path."""
        return [(text, self._absolute(name, text)) for text in self.texts(name)]

    def bases(self) -> Iterable[tuple[str, str]]:
        for text in self.texts("kubefile_base"):
            name, equals, value = text.partition("=")
            if not (name and equals and value):
                raise pytest.UsageError(f"--kubefile-base={text}: write it as NAME=DIR, NAME=FILE or NAME={EMPTY}")
            path = value if value == EMPTY else self._absolute("kubefile_base", value)
            if path != EMPTY and not os.path.exists(path):
                raise pytest.UsageError(f"--kubefile-base={text}: {path} does not exist")
            yield name, path

    def place(self, name: str, text: str) -> str:
        """Return a path of an option as it is, one of a setting as it is to be read from here."""
        if self.is_given(name) or self._ini_folder == self._here:
            return text
        return self._absolute(name, text)

    def _absolute(self, name: str, text: str) -> str:
        start = self._here if self.is_given(name) else self._ini_folder
        return os.path.normpath(os.path.join(start, os.path.expanduser(text)))


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
