"""Images as items: `pytest --oci-image=REF`, the marker, the setting, and projects that have such an option."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kubeimage import BuildOptions, Reference, build_image, open_backends, parse, save_image
from tests.harness.conftest import Run

CHECKS = ("oci-valid", "layer-limit", "size-limit", "efficiency", "no-secrets")
KEY = "-----BEGIN EC PRIVATE KEY-----\n" + "MHcCAQEEIBkg4LVWM9nuwNSk3yByxZpYRTBnVJk5GkMkDNX2gWXBoAoGCCqGSM49\n" * 2
NAME = "oci-archive:app.tar"

MakeImage = Callable[..., None]


@pytest.fixture
def make_image(pytester: pytest.Pytester) -> MakeImage:
    def make(kubefile: str, file: str = "app.tar", **files: str) -> None:
        context = pytester.path / "context"
        for name, content in {"a": "1", **files}.items():
            context.mkdir(exist_ok=True)
            (context / name).write_text(content)
        options = BuildOptions(references=(Reference.parse("app:v1"),))
        with open_backends(str(pytester.path / "store"), isolation="none", mount="copy") as backends:
            build_image(parse(kubefile, file="Kubefile"), str(context), backends, options=options)
            save_image("app:v1", str(pytester.path / file), backends)

    return make


def test_each_check_of_an_image_is_an_item(make_image: MakeImage, run: Run) -> None:
    make_image("FROM scratch\nCOPY a etc/\n")

    result = run(f"--oci-image={NAME}", "--oci-image-max-size=1MB", "-v")

    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines([f"{NAME}::{check} PASSED*" for check in CHECKS])


def test_items_are_selected_as_others_are(make_image: MakeImage, run: Run) -> None:
    make_image("FROM scratch\nCOPY a etc/\n")

    run(f"--oci-image={NAME}", "-k", "layer-limit or oci-valid").assert_outcomes(passed=2, deselected=3)
    run(f"{NAME}::oci-valid").assert_outcomes(passed=1)
    run(NAME, "--oci-image-skip=oci-valid").assert_outcomes(passed=3, skipped=1)
    run(f"--oci-image={NAME}", "-n2").assert_outcomes(passed=4, skipped=1)


def test_without_a_limit_the_size_is_not_judged(make_image: MakeImage, run: Run) -> None:
    make_image("FROM scratch\nCOPY a etc/\n")

    run(f"--oci-image={NAME}", "-rs").stdout.fnmatch_lines(["*no size is set: --oci-image-max-size=SIZE"])


def test_what_is_beyond_a_limit_fails_with_the_layers(make_image: MakeImage, run: Run) -> None:
    make_image("FROM scratch\nCOPY a etc/\nCOPY a bin/\n")

    result = run(f"--oci-image={NAME}", "--oci-image-max-layers=1", "--oci-image-max-size=1kB")

    result.assert_outcomes(failed=2, passed=3)
    result.stdout.fnmatch_lines(
        [
            f"error[[]E0900[]]: {NAME} has 2 layers, and --oci-image-max-layers allows 1",
            "  layer 2: COPY a bin/",
            f"error[[]E0900[]]: {NAME} has 5,120 bytes, and --oci-image-max-size allows 1,000",
        ]
    )


def test_a_secret_is_told_with_the_layer_that_brought_it(make_image: MakeImage, run: Run) -> None:
    make_image("FROM scratch\nCOPY key etc/\nRUN rm etc/key\n", key=KEY)

    result = run(f"--oci-image={NAME}", "-k", "secrets")

    result.assert_outcomes(failed=1, deselected=4)
    result.stdout.fnmatch_lines(
        ["  private-key: * in etc/key, from layer 1: COPY key etc/; a later layer hides it, and it is still there"]
    )
    run(f"--oci-image={NAME}", "-k", "secrets", "--oci-image-allow-secret=etc/*").assert_outcomes(
        passed=1, deselected=4
    )
    result.stdout.no_fnmatch_line("*MHcCAQEEIBkg4*")


def test_an_image_that_cannot_be_read_is_told_of_once(run: Run) -> None:
    result = run("--oci-image=oci-archive:none.tar", "-rs")

    result.assert_outcomes(failed=1, skipped=4)
    result.stdout.fnmatch_lines(["error[[]E0101[]]: there is no file 'none.tar'", "*none.tar::oci-valid says why"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_tests_get_the_image(make_image: MakeImage, run: Run, pytester: pytest.Pytester) -> None:
    make_image("FROM scratch\nCOPY a etc/\n")
    make_image("FROM scratch\nCOPY b bin/\n", "other.tar", b="22")
    pytester.makepyfile(
        """
        import pytest

        def test_run(image):
            assert image.rootfs["etc/a"].read_text() == "1"
            assert image.layer_of("etc/a").instruction == "COPY a etc/"
            assert (image.size, len(image.layers), image.efficiency) == (2560, 1, 1.0)

        @pytest.mark.oci_image("oci-archive:other.tar", platform="linux/amd64")
        def test_marked(image):
            assert image.rootfs == {"bin/b": "22"}
            assert image.config.architecture == "amd64"
            assert (image.config.env, image.config.user) == ({}, "")
        """
    )

    run(f"--oci-image={NAME}", "test_tests_get_the_image.py", "-k", "test_").assert_outcomes(passed=2, deselected=5)


def test_the_setting_names_images_from_its_own_folder(
    make_image: MakeImage, run: Run, pytester: pytest.Pytester
) -> None:
    make_image("FROM scratch\nCOPY a etc/\n")
    pytester.makeini(f"[pytest]\noci_image = {NAME}\noci_image_max_layers = 3\n")
    (pytester.path / "below").mkdir()
    (pytester.path / "below/test_it.py").write_text("def test_it(image): assert len(image.layers) == 1\n")

    run("below").assert_outcomes(passed=5, skipped=1)


def test_a_test_without_an_image_says_how_to_name_one(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(image): pass\n")

    run().stdout.fnmatch_lines(["*which image? Name it with --oci-image*"])


OTHERS = """
import pytest

