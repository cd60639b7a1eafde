"""dive's rules for CI, from its own file, with its arithmetic and its verdicts.

Source: dive 0.13.1: the rules, their defaults and what switches them off; go-humanize, ParseBytes, for sizes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from harness.cases.ocicase import ImageCase
from harness.checks.failed import CheckFailedError
from harness.checks.thrift import wasted_lines, worst_paths
from kubeimage.errors import UsageError

LOWEST_EFFICIENCY = "lowestEfficiency"
HIGHEST_WASTED_BYTES = "highestWastedBytes"
HIGHEST_USER_WASTED = "highestUserWastedPercent"
DEFAULTS = {LOWEST_EFFICIENCY: "0.9", HIGHEST_WASTED_BYTES: "disabled", HIGHEST_USER_WASTED: "0.1"}

_OFF = {"", "disabled", "off", "false"}
_UNITS = {"": 1, "b": 1, **{f"{one}{end}": 1000**power for power, one in enumerate("kmgtpe", 1) for end in ("", "b")}}
_UNITS |= {f"{one}i{end}": 1024**power for power, one in enumerate("kmgtpe", 1) for end in ("", "b")}
_SIZE = re.compile(r"(?P<number>[0-9.,]*)(?P<unit>.*)", re.DOTALL)


@dataclass(frozen=True)
class DiveRule:
    """One rule. Shape: ``threshold`` is None where the file switches it off; ``text`` is what the file says."""

    key: str
    text: str
    threshold: float | None

    def check(self, case: ImageCase) -> None:
        """Check an image as dive does: only what is beyond the threshold fails.

        Raises: CheckFailedError with the paths that waste most.
        """
        if self.threshold is None:
            pytest.skip(f"{self.key} is {self.text or 'empty'} in the file of dive's rules")
        image = case.image
        found = _MEASURES[self.key](case)
        is_bad = self.threshold > found if self.key == LOWEST_EFFICIENCY else found > self.threshold
        if is_bad:
            shown = f"{found:,.0f}" if self.key == HIGHEST_WASTED_BYTES else f"{found:.4f}"
            raise CheckFailedError(
                f"{case.name}: {_WORDS[self.key]} {shown}, and {self.key} is {self.text}",
                details=wasted_lines(image, worst_paths(image)),
                hint="write a path in one instruction only, and delete what a RUN needs for itself in that RUN",
            )


_MEASURES: Mapping[str, Callable[[ImageCase], float]] = {
    LOWEST_EFFICIENCY: lambda case: case.image.efficiency,
    HIGHEST_WASTED_BYTES: lambda case: case.image.wasted,
    HIGHEST_USER_WASTED: lambda case: case.image.user_wasted,
}
_WORDS = {
    LOWEST_EFFICIENCY: "the efficiency is",
    HIGHEST_WASTED_BYTES: "the wasted bytes are",
    HIGHEST_USER_WASTED: "the wasted bytes, over those of all layers but the first, are",
}


def read_dive_rules(path: str) -> tuple[DiveRule, ...]:
    """Read a file of dive's, such as ``.dive-ci``; what it does not say is as dive has it.

    Raises: UsageError for what cannot be read, or is no rule.
    """
    import yaml

    try:
        with open(path, encoding="utf-8") as stream:
            value = yaml.load(stream, yaml.BaseLoader)  # noqa: S506  it makes texts alone
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"cannot read the file of dive's rules {path!r}: {why}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: the file of dive's rules is no YAML") from error
    return parse_dive_rules(value, path)


def parse_dive_rules(value: Any, where: str) -> tuple[DiveRule, ...]:
    """Return the rules of a document.

    Raises: UsageError.
    """
    document = {} if value is None else value
    rules = document.get("rules") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance({} if rules is None else rules, dict):
        raise UsageError(
            f"{where}: dive's rules stand below 'rules:'", hint="as in  rules:\n    lowestEfficiency: 0.95"
        )
    # Keys are known in any case, as viper knows them.
    said = {str(key).lower(): one for key, one in (rules or {}).items()}
    unknown = said.keys() - {key.lower() for key in DEFAULTS}
    if unknown:
        raise UsageError(f"{where}: dive has no rule {min(unknown)!r}", hint=f"there are {', '.join(DEFAULTS)}")
    return tuple(_rule(key, said.get(key.lower(), default), where) for key, default in DEFAULTS.items())


def _rule(key: str, value: object, where: str) -> DiveRule:
    text = "" if value is None else str(value)
    if text.strip().lower() in _OFF:
        return DiveRule(key, text, None)
    threshold = parse_bytes(text) if key == HIGHEST_WASTED_BYTES else _part(text)
    if threshold is None:
        wanted = "a size, as in 20MB" if key == HIGHEST_WASTED_BYTES else "a number from 0 to 1"
        raise UsageError(f"{where}: {key} is {text!r}, which is not {wanted}")
    return DiveRule(key, text, threshold)


def _part(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if 0 <= found <= 1 else None


def parse_bytes(text: str) -> int | None:
    """Return the bytes that a size says, as dive understands it; None for what is none. ``20MB`` is 20 million.

    >>> parse_bytes("1.5 KiB"), parse_bytes("20MB"), parse_bytes("7"), parse_bytes("lots")
    (1536, 20000000, 7, None)
    """
    found = _SIZE.fullmatch(text)
    assert found is not None
    unit = _UNITS.get(found["unit"].strip().lower())
    try:
        number = float(found["number"].replace(",", ""))
    except ValueError:
        return None
    return int(number * unit) if unit is not None else None
