"""The modules of kubeimage that do the work of a build."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType


@cache
def builder_modules() -> tuple[ModuleType, ...]:
    """Import every module but those of the command line, and give them.

    A build imports some only when it needs them; whoever changes what they see wants them there before.
    """
    import kubeimage

    names = [module.name for module in pkgutil.walk_packages(kubeimage.__path__, "kubeimage.")]
    return tuple(import_module(name) for name in names if not name.startswith(("kubeimage.cli", "kubeimage.__main__")))
