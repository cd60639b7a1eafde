"""What may import what, and which names are public.

The levels stand in docs/architecture.md. Imports inside functions and under ``TYPE_CHECKING`` count as well.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent

# A room imports rooms on lower levels, and itself. Rooms on one level don't know each other.
LEVELS: tuple[frozenset[str], ...] = tuple(
    frozenset(f"kubeimage.{name}" for name in names.split())
    for names in (
        "_version entries errors patterns toml values",
        "report image disk namespaces framing",
        "layer lock pages settings signing",
        "protocols",
        "kubefile context cache mount run store archive registry discovery",
        "builder packing sources",
        "lint rehearsal remote",
        "api",
        "cli",
        "__main__",
    )
)
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
FRONT = "kubeimage"
PACKAGES = ("kubeimage", "harness")

# It forks to write a layer by all cores, and nothing else of its room starts a process.
WRITES_LAYERS = "kubeimage.layer.workers"

# Third-party and standard modules that only some rooms may know.
RESERVED = {
    "click": {"kubeimage.cli"},
    "jinja2": {"kubeimage.pages"},
    "rich": {"kubeimage.cli"},
    # discovery/helmprogram.py runs helm, and nothing else there runs any.
    # sources/daemon.py runs docker or podman, and nothing else there runs any.
    # A credential helper is a program by its definition; registry/helper.py runs it, and nothing else there runs any.
    "subprocess": {
        "kubeimage.run",
        "kubeimage.mount",
        "kubeimage.registry",
        "kubeimage.discovery",
        "kubeimage.sources",
    },
    "harness": set(),
    "pytest": set(),
    "_pytest": set(),
    "hypothesis": set(),
    "pyfakefs": set(),
}


class Import(NamedTuple):
    """``importer`` names ``imported`` in line ``line`` of its file."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


