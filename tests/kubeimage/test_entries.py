"""A project's own ``harness`` goes on to be what its imports mean, whatever else is installed."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from harness.trees import Content, write_tree

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.CompletedProcess[str]]

WAYS = {
    "python -m pytest": (("-m", "pytest", "--import-mode=importlib"), {}),
    "beside a test": (("-P", "-m", "pytest"), {}),
    "the setting pythonpath": (
        ("-P", "-m", "pytest", "--import-mode=importlib"),
        {"pytest.ini": "[pytest]\npythonpath = .\n"},
    ),
}
KINDS: dict[str, dict[str, Content]] = {
    "package": {"harness/__init__.py": "", "harness/helpers.py": "x = 1\n", "harness/plugin.py": "1 / 0\n"},
    "folder": {"harness/helpers.py": "x = 1\n"},
}
# Plugins that this test is not about; each start would import them all.
OTHERS = tuple(f"-pno:{one.name}" for one in entry_points(group="pytest11") if one.name != "harness.plugin")
USES_ITS_OWN = "from harness.helpers import x\ndef test_a(): assert x == 1\n"
USES_OURS = "from harness.trees import File\ndef test_a(kube_context): assert kube_context({'a': File('1')}).exists()\n"
ONCE = """
import sys
files = [m.__file__ for n, m in sys.modules.items() if n.startswith("harness") and getattr(m, "__file__", None)]
assert len(files) == len(set(files)) > 20, sorted(files)
"""


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Run pytest in a project beside an installation that has what pyproject.toml says."""
    site = tmp_path / "site"
    entry_points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in names.items())
        for group, names in entry_points.items()
    ]
    write_tree(
        str(site),
        {
            "kubeimage-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: kubeimage\nVersion: 1\n",
            "kubeimage-1.dist-info/entry_points.txt": "\n".join(groups),
        },
    )
    for package in ("kubeimage", "harness"):
        (site / package).symlink_to(ROOT / package)

    def run(arguments: tuple[str, ...], tree: dict[str, Content]) -> subprocess.CompletedProcess[str]:
        write_tree(str(tmp_path / "project"), tree)
        return subprocess.run(
            [sys.executable, *arguments, *(OTHERS if "pytest" in arguments else ())],
            cwd=tmp_path / "project",
            env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_project_s_own_harness_is_what_it_imports(start: Start, way: str, kind: str) -> None:
    arguments, settings = WAYS[way]

    ended = start((*arguments, "-q"), {**settings, **KINDS[kind], "test_a.py": USES_ITS_OWN})

    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout


@pytest.mark.parametrize(
    ("arguments", "test"),
    [(("--kubefile=Kubefile",), ""), ((), "def test_a(kube_build): pass\n")],
    ids=["option", "fixture"],
)
def test_where_it_is_in_the_way_of_ours_that_is_said(start: Start, arguments: tuple[str, ...], test: str) -> None:
    tree = {**KINDS["package"], "Kubefile": "FROM scratch\n", "test_a.py": test}

    ended = start(("-m", "pytest", "-q", *arguments), tree)

    assert ended.returncode in {1, 4}
    assert "another package 'harness', at " in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("named", [{}, {"conftest.py": 'pytest_plugins = ["harness.plugin"]\n'}], ids=["", "conftest"])
def test_each_of_our_modules_is_imported_once(start: Start, named: dict[str, Content]) -> None:
    tree = {
        **named,
        "Kubefile": "FROM scratch\nCOPY test_a.py .\n",
        "test_a.py": USES_OURS + f"def test_b():\n    exec({ONCE!r})\n",
    }

    ended = start(("-m", "pytest", "-q", "--kubefile=Kubefile", "--kubefile-backend=memory", "."), tree)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "11 passed" in ended.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_hypothesis_knows_the_types_beside_another_harness(start: Start, kind: str) -> None:
    script = (
        "from harness.helpers import x; from hypothesis import strategies as st; from kubeimage import Kubefile\n"
        "print(st.from_type(Kubefile).example())"
    )

    ended = start(("-W", "ignore", "-c", script), KINDS[kind])

    if kind == "package":
        assert "ImportError: another package 'harness'" in ended.stderr
    else:
        assert ended.stdout.startswith("Kubefile("), ended.stderr
