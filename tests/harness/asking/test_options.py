"""Every option, as an option and as an ini setting."""

import os
from pathlib import Path

import pytest

from harness.asking.options import OPTIONS
from harness.trees import Content
from tests.harness.conftest import Run, WriteProject

APP: dict[str, Content] = {"app/Kubefile": "FROM scratch\nCOPY a.txt etc\n", "app/a.txt": "hello\n"}
ARG = "FROM scratch\nARG NAME\nCOPY ${NAME} etc\n"


def ini(**settings: str) -> dict[str, Content]:
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    return {"pytest.ini": f"[pytest]\n{lines}"}


def test_help_tells_of_every_option_and_setting(run: Run) -> None:
    result = run("--help")

    result.stdout.fnmatch_lines(["cluster images from Kubefiles:", *(f"  {option.flag}*" for option in OPTIONS)])
    result.stdout.fnmatch_lines([f"  {option.name} (*" for option in OPTIONS])


def test_markers_tells_of_the_marker(run: Run) -> None:
    run("--markers").stdout.fnmatch_lines(["@pytest.mark.kubefile(*paths, context=None, *"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kubefile=nowhere"], "ERROR: --kubefile=nowhere: */nowhere does not exist"),
        (["--kubefile=appp"], "ERROR: --kubefile=appp: */appp does not exist (did you mean app?)"),
        (["--kubefile-root=app/a.txt"], "ERROR: --kubefile-root=app/a.txt: * is a file, not a folder"),
        (
            ["--kubefile-save-failures=app/a.txt"],
            "ERROR: --kubefile-save-failures=app/a.txt: * is a file, not a folder",
        ),
        (["--kubefile=odd[1"], "ERROR: --kubefile: pytest takes no path with a [ in it: */odd[1/Kubefile; rename *"),
        (["--kubefile-config=nowhere"], "ERROR: --kubefile-config=nowhere: */nowhere does not exist"),
        (["--kubefile-config=app/Kubefile"], "ERROR: */app/Kubefile*"),
        (["--kubefile-insecure=a/b"], "ERROR: --insecure*a/b*"),
        (["--kubefile-context=nowhere"], "ERROR: --kubefile-context=nowhere: */nowhere does not exist"),
        (["--kubefile-context=app/a.txt"], "ERROR: --kubefile-context=app/a.txt: * is a file, not a folder"),
        (["--kubefile-platform=a b"], "ERROR: not a platform: 'a b' (write it as linux/amd64 or linux/arm64/v8)"),
        (["--kubefile-base=rootfs"], "ERROR: --kubefile-base=rootfs: write it as NAME=DIR, NAME=FILE or NAME=empty"),
        (["--kubefile-base=rootfs=nowhere"], "ERROR: --kubefile-base=rootfs=nowhere: */nowhere does not exist"),
        (["--kubefile-base=ROOTFS=app"], "ERROR: not an image reference: 'ROOTFS': *upper case*"),
        (["--kubefile-max-layers=many"], "ERROR: --kubefile-max-layers=many: it takes a number, as in *=40"),
        (
            ["--kubefile-max-size=5 apples"],
            "ERROR: --kubefile-max-size=5 apples: it takes a number of bytes, or *=200MB",
        ),
        (
            ["--kubefile-min-efficiency=95"],
            "ERROR: --kubefile-min-efficiency=95: it takes a number from 0 to 1, *=0.95",
        ),
        (["--kubefile-min-efficiency=high"], "ERROR: --kubefile-min-efficiency=high: it takes a number from 0 to 1, *"),
        (["--kubefile-allow-lint=W99"], "ERROR: --kubefile-allow-lint=W99: there is no such advice, but W01, *"),
        (
            ["--kubefile=app", "--kubefile-skip=reproducable"],
            "ERROR: --kubefile-skip=reproducable: there is no such check (did you mean reproducible?), but *",
        ),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_what_cannot_be_followed_is_a_usage_error(
    project: WriteProject, run: Run, arguments: list[str], message: str
) -> None:
    project({**APP, "odd[1/Kubefile": "FROM scratch\n"})

    result = run(*arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message.replace("[", "[[]")])


def test_an_unknown_backend_is_a_usage_error_in_both_forms(project: WriteProject, run: Run) -> None:
    project({**APP, **ini(kubefile_backend="disk")})

    option, setting = run(backend="disk"), run(backend=None)

    assert option.ret == setting.ret == pytest.ExitCode.USAGE_ERROR
    setting.stderr.fnmatch_lines(["ERROR: kubefile_backend = disk: it is one of auto, overlay, copy, memory"])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("kubefile_max_layers = 'many'", "ERROR: *kubefile?max?layers*many*"),
        ("kubefile_max_size = 'big'", "ERROR: --kubefile-max-size=big: it takes a number of bytes, *"),
        ("kubefile_min_efficiency = '2'", "ERROR: --kubefile-min-efficiency=2: it takes a number from 0 to 1, *"),
        ("kubefile_isolation = 'jail'", "ERROR: kubefile_isolation = jail: it is one of auto, sandbox, landlock, none"),
        ("kubefile_strict_lint = 'often'", "ERROR: kubefile_strict_lint: *often*"),
        ("kubefile_allow_lint = ['W1']", "ERROR: --kubefile-allow-lint=W1: there is no such advice, but W01, *"),
        ("kubefile_context = 'nowhere'", "ERROR: --kubefile-context=nowhere: */nowhere does not exist"),
        ("kubefile_base = ['rootfs']", "ERROR: --kubefile-base=rootfs: write it as NAME=DIR, NAME=FILE or NAME=empty"),
        ("kubefile = ['nowhere']", "ERROR: --kubefile=nowhere: */nowhere does not exist"),
    ],
    ids=lambda text: text.partition(" ")[0],
)
def test_a_setting_of_pyproject_that_cannot_be_followed_is_named(
    project: WriteProject, run: Run, lines: str, message: str
) -> None:
    project({**APP, "pyproject.toml": f"[tool.pytest.ini_options]\n{lines}\n"})

    result = run("app/Kubefile::lint", backend=None)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


