"""Kubefiles as pytest collects and runs them: items, options of pytest's own, and what a person sees."""

import os
from xml.etree import ElementTree as ET

import pytest

from tests.harness.conftest import Run, WriteProject

GOOD = {"app/Kubefile": "FROM scratch\nCOPY a.txt etc\nCMD run a\n", "app/a.txt": "hello\n"}
CHECKS = [
    "parse",
    "lint",
    "build",
    "layer-limit",
    "cache-continuity",
    "cmd-args-merge",
    "reproducible",
    "oci-valid",
    "no-leaks",
]


def test_each_check_is_an_item_and_all_pass(project: WriteProject, run: Run) -> None:
    project(GOOD)

    result = run("--kubefile=app/Kubefile", "-v")

    result.assert_outcomes(passed=len(CHECKS))
    result.stdout.fnmatch_lines([f"app/Kubefile::{name} PASSED*" for name in CHECKS])


def test_items_are_collected_from_a_test_path_too(project: WriteProject, run: Run) -> None:
    project(GOOD)

    result = run("app/Kubefile", "--collect-only", "-q")

    assert result.outlines[: len(CHECKS)] == [f"app/Kubefile::{name}" for name in CHECKS]


def test_one_check_is_run_by_its_node_id(project: WriteProject, run: Run) -> None:
    project(GOOD)

    result = run("app/Kubefile::reproducible", "-v")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["app/Kubefile::reproducible PASSED*"])


def test_a_kubefile_outside_the_root_of_the_run_has_a_node_id_of_its_own(
    project: WriteProject, run: Run, pytester: pytest.Pytester
) -> None:
    project({**GOOD, "lib/Kubefile": "FORM scratch\n", "sub/pytest.ini": "[pytest]\n"})
    os.chdir(pytester.path / "sub")

    first = run("--kubefile=../app", "--kubefile=../lib", "-k", "parse", "-v")
    again = run("--kubefile=../app", "--kubefile=../lib", "--lf", "-v")
    alone = run("../app/Kubefile::lint", "-v")

    first.stdout.fnmatch_lines(["../app/Kubefile::parse PASSED*", "../lib/Kubefile::parse FAILED*"])
    again.stdout.fnmatch_lines(["../lib/Kubefile::parse FAILED*"])
    alone.stdout.fnmatch_lines(["../app/Kubefile::lint PASSED*"])


def test_a_folder_of_kubefiles_is_not_collected_unless_it_is_asked_for(project: WriteProject, run: Run) -> None:
    project({**GOOD, "test_it.py": "def test_it(): pass"})

    result = run(".")

    result.assert_outcomes(passed=1)


def test_only_the_kubefile_runs_where_no_test_path_is_given(project: WriteProject, run: Run) -> None:
    project({**GOOD, "test_it.py": "def test_it(): pass"})

    alone, beside = run("--kubefile=app", "-k", "parse"), run("--kubefile=app", "test_it.py", "-k", "parse or it")

    alone.assert_outcomes(passed=1, deselected=len(CHECKS) - 1)
    assert beside.parseoutcomes()["passed"] >= 2


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [(["-k", "lint or parse"], 2), (["-k", "not build"], 8), (["-m", "kubefile"], 9), (["-m", "not kubefile"], 0)],
    ids=["two", "all but one", "all", "none"],
)
def test_items_are_selected_by_name_and_marker(
    project: WriteProject, run: Run, arguments: list[str], passed: int
) -> None:
    project(GOOD)

    result = run("--kubefile=app", *arguments)

    result.assert_outcomes(passed=passed, deselected=len(CHECKS) - passed)


