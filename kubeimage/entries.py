"""What other programs' plugin systems load of the harness, under a name that no project has for a folder of its own.

``harness`` is a name that projects give to a folder of theirs. Their imports must go on to mean that folder, in every
run that does not use ours. So an entry point imports what it needs from the folder beside this package, and takes it
out of ``sys.modules`` again. Whoever then imports our ``harness`` gets the same modules back.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pkgutil import extend_path
from types import ModuleType

_NAME = "harness"
_FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), _NAME)
_MODULES = {"pytest_plugin": f"{_NAME}.plugin", "hypothesis_types": f"{_NAME}.hypothesis_entry"}

_aside: dict[str, ModuleType] = {}


def __getattr__(name: str) -> ModuleType:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _load(_MODULES[name])


def claim() -> None:
    """Make ``harness`` ours from now on.

    Raises: ImportError where it is another package, which stands before ours on ``sys.path``.
    """
    if _is_ours(sys.modules.get(_NAME)):
        return
    if another := _another():
        raise ImportError(
            f"another package '{_NAME}', at {another}, stands before the one of kubeimage: what tests Kubefiles "
            "cannot be imported; rename that folder, or leave what is above it out of sys.path (pythonpath, "
            "PYTHONPATH, python -m pytest)"
        )
    put_back()


def put_back() -> None:
    """Put back into ``sys.modules`` what an entry point has taken out of it, so that there is one of each module."""
    if _aside:
        # sys.path may have grown meanwhile; see harness/__init__.py.
        _aside[_NAME].__path__ = extend_path([_FOLDER], _NAME)
        sys.modules.update(_aside)
        _aside.clear()


def _load(name: str) -> ModuleType:
    if _is_ours(sys.modules.get(_NAME)):
        return import_module(name)
    others = _taken_out()
    sys.modules.update(_aside)
    try:
        if _NAME not in sys.modules:
            _import_ours()
        return import_module(name)
    finally:
        _aside.update(_taken_out())
        sys.modules.update(others)


def _import_ours() -> None:
    path = os.path.join(_FOLDER, "__init__.py")
    spec = spec_from_file_location(_NAME, path, submodule_search_locations=[_FOLDER])
    assert spec is not None
    assert spec.loader is not None
    sys.modules[_NAME] = module = module_from_spec(spec)
    spec.loader.exec_module(module)


def _taken_out() -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.partition(".")[0] == _NAME]
    return {name: sys.modules.pop(name) for name in names}


def _is_ours(module: ModuleType | None) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and os.path.dirname(os.path.realpath(file)) == _FOLDER


def _another() -> str | None:
    """Return where another ``harness`` is, imported already or to be found first."""
    module = sys.modules.get(_NAME)
    spec = module.__spec__ if module is not None else find_spec(_NAME)
    if spec is None:
        return None
    if spec.origin is None:
        # A folder without an __init__.py, where ours is not on sys.path at all.
        return next(iter(spec.submodule_search_locations or ()), None)
    return spec.origin if os.path.dirname(os.path.realpath(spec.origin)) != _FOLDER else None