needs_typed_settings = pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="[tool.pytest] is new in pytest 9")


@needs_typed_settings
def test_typed_settings_of_pyproject_are_taken_as_they_are(project: WriteProject, run: Run) -> None:
    settings = (
        "kubefile_max_layers = 1\nkubefile_max_size = '1kB'\nkubefile_min_efficiency = 1\nkubefile_skip = ['lint']\n"
    )
    project({**APP, "pyproject.toml": f"[tool.pytest]\n{settings}"})

    result = run("--kubefile=app")

    result.assert_outcomes(passed=9, failed=1)
    result.stdout.fnmatch_lines(["FAILED app/Kubefile::size-limit - *"])


@needs_typed_settings
@pytest.mark.parametrize("line", ["kubefile_max_layers = 'one'", "kubefile_skip = 'lint'", "kubefile_max_size = 5"])
def test_a_typed_setting_of_the_wrong_type_is_named(project: WriteProject, run: Run, line: str) -> None:
    project({**APP, "pyproject.toml": f"[tool.pytest]\n{line}\n"})

    result = run("app/Kubefile::lint")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{line.partition(' ')[0]}*expects a*"])


WARN = ("-W", "error::harness.asking.warning.KubefileWarning")
ODD = {
    "app/Kubefile": "FROM scratch\nCOPY keys etc\nCMD x\nCMD x\n",
    **{f"app/keys/{number}.key": "" for number in range(12)},
    "app/keys/id_rsa": "",
}


def test_a_key_that_is_copied_is_a_warning_at_its_line_unless_it_is_allowed(project: WriteProject, run: Run) -> None:
    project(ODD)

    told = run("app/Kubefile::build", *WARN)
    some = run("app/Kubefile::build", "--kubefile-allow-secret=keys/*.key", "-W", "default::pytest.PytestWarning")
    none = run("app/Kubefile::build", "--kubefile-allow-secret=keys/*.key", "--kubefile-allow-secret=*/id_rsa", *WARN)

    told.assert_outcomes(failed=1)
    told.stdout.fnmatch_lines(["warning[[]build[]]: 'keys/0.key' looks like a private key*", "  --> app/Kubefile:2:1"])
    some.assert_outcomes(passed=1)
    some.stdout.fnmatch_lines(["*app/Kubefile:2: KubefileWarning: build: 'keys/id_rsa' looks like a private key*"])
    none.assert_outcomes(passed=1)


