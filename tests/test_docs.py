r"""The code blocks of the documentation run.

They run in a folder that holds a copy of ``fixtures/``, on a store that holds ``rootfs:v1``.
The ``sh`` blocks of a page run in order, as one test. Each ``python`` block is a test of its own.
Blocks ``sh setup`` run first in every test of their page.
``$REGISTRY`` and ``$PRIVATE_REGISTRY`` are registries without TLS; anna's password for the second is "secret".

- ``sh``: a script for ``sh -eu``, in a process of its own: folder changes don't outlive the block. Lines ``# -> TEXT``
  say what it prints: each is a line of its output, in this order; ``…`` stands for anything, and how many blanks there
  are makes no difference. A block that makes a venv sets a machine up from the network: people and CI run it, not
  this test.
- ``python``: a whole test file, which passes under pytest, in this process. ``python conftest.py`` is written to that
  name, for the ``sh`` blocks after it.

Other blocks (``kubefile``, ``toml``, ``text``) are for reading.
"""

import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
from _pytest.mark.structures import ParameterSet

import harness
import kubeimage
from harness.fakes.registry import FakeRegistry
from kubeimage.kubefile import CODES, parse
from kubeimage.settings import parse_settings
from tests.e2e.program import Program, copy_projects
from tests.peers import started_by
from tests.plugins import ALONE

