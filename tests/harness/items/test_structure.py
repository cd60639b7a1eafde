"""container-structure-test's files as items: `pytest --cst=FILE --oci-image=REF`."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from kubeimage.api import running
from tests.harness.conftest import Run
from tests.harness.cst.table import COMMANDS, OPTIONS, USERS
from tests.imageroots import root_image

NAME = "docker-archive:image.tar"
ALONE = ("--oci-image-skip=oci-valid", "--oci-image-skip=layer-limit", "--oci-image-skip=size-limit")
QUIET = (*ALONE, "--oci-image-skip=efficiency", "--oci-image-skip=no-secrets", f"--oci-image={NAME}")
FILES = """schemaVersion: 2.0.0
fileExistenceTests:
- {name: there, path: /etc/passwd, permissions: '-rw-r--r--', uid: 0}
- {name: 'not [there]', path: /etc/shadow}
metadataTest: {workdir: /srv}
licenseTests: [{debian: false, files: [/etc/passwd]}]
"""


@pytest.fixture
def image(pytester: pytest.Pytester) -> None:
    root_image(Env=["PATH=/bin", "A=1"]).write_docker_archive(pytester.path / "image.tar")


@pytest.fixture
def user_image(pytester: pytest.Pytester) -> None:
    root_image(Env=["PATH=/bin", "A=1"], User="app", WorkingDir="/home/app").write_docker_archive(
        pytester.path / "image.tar"
    )


def write(pytester: pytest.Pytester, text: str, name: str = "cst.yaml") -> str:
    (pytester.path / name).write_text(text)
    return f"--cst={name}"


def cases(path: Path) -> dict[str, bool]:
    """Return the names in a JUnit report, and whether nothing failed there."""
    found = ET.parse(path).iter("testcase")
    return {one.attrib["name"]: one.find("failure") is None for one in found}


@pytest.mark.usefixtures("image")
def test_each_test_is_an_item_with_the_program_s_name(pytester: pytest.Pytester, run: Run) -> None:
    result = run(*QUIET, write(pytester, FILES), "--junitxml=junit.xml", "-v")

    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        [
            f"{NAME}::cst.yaml::File Existence Test: there PASSED*",
            f"{NAME}::cst.yaml::File Existence Test: not [[]there[]] FAILED*",
            f"{NAME}::cst.yaml::License Test PASSED*",
            f"{NAME}::cst.yaml::Metadata Test FAILED*",
            f"error[[]E0900[]]: {NAME} does not pass 'File Existence Test: not [[]there[]]'",
            "  /etc/shadow is not there",
            "*--> cst.yaml:4*",
            "  the workdir is '', and not '/srv'",
        ]
    )
    assert cases(pytester.path / "junit.xml") == {
        "File Existence Test: there": True,
        "File Existence Test: not [there]": False,
        "License Test": True,
        "Metadata Test": False,
    }


@pytest.mark.usefixtures("image")
def test_they_stand_beside_the_checks_and_are_selected_as_others_are(pytester: pytest.Pytester, run: Run) -> None:
    option = write(pytester, FILES)

    run(f"--oci-image={NAME}", option, "-k", "License or oci-valid").assert_outcomes(passed=2, deselected=7)
    run(*QUIET, option, "-n2").assert_outcomes(passed=2, failed=2)
    run(*QUIET, option, write(pytester, FILES, "b.yml"), "-k", "there").assert_outcomes(
        passed=2, failed=2, deselected=4
    )


@pytest.mark.usefixtures("image")
def test_commands_are_run_and_the_verdicts_are_those_beside_them(pytester: pytest.Pytester, run: Run) -> None:
    run(*QUIET, write(pytester, COMMANDS), "--junitxml=junit.xml")

    found = cases(pytester.path / "junit.xml")
    assert found == {name: not name.endswith("(fails)") for name in found}
    assert len(found) == COMMANDS.count("name: ")


@pytest.mark.usefixtures("user_image")
@pytest.mark.parametrize("text", [USERS, OPTIONS])
def test_commands_of_another_user_are_run_as_that_or_skipped(
    pytester: pytest.Pytester, run: Run, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIVEN", "here")

    result = run(*QUIET, write(pytester, text), "--junitxml=junit.xml", "-rs")

    if not running._runner.maps_users():
        result.assert_outcomes(skipped=text.count("- {name: "))
        result.stdout.fnmatch_lines(["*cannot be run as the user 1000:*"])
        return
    found = cases(pytester.path / "junit.xml")
    assert found == {name: not name.endswith("(fails)") for name in found}


@pytest.mark.usefixtures("image")
def test_what_no_program_can_have_is_skipped_and_says_why(pytester: pytest.Pytester, run: Run) -> None:
    text = "schemaVersion: 2.0.0\ncontainerRunOptions: {privileged: true}\ncommandTests: [{name: a, command: env}]\n"

    result = run(*QUIET, write(pytester, text), "-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*asks for a privileged container*"])


@pytest.mark.usefixtures("image")
def test_a_bad_file_stops_the_run_with_all_its_mistakes(pytester: pytest.Pytester, run: Run) -> None:
    option = write(pytester, "schemaVersion: 2.0.0\nfileExistenceTests: [{name: a, pth: /x}]\nmore: 1\n")

    result = run(*QUIET, option, write(pytester, "schemaVersion: 2.0.0\n", "empty.yaml"), "--cst=gone.yaml")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: --cst: cst.yaml:2: there is no field 'pth' here; known are name, path, *",
            "*--cst: cst.yaml:3: there is no field 'more' here*",
            "*--cst: empty.yaml: it has no tests",
            "*--cst: gone.yaml: it cannot be read: No such file or directory",
        ]
    )


def test_a_file_without_an_image_is_wrong_usage(pytester: pytest.Pytester, run: Run) -> None:
    result = run(write(pytester, FILES))

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --cst tests images, and none is named: --oci-image=REF"])


@pytest.mark.usefixtures("image")
def test_a_project_that_has_such_an_option_keeps_it(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest("def pytest_addoption(parser):\n    parser.addoption('--cst', default='mine')\n")
    pytester.makepyfile("def test_own(request):\n    assert request.config.getoption('--cst') == 'theirs'\n")

    run("--cst=theirs").assert_outcomes(passed=1)
    write(pytester, FILES)
    pytester.makeini("[pytest]\ncst = cst.yaml\n")
    run(*QUIET, "--cst=theirs").assert_outcomes(passed=2, failed=2)


@pytest.mark.usefixtures("image")
def test_a_test_function_runs_programs_of_the_image(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        def test_it(image):
            done = image.run("echo $A; touch /new")
            assert (done.status, done.stdout, done.changes) == (0, "1\\n", {"new": "added"})
            assert "new" not in image.rootfs
        """
    )

    run("test_a_test_function_runs_programs_of_the_image.py", f"--oci-image={NAME}", "-k", "test_it").assert_outcomes(
        passed=1, deselected=5
    )


def test_a_built_image_runs_its_programs(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import shutil, re, subprocess

        def test_it(kube_build, kube_context):
            context = kube_context({})
            shell = shutil.which("dash") or "/bin/sh"
            linked = subprocess.run(["ldd", shell], capture_output=True, text=True, check=True).stdout
            linked = re.findall(r"(/\\S+) \\(0x", linked)
            for path, place in ((shell, "bin/sh"), *((one, one[1:]) for one in linked)):
                target = context / "root" / place
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
                target.chmod(0o755)
            image = kube_build("FROM scratch\\nCOPY root/* .\\n", context)
            assert image.run("echo built").stdout == "built\\n"
        """
    )

    run("-k", "test_it", "--kubefile-backend=auto").assert_outcomes(passed=1)


@pytest.mark.usefixtures("image")
def test_a_pattern_that_nobody_can_judge_here_fails_and_says_so(pytester: pytest.Pytester, run: Run) -> None:
    text = "schemaVersion: 2.0.0\nfileContentTests: [{name: a, path: /etc/passwd, excludedContents: ['\\p{Greek}']}]\n"

    result = run(*QUIET, write(pytester, text))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["error*", "  the Unicode class 'Greek' in * is not known here, so that nobody*"])
