from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.errors import Diagnostic, Location
from kubeimage.report.sarif import sarif_log

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/sarif-2.1.0.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)

FOUND = [
    Diagnostic("E0203", "COPY takes two", Location("/repo/app/Kubefile", 12, 6, "COPY etc/", 4), "name the folder"),
    Diagnostic("W06", "may be another", Location("app/größe #1/Kubefile", 1, 1, "FROM a", 6), None, "warning"),
    Diagnostic("W06", "may be another", Location("/elsewhere/Kubefile", 1), None, "warning"),
    Diagnostic("E0101", "no place"),
]


def log_of(found: list[Diagnostic]) -> dict[str, Any]:
    """Make a log, as a program would read it."""
    log: dict[str, Any] = json.loads(json.dumps(sarif_log(found, "/repo", {"W06": "FROM names no tag"})))
    return log


@pytest.mark.parametrize("found", [[], FOUND], ids=["nothing", "all kinds"])
def test_a_log_follows_the_schema_of_oasis(found: list[Diagnostic]) -> None:
    VALIDATOR.validate(log_of(found))


def test_the_schema_refuses_what_is_no_log() -> None:
    log = log_of(FOUND)
    del log["runs"][0]["tool"]

    assert not VALIDATOR.is_valid(log)


texts = st.text(max_size=9)
places = st.builds(Location, texts.filter(bool), st.integers(1, 9), st.integers(1, 9), texts, st.integers(0, 9))
severities = st.sampled_from(["error", "warning"])


@given(st.lists(st.builds(Diagnostic, st.sampled_from(["E1", "W1"]), texts, st.none() | places, st.none(), severities)))
def test_any_findings_make_a_valid_log(found: list[Diagnostic]) -> None:
    log = log_of(found)

    VALIDATOR.validate(log)
    (run,) = log["runs"]
    assert [run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] for one in run["results"]] == [
        one.code for one in found
    ]


def test_results_say_where_they_are_and_what_to_do() -> None:
    first, second, third, fourth = log_of(FOUND)["runs"][0]["results"]

    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "app/Kubefile"}
    assert place["region"] == {
        "startLine": 12,
        "startColumn": 6,
        "endColumn": 10,
        "snippet": {"text": "COPY etc/"},
    }
    assert first["message"]["text"] == "COPY takes two\nhint: name the folder"
    assert (
        second["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "app/gr%C3%B6%C3%9Fe%20%231/Kubefile"
    )
    assert third["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///elsewhere/Kubefile"
    assert "locations" not in fourth


def test_a_rule_has_the_meaning_of_its_code() -> None:
    rules = log_of(FOUND)["runs"][0]["tool"]["driver"]["rules"]

    assert [rule["id"] for rule in rules] == ["E0101", "E0203", "W06"]
    assert rules[2]["shortDescription"] == {"text": "FROM names no tag"}
    assert [rule["defaultConfiguration"]["level"] for rule in rules] == ["error", "error", "warning"]
