"""The pages of attacks and of rules name tests that are there, and one for each attack."""

import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/decisions/065-attacks-and-their-tests.md"
RULES = ROOT / "docs/decisions/075-rules-and-their-tests.md"
ATTACKS = [f"F{number}" for number in range(1, 20)]


def test_each_attack_has_a_test() -> None:
    rows = re.findall(r"^\| (F\d+) \| .* \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    named = {attack: re.findall(r"`(tests/\S+)::(\w+)`", tests) for attack, tests in rows}

    assert list(named) == ATTACKS
    assert [attack for attack, tests in named.items() if not tests] == []
    assert gone(test for tests in named.values() for test in tests) == []


def test_each_rule_of_a_dialect_has_a_test() -> None:
    rows = re.findall(r"^\| [^|]+ \| [^|]+ \| (`tests/.*) \|$", RULES.read_text(), re.MULTILINE)
    named = [test for row in rows for test in re.findall(r"`(tests/\S+)::(\w+)`", row)]

    assert len(rows) > 40
    assert gone(named) == []


def gone(named: Iterable[tuple[str, str]]) -> list[str]:
    """Return the tests, each a path and a name, that are not there."""
    return [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text()]
