"""Imported by the process that the program is forked from: all of it, and what each of its processes does then."""

import gc
import pkgutil
from importlib import import_module

import kubeimage
import tests.disk  # noqa: F401 - it changes what `os.fsync` does
from tests.e2e import forked

for module in pkgutil.walk_packages(kubeimage.__path__, f"{kubeimage.__name__}."):
    import_module(module.name)

__all__ = ["forked"]

gc.collect()
# The collector would copy what all of them share.
gc.freeze()
