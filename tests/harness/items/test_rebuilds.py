"""`pytest --image-build='COMMAND {out}'`."""

import sys

import pytest

from tests.harness.conftest import Run

BUILDER = """
import hashlib, io, json, os, sys, tarfile
stream = io.BytesIO()
with tarfile.open(fileobj=stream, mode="w") as tar:
    for name in sorted(os.listdir("files")):
        info = tar.gettarinfo(f"files/{name}", name)
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        if sys.argv[2] != "mtime":
            info.mtime = 0
        tar.addfile(info, open(f"files/{name}", "rb"))
layer = stream.getvalue()
diff_id = "sha256:" + hashlib.sha256(layer).hexdigest()
config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}})
manifest = json.dumps([{"Config": "c", "RepoTags": None, "Layers": ["l"]}])
with tarfile.open(sys.argv[1], "w") as tar:
    for name, data in (("l", layer), ("c", config.encode()), ("manifest.json", manifest.encode())):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
"""


@pytest.fixture
def builder(pytester: pytest.Pytester) -> str:
    """A context with a builder; what it makes with the word mtime is another image each time."""
    (pytester.path / "context/files").mkdir(parents=True)
    for name in "ab":
        (pytester.path / "context/files" / name).write_text(name)
        (pytester.path / "context/files" / name).chmod(0o644)
    (pytester.path / "context/build.py").write_text(BUILDER)
    return f"{sys.executable} build.py {{out}}"


def test_one_builder_passes_and_one_fails_with_the_place(builder: str, run: Run) -> None:
    options = [f"--image-build={builder} {word}" for word in ("good", "mtime")]

    result = run(*options, "--image-build-context=context", "-n2", "-v")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines_random(
        [
            "*PASSED*image-build-1::reproducible*",
            "*FAILED*image-build-2::reproducible*",
            f"error[[]E0900[]]: two builds gave two images: {builder} mtime",
            "  layer 1: a differs in its mtime",
            "  bytes *-* of the layer's tar",
            "  in this layer differ: 2 x mtime",
            f"{builder} good: built twice, in * s and * s",
            "  with another time, mtime, timezone, umask, path*",
        ]
    )


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("echo said; exit 3 # {out}", ["*the command ended with status 3: *", "  said"]),
        ("echo x > {out}", ["*it made a file that is no archive: *"]),
    ],
)
def test_a_command_that_makes_no_image_fails(
    pytester: pytest.Pytester, run: Run, command: str, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.rebuild.builds.APART", 0)
    pytester.makefile(".txt", a="x")

    result = run(f"--image-build={command}")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(lines)


def test_a_command_that_does_not_say_where_is_wrong_usage(run: Run) -> None:
    result = run("--image-build=make image")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--image-build=make image: it does not say where the image goes: write {out} *"])


def test_a_project_that_has_such_an_option_keeps_it(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest("def pytest_addoption(parser):\n    parser.addoption('--image-build')\n")
    pytester.makepyfile("def test_own(request):\n    assert request.config.getoption('--image-build') == 'x'\n")

    run("--image-build=x").assert_outcomes(passed=1)