@cache
def modules(package: str) -> dict[str, Path]:
    """Return every module of ``package`` by its dotted name."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(package: str) -> tuple[Import, ...]:
    """Return every import statement of ``package``, wherever it stands."""
    return tuple(found for name, path in modules(package).items() for found in imports_of(name, path.read_text()))


def imports_of(name: str, source: str) -> Iterator[Import]:
    """Find the imports in ``source``; ``from a import b`` names ``a.b`` where that is a module."""
    known = {module for package in PACKAGES for module in modules(package)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(name, alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: imports are absolute"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield Import(name, whole if whole in known else node.module, node.lineno)


def room(module: str) -> str:
    """Return the room of a module of kubeimage: its first two names."""
    return ".".join(module.split(".")[:2])


def is_allowed(found: Import) -> bool:
    """Whether a room may import another; the front door imports all below the command line, and nobody imports it."""
    importer, imported = room(found.importer), room(found.imported)
    if importer == imported:
        return True
    if imported == FRONT:
        return False
    if importer == FRONT:
        return LEVEL_OF[imported] < LEVEL_OF["kubeimage.cli"]
    return LEVEL_OF.get(imported, len(LEVELS)) < LEVEL_OF.get(importer, -1)


def test_every_module_of_kubeimage_has_a_level() -> None:
    homeless = {room(name) for name in modules("kubeimage")} - LEVEL_OF.keys() - {FRONT}

    assert homeless == set()


def test_a_room_imports_lower_levels_only() -> None:
    within = [found for found in imports("kubeimage") if found.imported.split(".")[0] == "kubeimage"]

    assert [str(found) for found in within if not is_allowed(found)] == []


def test_modules_of_third_parties_stay_in_their_rooms() -> None:
    reserved = [found for found in imports("kubeimage") if found.imported.split(".")[0] in RESERVED]

    trespassers = [found for found in reserved if room(found.importer) not in RESERVED[found.imported.split(".")[0]]]

    assert [str(found) for found in trespassers] == []


def test_of_the_registry_s_modules_only_that_of_the_helpers_runs_programs() -> None:
    runners = {found.importer for found in imports("kubeimage") if found.imported.split(".")[0] == "subprocess"}

    assert {name for name in runners if room(name) == "kubeimage.registry"} == {"kubeimage.registry.helper"}


def test_processes_are_started_in_run_and_mount_only() -> None:
    starters = ("os.system", "os.popen", "os.posix_spawn", "os.posix_spawnp", "os.fork", "pty.spawn")
    calls = [
        f"{name}:{node.lineno} calls {ast.unparse(node.func)}"
        for name, path in modules("kubeimage").items()
        if room(name) not in RESERVED["subprocess"] and name != WRITES_LAYERS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith((*starters, "os.exec", "os.spawn"))
    ]

    assert calls == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    graph: dict[str, set[str]] = {name: set() for name in modules(package)}
    for found in imports(package):
        # The front door names everything, lazily; a package importing its own modules is how packages are made.
        if found.imported in graph and found.importer not in (found.imported, FRONT):
            graph[found.importer].add(found.imported)

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize(
    ("importer", "line", "allowed"),
    [
        ("kubeimage.store.layers", "from kubeimage.layer import writer", True),
        ("kubeimage.store.layers", "from kubeimage.store.layout import Layout", True),
        ("kubeimage.store.layers", "def f():\n    from kubeimage.mount import overlay", False),
        ("kubeimage.store.layers", "if TYPE_CHECKING:\n    import kubeimage.builder.plan", False),
        ("kubeimage.image.config", "from kubeimage.layer.entry import Entry", False),
        ("kubeimage.builder.steps", "from kubeimage import build", False),
        ("kubeimage", "from kubeimage.api.building import build_image", True),
        ("kubeimage", "from kubeimage.cli import main", False),
    ],
    ids=[
        "lower",
        "own room",
        "neighbour",
        "higher",
        "one level up",
        "front door",
        "front names api",
        "front names cli",
    ],
)
def test_the_rule_tells_good_imports_from_bad(importer: str, line: str, allowed: bool) -> None:
    (found,) = imports_of(importer, line)

    assert is_allowed(found) is allowed


def test_public_names_are_sorted_and_all_there() -> None:
    import kubeimage

    public = kubeimage.__all__

    assert public == sorted(public, key=lambda name: (not name.isupper(), name))
    assert [name for name in public if not hasattr(kubeimage, name)] == []


def test_every_error_is_public() -> None:
    import kubeimage
    from kubeimage import errors

    defined = {name for name in vars(errors) if name.endswith("Error")}

    assert defined <= set(kubeimage.__all__)


def test_the_type_checker_sees_the_public_names() -> None:
    source = (ROOT / "kubeimage/__init__.py").read_text()
    named = {
        alias.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    import kubeimage

    assert set(kubeimage.__all__) <= named


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    import kubeimage

    with pytest.raises(AttributeError, match="has no attribute 'biuld'"):
        kubeimage.biuld  # noqa: B018


def defines_all(path: Path) -> bool:
    """Whether the module at ``path`` says which of its names are public."""
    return re.search("^__all__", path.read_text(), re.MULTILINE) is not None


@pytest.mark.parametrize(
    "name", [name for package in PACKAGES for name, path in modules(package).items() if defines_all(path)]
)
def test_names_in_all_are_there(name: str) -> None:
    module = import_module(name)

    assert [public for public in module.__all__ if not hasattr(module, public)] == []


@pytest.mark.parametrize(
    ("start", "unwanted"),
    [
        ("import kubeimage", {"kubeimage.api.building", "click", "rich", "yaml", "pathspec"}),
        (
            "import kubeimage.api.building",
            {"click", "rich", "yaml", "pytest", "hypothesis", "zstandard", "isal", "gzip", "tarfile"},
        ),
        ("import kubeimage.cli.build", {"rich", "yaml", "zstandard", "http.client", "ssl", "tomllib"}),
        (
            "import kubeimage.cli.registries",
            {"rich", "yaml", "http.client", "kubeimage.api.building", "kubeimage.builder"},
        ),
        ("import harness.fuzz.command", {"kubeimage", "hypothesis", "rich", "atheris"}),
        ("import harness.plugin", {"hypothesis", "pyfakefs", "rich", "yaml", "kubeimage.api.building"}),
    ],
    ids=["kubeimage", "kubeimage.api.building", "build", "push and pull", "harness.fuzz", "harness.plugin"],
)
def test_importing_loads_nothing_heavy(start: str, unwanted: set[str]) -> None:
    script = f"{start}; import sys; print('\\n'.join(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT).stdout

    assert unwanted & set(loaded.splitlines()) == set()