def test_advice_of_an_allowed_code_is_not_given(project: WriteProject, run: Run) -> None:
    project({**ODD, **ini(kubefile_strict_lint="true")})

    told, silent = run("app/Kubefile::lint"), run("app/Kubefile::lint", "--kubefile-allow-lint=W04")

    told.stdout.fnmatch_lines(["warning[[]W04[]]: *"])
    silent.assert_outcomes(passed=1)


CONFTEST = """
import dataclasses, pathlib
from harness.images.backends import memory_backends
from harness.fakes.runner import FakeRunner

def pytest_kubefile_backends(config, path):
    runner = FakeRunner()
    runner.on("make", effect=lambda tree: pathlib.Path(path).with_name("made.txt").touch())
    return dataclasses.replace(memory_backends(), runner=runner)
"""


def test_a_leftover_that_is_allowed_is_none(project: WriteProject, run: Run) -> None:
    project({"app/Kubefile": "FROM scratch\nRUN make\n", "conftest.py": CONFTEST})

    told = run("app/Kubefile::no-leaks", backend=None)
    os.unlink("app/made.txt")
    silent = run("app/Kubefile::no-leaks", "--kubefile-allow-leftover=made.*", backend=None)

    told.stdout.fnmatch_lines(
        [
            "error[[]E0900[]]: the build left 1 thing behind",
            "hint: *--kubefile-allow-leftover=made.txt",
            "*made.txt is new",
        ]
    )
    silent.assert_outcomes(passed=1)


def test_a_run_without_isolation_sees_the_machine(project: WriteProject, run: Run, pytester: pytest.Pytester) -> None:
    project({"app/Kubefile": f"FROM scratch\nRUN touch {pytester.path}/outside; echo > made\n"})

    inside = run("app/Kubefile::build", "--kubefile-isolation=none", backend="copy")

    inside.stdout.fnmatch_lines(["*RUN by copy and none"])
    assert (pytester.path / "outside").exists()


def test_kubefiles_of_the_ini_file_are_collected_beside_the_tests(project: WriteProject, run: Run) -> None:
    project({**APP, "test_it.py": "def test_it(): pass", **ini(kubefile="app/Kubefile")})

    result = run("-k", "parse or test_it")

    result.assert_outcomes(passed=2, deselected=8)


def test_a_kubefile_below_a_test_path_is_collected_once(project: WriteProject, run: Run) -> None:
    project({**APP, "app/test_it.py": "def test_it(): pass"})

    run("--kubefile=app/Kubefile", "app").assert_outcomes(passed=10)


def test_a_kubefile_in_a_folder_that_pytest_passes_over_is_collected_alone(project: WriteProject, run: Run) -> None:
    project({"build/in/Kubefile": "FROM scratch\n", "build/test_not.py": "def test(): assert 0", "test_it.py": ""})

    alone, below = run("--kubefile=build", "-k", "parse"), run("--kubefile=build", ".", "-v")

    alone.assert_outcomes(passed=1, deselected=8)
    below.assert_outcomes(passed=9)
    below.stdout.fnmatch_lines(["build/in/Kubefile::parse PASSED*"])


def test_a_kubefile_that_is_ignored_though_it_is_named_is_a_usage_error(project: WriteProject, run: Run) -> None:
    project({**APP, "conftest.py": "collect_ignore = ['app']"})

    result = run("--kubefile=app", ".")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --kubefile: pytest does not collect */app/Kubefile, though it is named: *"])


def test_paths_of_the_ini_file_are_relative_to_it(project: WriteProject, run: Run, pytester: pytest.Pytester) -> None:
    project({**APP, "deep/test_it.py": "def test_it(): pass", **ini(kubefile="app")})
    os.chdir(pytester.path / "deep")

    result = run("--collect-only", "-q")

    result.stdout.fnmatch_lines(["app/Kubefile::parse"])


