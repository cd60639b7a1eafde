"""Every option, as an option and as an ini setting."""

import os
import sys
from pathlib import Path

import pytest

from harness.options import OPTIONS
from harness.trees import Content

APP: dict[str, Content] = {"app/Kubefile": "FROM scratch\nCOPY a.txt etc\n", "app/a.txt": "hello\n"}
ARG = "FROM scratch\nARG NAME\nCOPY ${NAME} etc\n"


def ini(**settings: str) -> dict[str, Content]:
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    return {"pytest.ini": f"[pytest]\n{lines}"}


def test_help_tells_of_every_option_and_setting(run) -> None:
    result = run("--help")

    result.stdout.fnmatch_lines(["cluster images from Kubefiles:", *(f"  {option.flag}*" for option in OPTIONS)])
    result.stdout.fnmatch_lines([f"  {option.name} (*" for option in OPTIONS])


def test_markers_tells_of_the_marker(run) -> None:
    run("--markers").stdout.fnmatch_lines(["@pytest.mark.kubefile(*paths, context=None, *"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kubefile=nowhere"], "ERROR: --kubefile=nowhere: */nowhere does not exist"),
        (["--kubefile=appp"], "ERROR: --kubefile=appp: */appp does not exist (did you mean app?)"),
        (["--kubefile-context=nowhere"], "ERROR: --kubefile-context=nowhere: */nowhere does not exist"),
        (["--kubefile-context=app/a.txt"], "ERROR: --kubefile-context=app/a.txt: * is a file, not a folder"),
        (["--kubefile-platform=a b"], "ERROR: not a platform: 'a b' (write it as linux/amd64 or linux/arm64/v8)"),
        (["--kubefile-base=rootfs"], "ERROR: --kubefile-base=rootfs: write it as NAME=DIR, NAME=FILE or NAME=empty"),
        (["--kubefile-base=rootfs=nowhere"], "ERROR: --kubefile-base=rootfs=nowhere: */nowhere does not exist"),
        (["--kubefile-base=ROOTFS=app"], "ERROR: not an image reference: 'ROOTFS': *upper case*"),
        (["--kubefile-max-layers=many"], "ERROR: --kubefile-max-layers=many: it takes a number, as in *=40"),
        (
            ["--kubefile=app", "--kubefile-skip=reproducable"],
            "ERROR: --kubefile-skip=reproducable: there is no such check, but parse, lint, build, *",
        ),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_what_cannot_be_followed_is_a_usage_error(project, run, arguments: list[str], message: str) -> None:
    project(APP)

    result = run(*arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message.replace("[", "[[]")])


def test_an_unknown_backend_is_a_usage_error_in_both_forms(project, run) -> None:
    project({**APP, **ini(kubefile_backend="disk")})

    option, setting = run(backend="disk"), run(backend=None)

    assert option.ret == setting.ret == pytest.ExitCode.USAGE_ERROR
    setting.stderr.fnmatch_lines(["ERROR: kubefile_backend = disk: it is one of auto, overlay, copy, memory"])


def test_kubefiles_of_the_ini_file_are_collected_beside_the_tests(project, run) -> None:
    project({**APP, "test_it.py": "def test_it(): pass", **ini(kubefile="app/Kubefile")})

    result = run("-k", "parse or test_it")

    result.assert_outcomes(passed=2, deselected=9)


def test_a_kubefile_below_a_test_path_is_collected_once(project, run) -> None:
    project({**APP, "app/test_it.py": "def test_it(): pass"})

    run("--kubefile=app/Kubefile", "app").assert_outcomes(passed=11)


def test_a_kubefile_that_pytest_would_not_reach_is_never_left_out_in_silence(project, run) -> None:
    project({**APP, "build/Kubefile": "FROM scratch\n"})

    alone, below = run("--kubefile=build", "-k", "parse"), run("--kubefile=build", ".")

    alone.assert_outcomes(passed=1, deselected=9)
    assert below.ret == pytest.ExitCode.USAGE_ERROR
    below.stderr.fnmatch_lines(["ERROR: --kubefile: pytest does not go into the folder of */build/Kubefile *"])


def test_paths_of_the_ini_file_are_relative_to_it(project, run, pytester: pytest.Pytester) -> None:
    project({**APP, "deep/test_it.py": "def test_it(): pass", **ini(kubefile="app")})
    os.chdir(pytester.path / "deep")

    result = run("--collect-only", "-q")

    result.stdout.fnmatch_lines(["app/Kubefile::parse"])


def test_the_context_is_the_kubefiles_folder_unless_it_is_given(project, run) -> None:
    project({**APP, "other/a.txt": "", "other/in/Kubefile": "FROM scratch\nCOPY in a.txt etc\n"})

    result = run("--kubefile=other", "--kubefile-context=other", "-k", "build")

    result.assert_outcomes(passed=1, deselected=9)


def test_build_arguments_are_given_and_taken_from_the_environment(
    project, run, monkeypatch: pytest.MonkeyPatch
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


def test_a_build_argument_that_the_only_kubefile_does_not_declare_is_an_error(project, run) -> None:
    project(APP)

    result = run("--kubefile=app", "--kubefile-build-arg=NAME=x", "-k", "build")

    result.assert_outcomes(failed=1, deselected=9)
    result.stdout.fnmatch_lines(["error[[]E0102[]]: no ARG declares*NAME*"])


def test_of_many_kubefiles_those_get_a_build_argument_that_declare_it(project, run) -> None:
    project({**APP, "with/Kubefile": ARG, "with/a.txt": ""})

    result = run(
        "--kubefile=.",
        "--kubefile-build-arg=NAME=a.txt",
        "-k",
        "build",
        "-W",
        "default::harness.warning.KubefileWarning",
    )

    result.assert_outcomes(passed=2, deselected=18)
    result.stdout.fnmatch_lines(["*app/Kubefile:1: KubefileWarning: *NAME is left out here: no ARG declares it"])


def test_the_platform_chooses_the_architecture(project, run) -> None:
    project({"Kubefile": "FROM scratch\nCOPY ${ARCH}/tool bin\n", "riscv64/tool": ""})

    chosen, own = run("Kubefile::build", "--kubefile-platform=linux/riscv64"), run("Kubefile::build")

    chosen.assert_outcomes(passed=1)
    own.assert_outcomes(failed=1)


@pytest.mark.parametrize("source", ["base", "base/Kubefile", "files", "empty"])
def test_something_stands_in_for_a_base_image(project, run, source: str) -> None:
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

    result.assert_outcomes(passed=10)
    result.stdout.fnmatch_lines(
        ["kubeimage: *, backend memory, *", "kubeimage: *stands in for the base image rootfs:v1"]
    )


def test_a_tar_stands_in_for_a_base_image(project, run, pytester: pytest.Pytester) -> None:
    import tarfile

    project({"app/Kubefile": "FROM rootfs:v1\n", "etc/x": "from a tar", "test_it.py": TAR_TEST})
    with tarfile.open(pytester.path / "root.tar", "w") as tar:
        tar.add(pytester.path / "etc", "etc")

    result = run("--kubefile=app", "--kubefile-base=rootfs:v1=root.tar", "test_it.py")

    result.assert_outcomes(passed=11)


TAR_TEST = """
def test_the_tar_is_below(built_image):
    assert built_image.rootfs["etc/x"].read_text() == "from a tar"
"""


def test_a_base_that_nothing_stands_in_for_is_an_error_with_its_line(project, run) -> None:
    project({"app/Kubefile": "FROM rootfs:v1\n"})

    result = run("--kubefile=app")

    result.stdout.fnmatch_lines(["*_ Kubefile::build _*", "error[[]E0402[]]: *rootfs:v1*", "  --> app/Kubefile:1:*"])


def test_what_stands_in_for_a_base_may_not_stand_on_it(project, run) -> None:
    project({"app/Kubefile": "FROM rootfs:v1\n"})

    result = run("app/Kubefile::build", "--kubefile-base=rootfs:v1=app")

    result.stdout.fnmatch_lines(
        ["error[[]E0402[]]: */app, which stands in for rootfs:v1, cannot be made: *built FROM it"]
    )


def test_the_layer_limit_can_be_lowered(project, run) -> None:
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


def test_checks_are_left_out(project, run) -> None:
    project({**APP, **ini(kubefile_skip="\n    lint\n    oci-valid")})

    both, other = run("--kubefile=app"), run("--kubefile=app", "--kubefile-skip=build")

    both.assert_outcomes(passed=8)
    other.assert_outcomes(passed=9)


def test_a_store_is_used_and_kept(project, run, pytester: pytest.Pytester) -> None:
    project(APP)
    root = Path(pytester.path, "kept")

    first = run("app/Kubefile::build", f"--kubefile-root={root}", backend=None)
    again = run("app/Kubefile::build", "--kubefile-root=kept", backend=None)

    first.stdout.fnmatch_lines(["kubeimage: *, in kept", "*0 of 1 steps from the cache*"])
    again.stdout.fnmatch_lines(["*1 of 1 steps from the cache*"])
    assert (root / "oci-layout").exists()


def test_a_store_of_the_run_goes_with_it(project, run, pytester: pytest.Pytester) -> None:
    project(APP)

    run("app/Kubefile::build", "--basetemp=temp", backend=None).assert_outcomes(passed=1)

    assert not (pytester.path / "temp/kubeimage").exists()


def test_a_run_without_a_kubefile_imports_nothing_of_kubeimage(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]))
    pytester.makepyfile(
        "import sys\ndef test_it(): assert not [name for name in sys.modules if name.startswith('kubeimage')]"
    )

    pytester.runpytest_subprocess("-p", "harness.plugin", "-p", "no:hypothesispytest").assert_outcomes(passed=1)
