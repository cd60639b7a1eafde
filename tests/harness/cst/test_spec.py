"""Files of tests as they are read: values, defaults, and mistakes with their lines."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.cst.nodes import MistakesError
from harness.cst.spec import UNSET, CommandTest, FileExistenceTest, LicenseTest, name_of, read_spec
from tests.harness.cst.table import BAD_FILES

HEAD = "schemaVersion: 2.0.0\n"


def read(text: str, path: str = "a.yaml") -> tuple[object, ...]:
    return read_spec(path, text.encode()).tests


def mistakes(text: str, path: str = "a.yaml") -> list[tuple[str, int | None]]:
    with pytest.raises(MistakesError) as caught:
        read_spec(path, text.encode())
    return [(one.message, one.line) for one in caught.value.mistakes]


def test_all_mistakes_are_told_with_their_lines() -> None:
    text = HEAD + "fileExistenceTests:\n- name: a\n  pth: /x\n- name: b\n  path: /x\n  shouldExist: 1\n- []\nother: 1\n"

    assert [line for _, line in mistakes(text)] == [4, 7, 8, 9]
    assert mistakes(text)[0][0].startswith("there is no field 'pth' here; known are name, path")
    assert mistakes(text)[1][0] == "'1' stands where true or false is wanted"


def test_a_field_in_other_letters_is_named() -> None:
    assert mistakes(HEAD + "filecontenttests: []\n") == [
        ("there is no field 'filecontenttests' here (did you mean fileContentTests?)", 2)
    ]


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused(name: str) -> None:
    assert mistakes(BAD_FILES[name], name)


@pytest.mark.parametrize("path", ["a.txt", "a", "yaml"])
def test_a_file_is_known_by_its_name(path: str) -> None:
    assert mistakes(HEAD, path) == [("a file of tests ends in .yaml, .yml, .json", None)]


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(MistakesError):
        read_spec("a.yaml", b"schemaVersion: 2.0.0\n#\xff\n")


def test_yaml_and_json_have_other_defaults() -> None:
    (yaml_test,) = read(HEAD + "fileExistenceTests: [{name: a, path: /x}]\n")
    (json_test,) = read('{"schemaVersion": "2.0.0", "fileExistenceTests": [{"name": "a", "path": "/x"}]}', "a.json")

    assert yaml_test == FileExistenceTest("a", "/x", should_exist=True, uid=UNSET, gid=UNSET, line=2)
    assert json_test == FileExistenceTest("a", "/x", should_exist=False, uid=0, gid=0)


def test_plain_values_are_texts_as_they_are_written() -> None:
    (test,) = read(HEAD + "commandTests: [{name: 1.10, command: yes, args: [007, null, 'a']}]\n")

    assert isinstance(test, CommandTest)
    assert (test.name, test.command) == ("1.10", ("yes", "007", "", "a"))


def test_the_order_is_that_of_the_program() -> None:
    text = HEAD + "metadataTest: {user: x}\nlicenseTests: [{debian: true}]\nfileExistenceTests: [{name: e, path: /}]\n"
    text += "fileContentTests: [{name: c, path: /x}]\ncommandTests: [{name: r, command: x}]\n"

    names = [name_of(test) for test in read_spec("a.yaml", text.encode()).tests]

    assert names == [
        "Command Test: r",
        "File Content Test: c",
        "File Existence Test: e",
        "License Test",
        "Metadata Test",
    ]


def test_a_metadata_test_of_nothing_is_none() -> None:
    assert read(HEAD + "metadataTest: {}\n") == ()
    assert len(read(HEAD + "metadataTest: {cmd: []}\n")) == 1


def test_the_first_version_has_a_list_for_a_command() -> None:
    (command, licence) = read("schemaVersion: 1.0.0\ncommandTests: [{name: a, command: [b, c]}]\nlicenseTests: [{}]\n")

    assert command == CommandTest("a", ("b", "c"), line=2)
    assert licence == LicenseTest(debian=False, passes_gnutls=False, line=3)


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)


@given(st.lists(st.fixed_dictionaries({"name": TEXTS, "path": TEXTS, "expectedContents": st.lists(TEXTS, max_size=2)})))
def test_both_forms_say_the_same(tests: list[dict[str, object]]) -> None:
    value = {"schemaVersion": "2.0.0", "fileContentTests": tests}

    by_yaml = read_spec("a.yaml", yaml.safe_dump(value, allow_unicode=True).encode()).tests
    by_json = read_spec("a.json", json.dumps(value).encode()).tests

    assert [vars(one) | {"line": None} for one in by_yaml] == [vars(one) for one in by_json]
    assert [vars(one)["name"] for one in by_yaml] == [one["name"] for one in tests]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)
    )
)
def test_any_value_is_read_or_refused(value: object) -> None:
    for path, text in (("a.yaml", yaml.safe_dump(value)), ("a.json", json.dumps(value))):
        with pytest.raises(MistakesError):
            read_spec(path, text.encode())