def pytest_addoption(parser):
    parser.addoption("{flag}", action="store", default="theirs")

@pytest.fixture
def theirs(request):
    return request.config.getoption("{flag}")
"""


@pytest.mark.parametrize("flag", ["--oci-image", "--oci-image-skip", "--dive-ci"])
def test_an_option_of_the_project_s_own_stays_its_own(
    flag: str, make_image: MakeImage, run: Run, pytester: pytest.Pytester
) -> None:
    make_image("FROM scratch\nCOPY a etc/\n")
    pytester.makeconftest(OTHERS.format(flag=flag))
    pytester.makeini(f"[pytest]\noci_image = {NAME}\n")
    pytester.makepyfile("def test_it(theirs, image): assert theirs == 'mine' and len(image.layers) == 1\n")

    result = run(f"{flag}=mine")

    result.assert_outcomes(passed=5, skipped=1)


DIVE = {
    "all hold": ("lowestEfficiency: 0.1\n  highestWastedBytes: 1MB\n  highestUserWastedPercent: 1", {"passed": 3}),
    "all fail": ("lowestEfficiency: 0.9\n  highestWastedBytes: 1\n  highestUserWastedPercent: 0.1", {"failed": 3}),
    "defaults": ("highestUserWastedPercent: 1", {"passed": 1, "failed": 1, "skipped": 1}),
    "off": ("lowestEfficiency: disabled\n  highestWastedBytes:\n  highestUserWastedPercent: off", {"skipped": 3}),
    "at the threshold": (
        "lowestEfficiency: 0.5\n  highestWastedBytes: 2B\n  highestUserWastedPercent: 1",
        {"passed": 3},
    ),
}


@pytest.mark.parametrize(("rules", "outcomes"), DIVE.values(), ids=DIVE)
def test_dive_s_rules_are_items_of_an_image(
    rules: str, outcomes: dict[str, int], make_image: MakeImage, run: Run, pytester: pytest.Pytester
) -> None:
    # A byte, and another in its place: efficiency 0.5, 2 bytes wasted, of the 2 above the first layer.
    make_image("FROM scratch\nCOPY b .\nCOPY a etc/\nCOPY --exact c etc/a\n", b="", c="2")
    (pytester.path / ".dive-ci").write_text(f"rules:\n  {rules}\n")

    result = run(f"--oci-image={NAME}", "--dive-ci=.dive-ci", "-k", "lowest or highest")

    result.assert_outcomes(**outcomes, deselected=5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("rules:\n  lowestEficiency: 1\n", "dive has no rule 'loweste*'"),
        ("rules:\n  lowestEfficiency: 2\n", "lowestEfficiency is '2', which is not a number from 0 to 1"),
        ("rules:\n  highestWastedBytes: lots\n", "highestWastedBytes is 'lots', which is not a size*"),
        ("- 1\n", "*dive's rules stand below 'rules:'"),
        ("a: [\n", "*is no YAML"),
    ],
)
def test_a_wrong_file_of_rules_is_a_usage_error(
    content: str, message: str, run: Run, pytester: pytest.Pytester, tmp_path: Path
) -> None:
    (pytester.path / ".dive-ci").write_text(content)

    result = run("--oci-image=oci-archive:none.tar", "--dive-ci=.dive-ci")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--dive-ci: *{message}"])
