"""The model says what the documentation says, by its own examples."""

from collections.abc import Mapping
from typing import Any

import pytest

from harness import model
from harness.model.context import matches
from harness.strategies import Project
from harness.strategies.images import PLATFORMS
from harness.trees import Content, File, Folder, HardLink, Link

CONTEXT: Mapping[str, Content] = {
    "helm": "1",
    "etc/a": "1",
    "conf/a.yaml": "1",
    "conf/.b": "1",
    "mysql/Chart.yaml": "1",
}


def files_of(text: str, context: Mapping[str, Content] = CONTEXT, **options: Any) -> list[str]:
    outcome = model.build(Project.of(text, context, **options).request)
    assert outcome.image is not None, outcome.error
    return sorted(path for path, node in outcome.image.tree.items() if not isinstance(node, Folder))


@pytest.mark.parametrize(
    ("written", "made"),
    [
        ("helm bin", ["bin/helm"]),
        ("helm bin/helm", ["bin/helm"]),
        ("etc .", ["etc/a"]),
        ("mysql charts", ["charts/mysql/Chart.yaml"]),
        ("conf/a.yaml etc", ["etc/a.yaml"]),
        ("conf/* etc", ["etc/.b", "etc/a.yaml"]),
        ("conf/* conf", ["conf/.b", "conf/a.yaml"]),
        ("helm etc/a bin/helm", ["bin/helm/a", "bin/helm/helm"]),
        ("--exact conf/a.yaml etc/b.yaml", ["etc/b.yaml"]),
        ("--exact conf etc", ["etc/.b", "etc/a.yaml"]),
        ("./conf/. /x/../y/", ["y/.b", "y/a.yaml"]),
        ("h?lm [a-d]*/a* .", ["a.yaml", "helm"]),
    ],
)
def test_a_source_lands_where_the_language_says(written: str, made: list[str]) -> None:
    assert files_of(f"FROM scratch\nCOPY {written}\n") == made


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("FROM base:2", "E0402"),
        ("FROM scratch\nCOPY gone .", "E0302"),
        ("FROM scratch\nCOPY out .", "E0303"),
        ("FROM scratch\nCOPY reserved .", "E0304"),
        ("FROM scratch\nCOPY a x\nCOPY a x/a/b", "E0307"),
        ("FROM scratch\nARG A\nCOPY $A .", "E0250"),
        ("FROM scratch\nARG A=..\nCOPY $A/a .", "E0221"),
        ("FROM scratch\nRUN false", "E0710"),
        ("FROM scratch\n" + "RUN true\n" * 129, "E0401"),
    ],
)
def test_a_build_fails_with_the_code_that_the_documentation_lists(text: str, code: str) -> None:
    context: dict[str, Content] = {"a": "", "out": Link("../a"), "reserved/.wh.x": ""}

    assert model.build(Project.of(text, context).request).error == code


def test_an_edit_misses_from_its_own_line_on() -> None:
    text = "FROM scratch\nCOPY a x\nRUN touch r\nCOPY b y\nRUN touch s\n"
    before = model.build(Project.of(text, {"a": "1", "b": "1"}).request)

    after = model.build(Project.of(text, {"a": "1", "b": "2"}).request, before.cache)

    assert [step.cached for step in after.steps] == [True, True, False, False]


def test_layers_tell_deletions_links_and_nothing_more() -> None:
    base = model.Image(PLATFORMS[0], ({"old": File(b"1"), "kept": File(b"1")},), (("COPY", "a ."),))
    project = Project.of("FROM base:1\nRUN rm old && touch kept\nRUN touch a && ln a b\nRUN true\n", base=base)

    outcome = model.build(project.request)

    assert [step.layer for step in outcome.steps] == [
        {".wh.old": File(b"")},
        {"a": File(b""), "b": HardLink("a")},
        None,
    ]


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*", ".a", True), ("a*c", "abc", True), ("a*c", "abd", False), ("?", "", False), ("[a-c]x", "bx", True),
        ("[!a]", "a", False), ("[]]", "]", True), ("\\*", "*", True), ("\\*", "a", False), ("[a", "[a", False),
    ],
)  # fmt: skip
def test_patterns_mean_what_a_shell_means(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits


def test_ignored_files_are_left_out() -> None:
    assert files_of("FROM scratch\nCOPY . .", {**CONTEXT, ".kubeignore": "conf/*\n!conf/.b\nhelm\netc/\n"}) == [
        ".kubeignore",
        "conf/.b",
        "mysql/Chart.yaml",
    ]