def test_the_context_is_the_kubefiles_folder_unless_it_is_given(project: WriteProject, run: Run) -> None:
    project({**APP, "other/a.txt": "", "other/in/Kubefile": "FROM scratch\nCOPY in a.txt etc\n"})

    result = run("--kubefile=other", "--kubefile-context=other", "-k", "build")

    result.assert_outcomes(passed=1, deselected=8)


def test_build_arguments_are_given_and_taken_from_the_environment(
    project: WriteProject, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    project({"Kubefile": ARG, "a.txt": ""})
    monkeypatch.setenv("NAME", "a.txt")

    given = run("Kubefile::build", "--kubefile-build-arg=NAME=a.txt")
    taken = run("Kubefile::build", "--kubefile-build-arg=NAME")
    monkeypatch.delenv("NAME")
    missing = run("Kubefile::build", "--kubefile-build-arg=NAME")

    given.assert_outcomes(passed=1)
    taken.assert_outcomes(passed=1)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(
        ["error[[]E0102[]]: --kubefile-build-arg=NAME: the environment has no NAME*", "hint: *"]
    )


def test_a_build_argument_that_the_only_kubefile_does_not_declare_is_an_error(project: WriteProject, run: Run) -> None:
    project(APP)

    result = run("--kubefile=app", "--kubefile-build-arg=NAME=x", "-k", "build")

    result.assert_outcomes(failed=1, deselected=8)
    result.stdout.fnmatch_lines(["error[[]E0102[]]: no ARG declares*NAME*"])


def test_of_many_kubefiles_those_get_a_build_argument_that_declare_it(project: WriteProject, run: Run) -> None:
    project({**APP, "with/Kubefile": ARG, "with/a.txt": ""})

    result = run(
        "--kubefile=.",
        "--kubefile-build-arg=NAME=a.txt",
        "-k",
        "build",
        "-W",
        "default::harness.asking.warning.KubefileWarning",
    )

    result.assert_outcomes(passed=2, deselected=16)
    result.stdout.fnmatch_lines(["*app/Kubefile:1: KubefileWarning: *NAME is left out here: no ARG declares it"])


def test_the_platform_chooses_the_architecture(project: WriteProject, run: Run) -> None:
    project({"Kubefile": "FROM scratch\nCOPY ${ARCH}/tool bin\n", "riscv64/tool": ""})

    chosen, own = run("Kubefile::build", "--kubefile-platform=linux/riscv64"), run("Kubefile::build")

    chosen.assert_outcomes(passed=1)
    own.assert_outcomes(failed=1)


@pytest.mark.parametrize("source", ["base", "base/Kubefile", "files", "empty"])
def test_something_stands_in_for_a_base_image(project: WriteProject, run: Run, source: str) -> None:
    project(
        {
            "app/Kubefile": "FROM rootfs:v1\nCOPY a.txt etc\n",
            "app/a.txt": "",
            "base/Kubefile": "FROM scratch\nCOPY x .\n",
            "base/x": "",
            "files/x": "",
            "files/dir/y": "",
        }
    )

    result = run("--kubefile=app", f"--kubefile-base=rootfs:v1={source}")

    result.assert_outcomes(passed=9)
    result.stdout.fnmatch_lines(
        ["kubeimage: *, backend memory, *", "kubeimage: *stands in for the base image rootfs:v1"]
    )


def test_a_quiet_report_says_what_stood_in_for_a_base_image_too(project: WriteProject, run: Run) -> None:
    project({"app/Kubefile": "FROM rootfs:v1\n", "lib/Kubefile": "FROM scratch\n", "base/x": ""})

    result = run("-q", "--kubefile=.", "--kubefile-skip=reproducible", "--kubefile-base=rootfs:v1=base", ".")

    result.stdout.fnmatch_lines(["app/Kubefile: *, 0 of 0 steps from the cache, * s, base stands in for rootfs:v1"])
    result.stdout.no_fnmatch_line("lib/Kubefile: * from the cache*")


def test_a_store_is_not_spoken_of_where_all_is_in_memory(project: WriteProject, run: Run) -> None:
    project(APP)

    result = run("app/Kubefile::build", "--kubefile-root=kept")

    result.stdout.fnmatch_lines(["kubeimage: *, backend memory, in a store that goes with the run"])


def test_a_tar_stands_in_for_a_base_image(project: WriteProject, run: Run, pytester: pytest.Pytester) -> None:
    import tarfile

    project({"app/Kubefile": "FROM rootfs:v1\n", "etc/x": "from a tar", "test_it.py": TAR_TEST})
    with tarfile.open(pytester.path / "root.tar", "w") as tar:
        tar.add(pytester.path / "etc", "etc")

    result = run("--kubefile=app", "--kubefile-base=rootfs:v1=root.tar", "test_it.py")

    result.assert_outcomes(passed=10)


TAR_TEST = """
def test_the_tar_is_below(built_image):
    assert built_image.rootfs["etc/x"].read_text() == "from a tar"
"""


def test_a_base_that_nothing_stands_in_for_is_an_error_with_its_line(project: WriteProject, run: Run) -> None:
    project({"app/Kubefile": "FROM rootfs:v1\n"})

    result = run("--kubefile=app")

    result.stdout.fnmatch_lines(
        ["*_ app/Kubefile :: build _*", "error[[]E0402[]]: *rootfs:v1*", "  --> app/Kubefile:1:*"]
    )


def test_what_stands_in_for_a_base_may_not_stand_on_it(project: WriteProject, run: Run) -> None:
    project({"app/Kubefile": "FROM rootfs:v1\n"})

    result = run("app/Kubefile::build", "--kubefile-base=rootfs:v1=app")

    result.stdout.fnmatch_lines(
        ["error[[]E0402[]]: */app, which stands in for rootfs:v1, cannot be made: *built FROM it"]
    )


def test_the_layer_limit_can_be_lowered(project: WriteProject, run: Run) -> None:
    project(
        {
            "app/Kubefile": "FROM base\nCOPY a .\nCMD x\nCOPY b .\nCOPY a a.txt\n",
            "app/a": "1",
            "app/b": "2",
            "base/x": "",
        }
    )

    options = ("app/Kubefile::layer-limit", "--kubefile-base=base=base")
    exact, below = run(*options, "--kubefile-max-layers=4"), run(*options, "--kubefile-max-layers=2")

    exact.assert_outcomes(passed=1)
    below.assert_outcomes(failed=1)
    below.stdout.fnmatch_lines(
        [
            "error[[]E0900[]]: the image has 4 layers, and --kubefile-max-layers allows 2",
            "  --> app/Kubefile:4:1",
            "4 | COPY b .",
            "hint: *",
            "who spends them:",
            "    1  line 1: FROM base",
            "    1  line 2: COPY a .",
            "    1  line 4: COPY b .",
            "    1  line 5: COPY a a.txt",
        ]
    )


def test_checks_are_left_out(project: WriteProject, run: Run) -> None:
    project({**APP, **ini(kubefile_skip="\n    lint\n    oci-valid")})

    both, other = run("--kubefile=app"), run("--kubefile=app", "--kubefile-skip=build")

    both.assert_outcomes(passed=7)
    other.assert_outcomes(passed=8)


def test_a_store_is_used_and_kept(project: WriteProject, run: Run, pytester: pytest.Pytester) -> None:
    project(APP)
    root = Path(pytester.path, "kept")

    first = run("app/Kubefile::build", f"--kubefile-root={root}", backend=None)
    again = run("app/Kubefile::build", "--kubefile-root=kept", backend=None)

    first.stdout.fnmatch_lines(["kubeimage: *, in kept", "*0 of 1 steps from the cache*"])
    again.stdout.fnmatch_lines(["*1 of 1 steps from the cache*"])
    assert (root / "oci-layout").exists()


def test_a_store_of_the_run_goes_with_it(project: WriteProject, run: Run, pytester: pytest.Pytester) -> None:
    project(APP)

    run("app/Kubefile::build", "--basetemp=temp", backend=None).assert_outcomes(passed=1)

    assert not (pytester.path / "temp/kubeimage").exists()