ROOT = Path(__file__).parent.parent
# The pages of the sample projects in other dialects than sealer's.
SAMPLES = [ROOT / "fixtures" / name / "README.md" for name in ("sealer-0.9", "sealos", "stages")]
OWN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "RELEASING.md"]
PAGES = sorted([*OWN, *SAMPLES, *(ROOT / "docs").rglob("*.md")])
_BLOCK = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:|#)(?P<target>[^)#]+)")
_EXPECTED = re.compile(r"^.*# -> (?P<line>.*)$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block. Shape: ``info`` is what follows the backticks; ``line`` is where the text starts."""

    info: str
    text: str
    line: int

    @property
    def sets_up(self) -> bool:
        """Whether the block sets up a machine."""
        return self.info == "sh" and self.text.startswith("python3 -m venv ")

    @property
    def runs(self) -> bool:
        """Whether the block runs here."""
        return self.info in ("sh", "sh setup", "python", "python conftest.py") and not self.sets_up


def blocks(page: Path) -> Iterator[Block]:
    """Find the fenced blocks of a page."""
    text = page.read_text()
    for found in _BLOCK.finditer(text):
        yield Block(found["info"].strip(), found["text"], text.count("\n", 0, found.start()) + 2)


def chains() -> Iterator[ParameterSet]:
    """Return the blocks of each test, under the page's name and the line of the first that is its own."""
    for page in PAGES:
        running = [block for block in blocks(page) if block.runs]
        first = [block for block in running if block.info == "sh setup"]
        alone = [block for block in running if block.info == "python"]
        in_order = [block for block in running if block not in first and block not in alone]
        for own in (in_order, *([block] for block in alone)):
            if own:
                programs = started_by("\n".join(block.text for block in (*first, *own) if block.info.startswith("sh")))
                marks = [pytest.mark.needs(*programs)] if programs else []
                yield pytest.param([*first, *own], marks=marks, id=f"{name_of(page)}:{own[0].line}")


def name_of(page: Path) -> str:
    """Return a page's path as people know it."""
    return str(page.relative_to(ROOT))


class Workplace(NamedTuple):
    """Where a page's blocks run. Shape: ``registries`` are variables and the hosts that they name."""

    folder: Path
    registries: dict[str, str]


@pytest.fixture(scope="module")
def _imported() -> None:
    """What test files import: pytester takes away again whatever was not there before its fixture."""
    for package in (kubeimage, harness):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(".__main__"):
                import_module(module.name)


@pytest.fixture
def registries() -> Iterator[dict[str, str]]:
    """Run the registries that pages speak of."""
    with FakeRegistry() as open_to_all, FakeRegistry(users={"anna": "secret"}) as private:
        yield {"REGISTRY": open_to_all.host, "PRIVATE_REGISTRY": private.host}


@pytest.fixture(scope="module")
def _store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store that each page begins with."""
    folder = tmp_path_factory.mktemp("begun")
    program = Program(folder / "store", folder)
    program.build("rootfs:v1", copy_projects(folder / "fixtures") / "rootfs")
    return program.root


@pytest.fixture
def workplace(tmp_path: Path, registries: dict[str, str], _store: Path) -> Workplace:
    """Return a folder with the example projects, a store, and the two programs on a PATH of their own."""
    copy_projects(tmp_path / "work/fixtures")
    shutil.copytree(_store, tmp_path / "store", symlinks=True)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("kubeimage", "pytest"):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name} "$@"\n')
        (programs / name).chmod(0o755)
    return Workplace(tmp_path / "work", registries)


def environment_of(workplace: Workplace) -> dict[str, str]:
    """Return the variables that blocks see, with nothing of this process's settings."""
    return {
        "PATH": f"{workplace.folder.parent}/bin:{os.environ['PATH']}",
        "HOME": str(workplace.folder.parent),
        "KUBEIMAGE_ROOT": str(workplace.folder.parent / "store"),
        **workplace.registries,
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
        # Other runs' leftovers are not removed by these.
        "PYTEST_DEBUG_TEMPROOT": str(workplace.folder.parent),
        **ALONE,
    }


def run(command: list[str], workplace: Workplace) -> subprocess.CompletedProcess[str]:
    """Run a command in the folder."""
    return subprocess.run(
        command,
        cwd=workplace.folder,
        env=environment_of(workplace),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


def run_script(block: Block, workplace: Workplace) -> str:
    """Run a block for the shell, check that it succeeds, and return what it printed."""
    ended = run(["sh", "-eu", "-c", block.text], workplace)
    assert ended.returncode == 0, f"the block at line {block.line} ended with {ended.returncode}:\n{ended.stdout}"
    return ended.stdout


def run_test_file(block: Block, workplace: Workplace, pytester: pytest.Pytester) -> None:
    """Run a block as the test file that it is, and check that its tests pass."""
    path = workplace.folder / f"test_line_{block.line}.py"
    path.write_text(block.text)
    environment = environment_of(workplace)
    with pytest.MonkeyPatch.context() as patch:
        for name in tuple(os.environ):
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        # Of other plugins none has a say; hypothesis does without its own.
        patch.delenv("PYTEST_PLUGINS")
        patch.chdir(workplace.folder)
        # The checks of a Kubefile that a pytest.ini names are for the `sh` blocks.
        ended = pytester.runpytest_inprocess(
            "-q", "-p", "harness.plugin", "-p", "no:cacheprovider", "--deselect=fixtures", path.name
        )
    assert ended.ret == 0, f"the block at line {block.line} ended with {ended.ret}"


def missing_line(expected: list[str], output: str) -> str | None:
    """Return the first expected line that does not follow the ones before it; None if all do."""
    lines = map(single_blanks, output.splitlines())
    for wanted in expected:
        pattern = re.compile(".*".join(map(re.escape, single_blanks(wanted).split("…"))))
        if not any(pattern.fullmatch(line) for line in lines):
            return wanted
    return None


def single_blanks(line: str) -> str:
    """Return a line with one blank wherever there are blanks."""
    return " ".join(line.split())


@pytest.mark.usefixtures("_imported")
@pytest.mark.parametrize("chain", list(chains()))
def test_the_code_of_a_page_runs(chain: list[Block], workplace: Workplace, pytester: pytest.Pytester) -> None:
    for block in chain:
        if block.info == "python conftest.py":
            (workplace.folder / "conftest.py").write_text(block.text)
        elif block.info == "python":
            run_test_file(block, workplace, pytester)
        else:
            output = run_script(block, workplace)
            expected = [found["line"] for found in _EXPECTED.finditer(block.text)]
            assert missing_line(expected, output) is None, f"the block at line {block.line} printed:\n{output}"


@pytest.mark.parametrize(
    ("expected", "missing"),
    [
        (["b"], None),
        (["a", "c"], None),
        (["c", "a"], "a"),
        (["a", "a"], "a"),
        (["d…"], "d…"),
        (["…nd", "c"], None),
    ],
    ids=["one", "in order", "out of order", "more than there are", "not there", "dots"],
)
def test_expected_lines_are_found_in_order(expected: list[str], missing: str | None) -> None:
    assert missing_line(expected, "a\nb and\nb\nb and\nc\n") == missing


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    targets = {found["target"] for found in _LINK.finditer(page.read_text())}

    assert [target for target in sorted(targets) if not (page.parent / target).exists()] == []


def test_kubefiles_in_the_docs_are_valid() -> None:
    shown = [(page, block) for page in PAGES for block in blocks(page) if block.info == "kubefile"]

    assert len(shown) > 0
    for page, block in shown:
        parse(block.text, file=f"{name_of(page)}:{block.line}")


def test_the_configuration_in_the_docs_can_be_followed() -> None:
    page = ROOT / "docs/registries.md"
    shown = [block for block in blocks(page) if block.info == "toml"]

    assert len(shown) > 0
    for block in shown:
        parse_settings(block.text.encode(), file=f"{name_of(page)}:{block.line}")


def test_the_reference_lists_every_mistake_and_a_section_explains_each_advice() -> None:
    mistakes = re.findall(r"^\| (E\d{4}) \| (.*) \|$", (ROOT / "docs/kubefile.md").read_text(), re.MULTILINE)
    sections = re.findall(r"^### (W\d\d): (.*)\n\n(.+)", (ROOT / "docs/lint.md").read_text(), re.MULTILINE)

    assert dict(mistakes) | {code: title for code, title, _ in sections} == CODES
    assert [code for code, _, text in sections if len(text) < 60] == []


def test_the_two_commands_are_single_chains_and_ci_runs_the_second() -> None:
    commands = [block.text.rstrip("\n") for block in blocks(ROOT / "README.md") if block.sets_up]

    assert [command.count("\n") for command in commands] == [0, 0]
    assert commands[1] in (ROOT / ".ci/run").read_text().splitlines()