def test_a_syntax_error_reads_like_a_compilers_message(project: WriteProject, run: Run) -> None:
    project({"Kubefile": "FORM scratch\n\nCOPY a\n"})

    result = run("--kubefile=Kubefile", "-rs")

    result.assert_outcomes(failed=1, skipped=len(CHECKS) - 1)
    result.stdout.fnmatch_lines(
        [
            "*_ Kubefile :: parse _*",
            "error[[]E0201[]]: unknown instruction FORM (did you mean FROM?)",
            "  --> Kubefile:1:1",
            "1 | FORM scratch",
            "  | ^^^^",
            "hint: *",
            "",
            "error[[]E02??[]]: COPY *",
            "  --> Kubefile:3:1",
            "SKIPPED*Kubefile:1: Kubefile::parse says why",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*collector.py*")


def test_a_failed_build_is_told_once_and_the_others_say_where(project: WriteProject, run: Run) -> None:
    project({"app/Kubefile": "FROM scratch\nCOPY a.txt b.txt etc\n", "app/a.txt": ""})

    result = run("--kubefile=app", "-rs")

    # parse, lint, layer-limit and no-leaks hold for a build that failed as well.
    result.assert_outcomes(passed=4, failed=1, skipped=4)
    result.stdout.fnmatch_lines(
        [
            "error[[]E0302[]]: *b.txt*",
            "  --> app/Kubefile:2:*",
            "2 | COPY a.txt b.txt etc",
            "SKIPPED [[]4[]] app/Kubefile:2: app/Kubefile::build says why",
        ]
    )


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ([], "hint: let something stand in for it, --kubefile-base=NAME=DIR, or name the store that has it, *=DIR"),
        (["--kubefile-base=rootfs:v2=empty"], "hint: *; rootfs:v2 has one already"),
    ],
    ids=["none given", "another given"],
)
def test_a_base_that_is_not_there_is_told_once_with_what_to_do(
    project: WriteProject, run: Run, options: list[str], hint: str
) -> None:
    project({"app/Kubefile": "FROM rootfs:v1\n"})

    result = run("--kubefile=app", "-rs", *options)

    result.assert_outcomes(passed=3, failed=1, skipped=5)
    result.stdout.fnmatch_lines(
        ["*_ app/Kubefile :: build _*", "error[[]E0402[]]: *rootfs:v1*", "1 | FROM rootfs:v1", "*", hint]
    )


def test_without_the_build_item_the_first_one_that_needs_it_says_why(project: WriteProject, run: Run) -> None:
    project({"app/Kubefile": "FROM scratch\nCOPY b.txt etc\n"})

    result = run("--kubefile=app", "-rs", "--deselect=app/Kubefile::build")

    result.assert_outcomes(passed=4, failed=1, skipped=3, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "*_ app/Kubefile :: cache-continuity _*",
            "error[[]E0302[]]: *",
            "SKIPPED*: app/Kubefile::cache-continuity says why",
        ]
    )


def test_a_check_alone_says_itself_why_it_cannot_begin(project: WriteProject, run: Run) -> None:
    project({"Kubefile": "COPY a b\n"})

    result = run("Kubefile::reproducible")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["error[[]E02??[]]: *FROM*"])


def test_the_full_trace_is_there_for_who_asks(project: WriteProject, run: Run) -> None:
    project({"Kubefile": "FORM scratch\n"})

    result = run("Kubefile::parse", "--full-trace")

    result.stdout.fnmatch_lines(["*parser.py*"])


def test_the_last_failures_run_again(project: WriteProject, run: Run) -> None:
    project({"app/Kubefile": "FROM scratch\nCOPY a.txt etc\n"})
    run("--kubefile=app")

    result = run("--kubefile=app", "--lf", "-v")

    result.assert_outcomes(failed=1, deselected=len(CHECKS) - 1)
    result.stdout.fnmatch_lines(["app/Kubefile::build FAILED*"])


def test_pytest_stops_at_the_first_failure(project: WriteProject, run: Run) -> None:
    project({"Kubefile": "FORM scratch\n"})

    run("--kubefile=Kubefile", "-x").assert_outcomes(failed=1)


@pytest.mark.parametrize("family", ["xunit1", "xunit2"])
def test_junit_has_a_case_a_check_with_place_and_message(
    project: WriteProject, run: Run, pytester: pytest.Pytester, family: str
) -> None:
    project({"app/Kubefile": "FROM scratch\nCOPY b.txt etc\n"})

    run("--kubefile=app", "--junit-xml=out.xml", "-o", f"junit_family={family}")

    cases = {case.attrib["name"]: case for case in ET.parse(pytester.path / "out.xml").iter("testcase")}
    assert sorted(cases) == sorted(CHECKS)
    assert {case.get("classname") for case in cases.values()} == {"app.Kubefile"}
    assert place_of(cases["parse"]) == {"file": "app/Kubefile", "line": "1"}
    assert place_of(cases["build"]) == {"file": "app/Kubefile", "line": "2"}
    failure = cases["build"].find("failure")
    assert failure is not None
    assert failure.get("message", "").startswith("error[E0302]: ")
    assert failure.text is not None
    assert "2 | COPY b.txt etc" in failure.text


def place_of(case: ET.Element) -> dict[str | None, str | None]:
    return {one.get("name"): one.get("value") for one in case.iter("property")}


def test_advice_is_a_warning_at_its_line(project: WriteProject, run: Run) -> None:
    project({"Kubefile": 'FROM scratch\nCMD ["kubectl", "apply"]\n'})

    result = run("Kubefile::lint", "-W", "default::harness.asking.warning.KubefileWarning")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["Kubefile::lint", "*Kubefile:2: KubefileWarning: W??: *"])


def test_strict_lint_fails_on_advice(project: WriteProject, run: Run) -> None:
    project({"Kubefile": 'FROM scratch\nCMD ["kubectl", "apply"]\n'})

    result = run("Kubefile::lint", "--kubefile-strict-lint")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["warning[[]W??[]]: *", "  --> Kubefile:2:*"])


