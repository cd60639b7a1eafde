"""What a run that has nothing to do with Kubefiles pays for the plugin: a few small modules."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.trees import write_tree

ROOT = Path(__file__).parents[2]
OWN = {
    *("databases", "databases.place", "fixtures", "items", "items.hookspecs", "plugin", "run"),
    *(
        "asking",
        *(
            f"asking.{name}"
            for name in (
                "arguments",
                "databases",
                "imageoptions",
                "images",
                "kubefiles",
                "options",
                "settings",
                "subjects",
            )
        ),
    ),
}

ENTRY = {"kubeimage", "kubeimage._version", "kubeimage.entries"}

IMPORT = """
import sys, pytest
before = set(sys.modules)
import harness.plugin
print(*sorted(set(sys.modules) - before))
"""
RUN = """
import sys, pytest
pytest.main(["-q", "-p", "harness.plugin", "-p", "no:cacheprovider", *sys.argv[1:]])
print("loaded:", *sorted(name for name in sys.modules if name.partition(".")[0] in {"harness", "kubeimage"}))
"""


def modules(script: str, folder: Path, *arguments: str) -> set[str]:
    environment = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": ""}
    ended = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ended.stdout.splitlines()[-1].removeprefix("loaded: ").split())


def test_the_plugin_imports_its_own_small_modules_and_the_standard_library(tmp_path: Path) -> None:
    loaded = modules(IMPORT, tmp_path)
    outside = {name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names}

    assert outside == {"harness", *(f"harness.{name}" for name in OWN)}
    assert loaded.isdisjoint({"json", "hashlib", "importlib.metadata", "difflib", "subprocess"})


@pytest.mark.parametrize("arguments", [(), ("--collect-only",), ("--help",), ("--fixtures",)], ids=" ".join)
def test_a_run_without_a_kubefile_imports_no_more(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(tmp_path): assert tmp_path != 3\n")

    loaded = modules(RUN, tmp_path, *arguments)

    # An entry point takes its modules out again.
    assert loaded <= {*ENTRY, "harness", *(f"harness.{name}" for name in OWN)}


WITHOUT = """
import sys, pytest
missing = ("hypothesis", "pyfakefs", "filelock", "jsonschema", "xdist", "typing_extensions")
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
sys.exit(pytest.main(["-q", "-p", "harness.plugin", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


# oci-valid is skipped, with its reason: it needs jsonschema.
def test_checks_and_fixtures_need_pytest_alone_and_kube_fs_says_what_it_needs(tmp_path: Path) -> None:
    tests = "def test_build(kube_build): kube_build('FROM scratch')\ndef test_files(kube_fs): pass\n"
    write_tree(str(tmp_path), {"Kubefile": "FROM scratch\nCOPY Kubefile .\n", "test_it.py": tests})
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT, "--kubefile=.", "--kubefile-backend=copy", "."],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "9 passed, 1 skipped, 1 error" in ended.stdout, ended.stdout + ended.stderr
    assert "No module named" not in ended.stdout
    assert "kube_fs needs pyfakefs: pip install 'kubeimage[harness]'" in ended.stdout
