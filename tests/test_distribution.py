"""What goes to an index: an sdist and a wheel that any installer takes, and a page without dead links."""

import email
import importlib.util
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REQUIRE_ALL

ROOT = Path(__file__).parent.parent
TOOLS = ("build", "hatch_fancy_pypi_readme", "hatchling", "twine")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both into a folder, with the tools that are installed."""
    if missing := [name for name in TOOLS if importlib.util.find_spec(name) is None]:
        (pytest.fail if REQUIRE_ALL else pytest.skip)(f"needs the packages {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "-q", "-o", str(folder), str(ROOT)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def sdist(built: Path) -> dict[str, tarfile.TarInfo]:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as tar:
        return {member.name.partition("/")[2]: member for member in tar}


def test_an_index_takes_both(built: Path) -> None:
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built.iterdir())]

    assert subprocess.run(command, check=False, capture_output=True, text=True).returncode == 0


def test_the_wheel_has_all_that_git_has_of_the_packages(wheel: zipfile.ZipFile) -> None:
    ours = {str(path.relative_to(ROOT)) for room in ("kubeimage", "harness") for path in (ROOT / room).rglob("*")}

    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert packed == {name for name in ours if (ROOT / name).is_file() and "__pycache__" not in name}
    assert {"kubeimage/py.typed", "harness/py.typed"} <= packed


def test_no_link_of_the_page_is_dead(wheel: zipfile.ZipFile, sdist: dict[str, tarfile.TarInfo]) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    page = email.message_from_bytes(wheel.read(name)).get_payload()
    assert isinstance(page, str)

    assert re.findall(r"\]\((?!https://)[^)]*\)", page) == []
    named = set(re.findall(r"`((?:docs/[\w./-]+|[A-Z]+\.md))`", page))
    assert named >= {"docs/kubefile.md", "docs/harness.md"}
    assert [
        name for name in sorted(named) if name not in sdist and not any(one.startswith(name) for one in sdist)
    ] == []


def test_nothing_in_the_sdist_leads_out_of_it(sdist: dict[str, tarfile.TarInfo]) -> None:
    assert [name for name, member in sdist.items() if not (member.isfile() or member.isdir())] == []
    assert [name for name in sdist if name.startswith("/") or ".." in name.split("/")] == []
    assert "kubeimage/__main__.py" in sdist


def test_every_version_has_its_part_of_the_changelog() -> None:
    from kubeimage import __version__

    versions = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert versions[0] == "Unreleased"
    assert versions[1] == __version__
    assert len({*versions}) == len(versions)


def test_a_part_of_the_changelog_says_each_kind_once_and_in_order() -> None:
    kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    for part in re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]:
        found = re.findall(r"^### (.*)$", part, re.MULTILINE)
        assert found == [kind for kind in kinds if kind in found], part[:40]
