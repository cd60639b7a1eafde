"""One set of author's tests, on every backend, with the same digests."""

import re
from pathlib import Path

import pytest

from harness.trees import Content, File, HardLink, Link
from kubeimage.api.backends import open_backends
from tests.harness.conftest import Run, WriteProject

PROJECT: dict[str, Content] = {
    "Kubefile": """\
FROM base:1
ARG VERSION=2
COPY bin/* bin
COPY --exact conf etc/app/app.conf
COPY link .
RUN mkdir -p var/lib && echo "$VERSION" > var/lib/version && rm etc/old
RUN true
CMD run --version ${VERSION}
CMD check
""",
    "bin/tool": File("#!/bin/sh\n", 0o755),
    "bin/same": HardLink("bin/tool"),
    "conf": File("a=1\n", 0o600),
    "link": Link("etc/app"),
    "base/etc/old": "",
    "base/etc/kept": "",
}

AUTHORS_TESTS = """
import pytest

def test_every_tool_can_be_run(built_image):
    assert all(built_image.rootfs[path].mode & 0o111 for path in built_image.rootfs.glob("bin/*"))

def test_the_tree(built_image):
    assert built_image.rootfs == {
        "bin/same": "#!/bin/sh\\n", "bin/tool": "#!/bin/sh\\n", "etc/app/app.conf": "a=1\\n", "etc/kept": "",
        "link": built_image.rootfs["link"], "var/lib/version": "2\\n",
    }

def test_secrets_are_for_their_owner(built_image):
    assert built_image.rootfs["link/app.conf"].mode == 0o600

def test_nothing_is_for_all_to_write(built_image):
    assert not [path for path, entry in built_image.rootfs.items() if entry.mode & 0o002 and not entry.is_symlink]

def test_what_was_removed_is_gone(built_image):
    assert "etc/old" not in built_image.rootfs
    assert [one.path for one in built_image.whiteouts] == ["etc/old"]

def test_the_version_is_from_the_run(built_image):
    assert built_image.layer_of("var/lib/version").kind == "RUN"

def test_the_commands_come_in_order(built_image):
    assert built_image.cmd == ["run --version ${VERSION}", "check"]

def test_a_run_that_changes_nothing_makes_no_layer(built_image):
    assert [step.layer is not None for step in built_image.steps][-3:] == [False, False, False]

def test_the_image_is_small_and_efficient(built_image):
    assert built_image.size < 20_000 and built_image.efficiency > 0.9 and built_image.wasted == 0

def test_a_rebuild_with_another_version_misses_the_run_alone(kube_build):
    base = {"etc/old": ""}
    first = kube_build("Kubefile", base=base)
    again = kube_build("Kubefile", base=base, build_args={"VERSION": "3"}, after=first)
    assert (again.cache_hits, again.why_missed(5)) == (3, "arg VERSION: 2 -> 3")

@pytest.fixture(scope="session", autouse=True)
def digests(built_image):
    print("digests:", built_image.id, *(layer.diff_id for layer in built_image.layers))
"""
LAYERS = 5


def overlay_works(folder: Path) -> bool:
    with open_backends(str(folder), mount="auto") as backends, backends.mounter.mount([]):
        return backends.mounter.name == "overlay"


def test_an_authors_ten_tests_pass_on_every_backend_with_the_same_digests(
    project: WriteProject, run: Run, tmp_path: Path
) -> None:
    project({**PROJECT, "test_it.py": AUTHORS_TESTS})
    real = ["copy", "overlay"] if overlay_works(tmp_path / "probe") else ["copy"]
    found = {}

    for backend in ("memory", *real):
        result = run("--kubefile=Kubefile", "--kubefile-base=base:1=base", "test_it.py", "-s", backend=backend)
        result.assert_outcomes(passed=9 + 10)
        (found[backend],) = re.findall(r"digests: (.*)", result.stdout.str())

    assert len(found["memory"].split()) == 1 + LAYERS
    assert found == dict.fromkeys(found, found["memory"])
    if "overlay" not in real:
        pytest.skip("memory and copy agree; no overlay can be mounted here")


def test_a_conftest_can_give_other_backends(project: WriteProject, run: Run) -> None:
    project(
        {
            "Kubefile": "FROM scratch\nRUN make install\n",
            "conftest.py": """
import dataclasses
from harness.images.backends import memory_backends
from harness.fakes.runner import FakeRunner

def pytest_kubefile_backends(config, path):
    runner = FakeRunner()
    runner.on("make install", effect=lambda tree: tree.write("made", "x"))
    return dataclasses.replace(memory_backends(), runner=runner)
""",
            "test_it.py": "def test_it(built_image): assert built_image.rootfs == {'made': 'x'}",
        }
    )

    run("--kubefile=Kubefile", "test_it.py", backend=None).assert_outcomes(passed=10)


def test_a_conftest_gives_backends_for_what_lies_below_it(project: WriteProject, run: Run) -> None:
    project(
        {
            "app/Kubefile": "FROM scratch\n",
            "lib/Kubefile": "FROM scratch\n",
            "app/conftest.py": "def pytest_kubefile_backends(config, path): raise RuntimeError(path)",
        }
    )

    result = run("--kubefile=app", "--kubefile=lib", "-k", "build")

    result.assert_outcomes(passed=1, failed=1, deselected=16)
    result.stdout.fnmatch_lines(["E *RuntimeError: */app/Kubefile"])


def test_kube_build_takes_a_scripted_runner_and_recorded_mounts(project: WriteProject, run: Run) -> None:
    project(
        {
            "test_it.py": """
from kubeimage.errors import CommandError
import pytest

def test_it(kube_build, fake_runner):
    fake_runner.on("make install", effect=lambda tree: tree.write("made", "x"), output="done")
    fake_runner.on("make check", status=3, output="it is broken")
    image = kube_build("FROM scratch\\nRUN make install", runner=fake_runner)
    assert image.rootfs == {"made": "x"}
    with pytest.raises(CommandError, match="exit status 3") as raised:
        kube_build("FROM scratch\\nRUN make check", runner=fake_runner)
    assert raised.value.output == "it is broken"
    assert [command.script for command in fake_runner.commands] == ["make install", "make check"]
"""
        }
    )

    run("-p", "no:cacheprovider").assert_outcomes(passed=1)