def test_warnings_as_errors_fail_without_a_traceback(project: WriteProject, run: Run) -> None:
    project({"Kubefile": 'FROM scratch\nCMD ["kubectl", "apply"]\n'})

    result = run("Kubefile::lint", "-W", "error::harness.asking.warning.KubefileWarning")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["warning[[]W??[]]: *", "  --> Kubefile:2:*"])
    result.stdout.no_fnmatch_line("*basic.py*")


def test_the_steps_of_a_build_are_logged_as_they_go(project: WriteProject, run: Run) -> None:
    project({"Kubefile": "FROM scratch\nCOPY a.txt etc\nRUN echo hello\nCMD x\n", "a.txt": "a"})

    shown, silent = run("Kubefile::build", "--log-cli-level=DEBUG"), run("Kubefile::build")

    shown.stdout.fnmatch_lines(
        [
            "INFO *Kubefile:2: COPY a.txt etc",
            "INFO *Kubefile:2: a layer of 2,560 bytes, * s (never built before)",
            "INFO *Kubefile:3: RUN echo hello",
            "DEBUG *Kubefile:3: hello",
            "INFO *Kubefile:3: no layer, * s (an earlier step missed)",
        ]
    )
    silent.stdout.no_fnmatch_line("*COPY a.txt*")


def test_what_was_built_is_listed_at_the_end(project: WriteProject, run: Run) -> None:
    project(GOOD)

    result = run("--kubefile=app", "-k", "build")

    result.stdout.fnmatch_lines(
        [
            "*= cluster images =*",
            "app/Kubefile: ????????????, 1 layer, * bytes, 0 of 1 steps from the cache, * s",
        ]
    )


def test_a_kubefile_that_cannot_be_read_is_an_error_of_parse(
    project: WriteProject, run: Run, pytester: pytest.Pytester
) -> None:
    (pytester.path / "Kubefile").symlink_to("Kubefile")

    result = run("--kubefile=Kubefile")

    result.stdout.no_fnmatch_line("*Traceback*")
    assert result.ret != 0


def test_a_bug_in_a_check_is_shown_with_its_traceback(project: WriteProject, run: Run) -> None:
    project({**GOOD, "conftest.py": HOOK.format(body="raise RuntimeError('a bug')")})

    result = run("app/Kubefile::mine")

    result.stdout.fnmatch_lines([">   *raise RuntimeError*", "E *RuntimeError: a bug"])


HOOK = """
def check_mine(case):
    {body}

def pytest_kubefile_checks(config):
    return {{"mine": check_mine}}
"""


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (
            "assert case.image.rootfs['etc/a.txt'].size < 3, 'a.txt is too large'",
            ["error[[]E0900[]]: a.txt is too large"],
        ),
        (
            "from harness.checks import CheckError; raise CheckError('no', hint='say yes')",
            ["error[[]E0900[]]: no", "1 | FROM scratch", "hint: say yes"],
        ),
        ("assert False", ["error[[]E0900[]]: assert False", "  --> app/Kubefile:1:1", "1 | FROM scratch", "  | ^*"]),
    ],
    ids=["assert", "CheckError", "bare assert"],
)
def test_a_check_of_a_conftest_fails_in_the_same_form(
    project: WriteProject, run: Run, body: str, lines: list[str]
) -> None:
    project({**GOOD, "conftest.py": HOOK.format(body=body)})

    result = run("app/Kubefile::mine")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(lines)
    result.stdout.no_fnmatch_line("*conftest.py*")


SEES = """
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        print("\\nSEEN", *report.location[:2], isinstance(call.excinfo.value, AssertionError))
        print(report.longrepr.reprcrash.message)
    return report
"""


def test_reports_of_every_kind_point_to_the_kubefile_s_line(
    project: WriteProject, run: Run, pytester: pytest.Pytester
) -> None:
    project({"app/Kubefile": "FROM scratch\n\nCOPPY a .\n", "conftest.py": SEES})

    result = run("--kubefile=app", "-s", "--junitxml=out.xml", "-o", "junit_family=xunit1")

    result.stdout.fnmatch_lines(["SEEN app/Kubefile 2 True", "error[[]E0201[]]: *", "hint: *"])
    assert 'file="app/Kubefile" line="2"' in (pytester.path / "out.xml").read_text()


def test_a_temporary_folder_that_cannot_be_used_is_said(project: WriteProject, run: Run) -> None:
    project({"app/Kubefile": "FROM scratch\n", "file": ""})

    result = run("app/Kubefile::parse", "--basetemp=file/below", backend="copy")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["pytest's temporary folder cannot be used: *"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
