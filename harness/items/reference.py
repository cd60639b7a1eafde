"""The reference of the plugin, made from the plugin: options, checks, fixtures, the marker, hooks, and a built image.

python -m harness.items.reference docs/harness-reference.md
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files
from typing import Any, NamedTuple

import harness.items.hookspecs
from harness.asking.databases import DATABASE_OPTIONS
from harness.asking.imageoptions import IMAGE_OPTIONS
from harness.asking.images import IMAGE_MARKER_HELP
from harness.asking.options import OPTIONS, Option, option_of
from harness.asking.subjects import MARKER_HELP
from harness.cases.building import KubeBuild
from harness.checks import CHECKS, OF_A_SETTING, Check
from harness.checks.anyimage import IMAGE_CHECKS
from harness.images.config import ImageConfig
from harness.images.image import AnyImage, BuiltImage
from harness.images.layerindex import BuiltLayer
from harness.images.rootfs import Rootfs, RootfsEntry
from harness.items.catalogue import ENTRY_POINTS
from kubeimage.report.generated import put_page

_HEAD = """\
# Reference of the pytest plugin

Made from the plugin itself by `python -m harness.items.reference docs/harness-reference.md`; change it there.
[Testing a Kubefile](harness.md) tells how it is used.
"""
BAR = "\\|"
_LABELS = ("Raises:", "Shape:", "Units:", "Source:")


class Fixture(NamedTuple):
    """A fixture as its source has it."""

    name: str
    scope: str
    text: str


def reference() -> str:
    """Return the whole page, as Markdown."""
    return "\n".join((_HEAD, *_options(), *_checks(), *_fixtures(), *_marker(), *_hooks(), *_objects()))


def fixtures() -> Iterator[Fixture]:
    """Yield the plugin's fixtures, in the order of their source; those with an underscore are its own business."""
    for node in ast.parse(files("harness").joinpath("fixtures.py").read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            if ast.unparse(call.func if call else decorator) == "pytest.fixture":
                keywords = call.keywords if call else []
                scopes = [ast.literal_eval(one.value) for one in keywords if one.arg == "scope"]
                yield Fixture(node.name, scopes[0] if scopes else "function", _prose(ast.get_docstring(node)))


def _options() -> Iterator[str]:
    yield "## Options and settings\n"
    yield (
        "An option stands on the command line, the setting of the same name in `pytest.ini` or `pyproject.toml`. The "
        "option goes before the setting. Paths of a setting are relative to its file.\n"
    )
    rows = (
        (f"`{_usage(one)}`", f"`{one.name}` ({one.ini_type})", _sentence(one.help))
        for one in (*OPTIONS, *IMAGE_OPTIONS, *DATABASE_OPTIONS)
    )
    yield from _table(("option", "setting", "what"), rows)


def _usage(option: Option) -> str:
    choices = "|".join(option.extra.get("choices", ()))
    value = choices or option.extra.get("metavar", "")
    return f"{option.flag}={value}" if value else option.flag


def _checks() -> Iterator[str]:
    yield "## Checks\n"
    yield "Each is an item of its own: `path/to/Kubefile::parse`.\n"
    rows = [(f"`{name}`", "", _about_check(check)) for name, check in CHECKS.items()]
    rows += [(f"`{name}`", f"`{option_of(key)}`", _about_check(check)) for name, (key, check) in OF_A_SETTING.items()]
    yield from _table(("check", "only with", "what"), rows)
    yield "Each image of `--oci-image` has these, as `REF::oci-valid`, and dive's rules where `--dive-ci` names them.\n"
    image_rows = [(f"`{name}`", _about(check)) for name, check in IMAGE_CHECKS.items()]
    yield from _table(("check of an image", "what"), image_rows)
    yield (
        f"A package offers checks of its own under the entry point group `{ENTRY_POINTS}`, a `conftest.py` by the hook "
        "`pytest_kubefile_checks`: functions that take a case.\n"
    )


def _about_check(check: Check) -> str:
    return _prose(inspect.getdoc(check))


def _fixtures() -> Iterator[str]:
    yield "## Fixtures\n"
    rows = ((f"`{one.name}`", one.scope, one.text) for one in fixtures())
    yield from _table(("fixture", "scope", "what"), rows)


def _marker() -> Iterator[str]:
    yield "## Markers\n"
    for help_text in (MARKER_HELP, IMAGE_MARKER_HELP):
        signature, _, text = help_text.partition(": ")
        yield f"`@pytest.mark.{signature}`\n"
        yield f"{_sentence(text)}\n"


def _hooks() -> Iterator[str]:
    yield "## Hooks\n"
    found = [hook for name, hook in vars(harness.items.hookspecs).items() if name.startswith("pytest_")]
    rows = ((f"`{hook.__name__}({', '.join(inspect.signature(hook).parameters)})`", _about(hook)) for hook in found)
    yield from _table(("hook", "what"), rows)


def _objects() -> Iterator[str]:
    yield "## A built image\n"
    yield "What `built_image` is, and what `kube_build(...)` gives. `image` has it all but what the build knows.\n"
    yield from _table(("of an image", "what"), _members(AnyImage))
    yield from _table(("of a built image alone", "what"), _members(BuiltImage, known=AnyImage))
    yield f"{_prose(inspect.getdoc(ImageConfig), keep=('Shape:',))} `image.config` has `{_fields(ImageConfig)}`.\n"
    yield "`image.rootfs` is a read-only mapping from paths to entries.\n"
    yield f"{_prose(inspect.getdoc(Rootfs))}\n"
    yield from _table(("of `image.rootfs`", "what"), _members(Rootfs))
    yield from _table(("of `image.rootfs[path]`", "what"), _members(RootfsEntry))
    yield f"A layer: {_prose(inspect.getdoc(BuiltLayer), keep=('Shape:', 'Units:'))} It has `{_fields(BuiltLayer)}`.\n"
    yield from _table(("of `image.layers[n]`", "what"), _members(BuiltLayer))
    yield "## kube_build\n"
    given = inspect.signature(KubeBuild.__call__)
    bare = [one.replace(annotation=inspect.Parameter.empty) for name, one in given.parameters.items() if name != "self"]
    yield f"`kube_build{given.replace(parameters=bare, return_annotation=inspect.Signature.empty)}`\n"
    yield f"{_prose(inspect.getdoc(KubeBuild.__call__), keep=('Shape:',))}\n"


def _fields(kind: type) -> str:
    return " ".join(vars(kind)["__dataclass_fields__"])


def _members(kind: type, known: type = object) -> Iterator[tuple[str, str]]:
    for name, member in vars(kind).items():
        if name.startswith("_") or hasattr(known, name):
            continue
        function = getattr(member, "fget", None) or getattr(member, "func", None) or member
        text = inspect.getdoc(function)
        if callable(function) and text:
            is_method = function is member
            parameters = list(inspect.signature(function).parameters.values())[1:] if is_method else []
            shown = f"{name}({', '.join(one.name for one in parameters)})" if is_method else name
            yield f"`{shown}`", _prose(text)


def _about(thing: Callable[..., Any]) -> str:
    return _prose(inspect.getdoc(thing))


def _prose(docstring: str | None, *, keep: tuple[str, ...] = ()) -> str:
    """Return a docstring as one paragraph of Markdown, without its labelled lines but those to ``keep``."""
    kept: list[str] = []
    skipping = False
    for line in (docstring or "").splitlines():
        label = next((one for one in _LABELS if line.startswith(one)), None)
        skipping = (label is not None and label not in keep) or (skipping and line.startswith(" "))
        if not skipping:
            kept.append(line.removeprefix(label or "").strip())
    return " ".join(filter(None, kept)).replace("``", "`")


def _sentence(text: str) -> str:
    whole = text[0].upper() + text[1:]
    return whole if whole.endswith(".") else whole + "."


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', BAR) for cell in row)} |"
    yield ""


if __name__ == "__main__":
    put_page(reference())
