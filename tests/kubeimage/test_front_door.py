"""The library's front door: each operation has one shape, and all that a caller meets has a public name."""

import ast
import builtins
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import kubeimage
from harness.images.backends import memory_backends
from kubeimage import Digest, Image, Platform, Reference, UsageError, open_backends, parse

ROOT = Path(kubeimage.__file__).parent
PUBLIC = frozenset(kubeimage.__all__)

# What cli imports beside public names: how it is written itself, not what it does.
OUTPUT_HELPERS = {
    "kubeimage.cli",
    "kubeimage.disk.replacing",
    "kubeimage.report",
    "kubeimage.values",
    "kubeimage.image.compatibility",
    "kubeimage.image.media_types",
}
# Words of annotations that need no name of ours.
COMMON = frozenset(dir(builtins)) | {
    "Any", "BinaryIO", "Callable", "Collection", "Iterable", "Iterator", "Literal", "Mapping", "Sequence",
}  # fmt: skip


class Operation(NamedTuple):
    """A public function, as its source has it."""

    name: str
    node: ast.FunctionDef

    @property
    def positional(self) -> list[str]:
        return [one.arg for one in self.node.args.args]

    @property
    def named(self) -> list[str]:
        return [one.arg for one in self.node.args.kwonlyargs]


def operations() -> Iterator[Operation]:
    for path in sorted([*(ROOT / "api").glob("*.py"), *(ROOT / "lint").glob("*.py")]):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name in PUBLIC:
                yield Operation(node.name, node)


OPERATIONS = tuple(operations())
ON_BACKENDS = tuple(one for one in OPERATIONS if "backends" in one.positional)


def test_each_operation_of_the_command_line_is_there() -> None:
    assert {one.name for one in ON_BACKENDS} >= {
        "build_image", "build_platforms", "plan_build", "preview_build", "push_image", "pull_image", "save_image",
        "load_images", "export_image", "merge_images", "compare_images", "images_of_image", "verify_image", "tag_image",
        "remove_images", "check_store", "prune_store", "list_images", "inspect_image", "list_history", "find_image",
    }  # fmt: skip
    assert {one.name for one in OPERATIONS} >= {"images_of_context", "lint_kubefile", "lint_paths", "log_in", "log_out"}


@pytest.mark.parametrize("operation", ON_BACKENDS, ids=lambda one: one.name)
def test_an_operation_takes_its_subject_then_backends_then_named_options(operation: Operation) -> None:
    assert operation.positional[-1] == "backends"
    assert operation.named[-1:] == ["observe"] or "observe" not in operation.named
    assert operation.node.args.defaults == []
    assert None not in operation.node.args.kw_defaults, "an option has a default"
    assert operation.node.returns is not None


