"""The page of attacks names tests that are there, and one for each attack."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/decisions/065-attacks-and-their-tests.md"
ATTACKS = [f"F{number}" for number in range(1, 20)]


def test_each_attack_has_a_test() -> None:
    rows = re.findall(r"^\| (F\d+) \| .* \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    named = {attack: re.findall(r"`(tests/\S+)::(\w+)`", tests) for attack, tests in rows}

    assert list(named) == ATTACKS
    assert [attack for attack, tests in named.items() if not tests] == []
    gone = [
        f"{path}::{name}"
        for tests in named.values()
        for path, name in tests
        if f"def {name}(" not in (ROOT / path).read_text()
    ]
    assert gone == []