def test_what_the_command_line_imports_is_public() -> None:
    private = []
    for path in sorted((ROOT / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("kubeimage"):
                continue
            if any(f"{node.module}.".startswith(f"{helper}.") for helper in OUTPUT_HELPERS):
                continue
            private += [f"{path.name}: {node.module}.{one.name}" for one in node.names if one.name not in PUBLIC]

    assert private == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_each_type_in_a_public_signature_is_public(operation: Operation) -> None:
    arguments = operation.node.args
    annotations = [one.annotation for one in (*arguments.args, *arguments.kwonlyargs)] + [operation.node.returns]

    named = {word.id for one in annotations if one is not None for word in ast.walk(one) if isinstance(word, ast.Name)}

    assert named - COMMON - PUBLIC == set()


def test_each_public_name_is_documented_where_it_is_defined() -> None:
    functions = [one for name in kubeimage.__all__ if callable(one := getattr(kubeimage, name))]

    assert [one for one in functions if isinstance(one, type(parse)) and not one.__doc__] == []


IMAGE = Image(Platform("linux", "amd64"), (), ())
READING: dict[str, Callable[..., Any]] = {
    "export": lambda backends, folder: kubeimage.export_image(IMAGE, f"{folder}/out", backends),
    "save": lambda backends, folder: kubeimage.save_image(IMAGE, f"{folder}/out", backends),
    "push": lambda backends, _: kubeimage.push_image("app:v1", backends),
    "verify": lambda backends, _: kubeimage.verify_image(IMAGE, backends),
    "diff": lambda backends, _: kubeimage.compare_images(IMAGE, IMAGE, backends),
    "images-of": lambda backends, _: kubeimage.images_of_image(IMAGE, backends),
}
WRITING: dict[str, Callable[..., Any]] = {
    "build": lambda backends, folder: kubeimage.build_image(parse("FROM scratch\n"), folder, backends),
    "build for several": lambda backends, folder: kubeimage.build_platforms(
        parse("FROM scratch\n"), folder, backends, platforms=[Platform("linux", "amd64"), Platform("linux", "arm64")]
    ),
    "pull": lambda backends, _: kubeimage.pull_image("app:v1", backends),
    "load": lambda backends, folder: kubeimage.load_images(f"{folder}/archive", backends),
    "merge": lambda backends, _: kubeimage.merge_images([IMAGE, IMAGE], [Reference.parse("app:v1")], backends),
}


@pytest.mark.parametrize("operation", [*READING.values(), *WRITING.values()], ids=[*READING, *WRITING])
def test_what_reads_contents_refuses_backends_that_were_opened_to_look(
    operation: Callable[..., Any], tmp_path: Path
) -> None:
    with (
        open_backends(str(tmp_path / "store"), access="look") as backends,
        pytest.raises(UsageError, match="these backends were opened to look, and this has to"),
    ):
        operation(backends, str(tmp_path))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("operation", WRITING.values(), ids=list(WRITING))
def test_what_writes_refuses_backends_that_were_opened_to_read(operation: Callable[..., Any], tmp_path: Path) -> None:
    with (
        open_backends(str(tmp_path / "store"), access="read") as backends,
        pytest.raises(UsageError, match="opened to read, and this has to write"),
    ):
        operation(backends, str(tmp_path))

    assert list(tmp_path.iterdir()) == []


def test_an_access_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no access is called 'peek'"), open_backends(str(tmp_path), access="peek"):  # type: ignore[arg-type]
        pass


def test_what_is_read_stays_while_it_is_read(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    (tmp_path / "context").mkdir()
    (tmp_path / "context/a").write_text("1")
    options = kubeimage.BuildOptions(references=(Reference.parse("app:v1"),))
    with open_backends(store) as backends:
        kubeimage.build_image(parse("FROM scratch\nCOPY a .\n"), str(tmp_path / "context"), backends, options=options)

    with open_backends(store, access="read") as backends:
        image, _ = kubeimage.find_image("app:v1", backends)
        with open_backends(store, access="look") as others:
            kubeimage.remove_images(["app:v1"], others)
            kubeimage.prune_store(others)
        kubeimage.export_image(image, str(tmp_path / "out"), backends)

    assert (tmp_path / "out/a").read_text() == "1"


def test_backends_in_memory_have_no_store_to_save_from(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no store on disk"):
        kubeimage.save_image(IMAGE, str(tmp_path / "out"), memory_backends())


def test_a_store_is_made_by_what_is_put_into_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with open_backends(str(store)) as backends:
        assert kubeimage.list_images(backends) == []
        with pytest.raises(kubeimage.BaseImageError):
            kubeimage.build_image(parse("FROM app:v1\n"), str(tmp_path), backends)
        with pytest.raises(kubeimage.ImageNotFoundError):
            kubeimage.merge_images(["a:1", "b:1"], [Reference.parse("app:v1")], backends)
        assert not store.exists()

        result = kubeimage.build_image(parse("FROM scratch\n"), str(tmp_path), backends)

    assert isinstance(result.manifest, Digest)
    assert (store / "index.json").exists()
