"""A pytest plugin that tests Kubefiles, and what tests the builder.

Stable, for users:

- the plugin's options, checks, fixtures, marker and hooks, as docs/harness-reference.md lists them;
- ``harness.plugin``, the name of the plugin;
- ``harness.trees``: File, Folder, Link, HardLink, Fifo;
- ``harness.strategies``, ``harness.model``, ``harness.stateful``, ``harness.contracts``, ``harness.checks`` and
  ``harness.fakes.registry``: the names in their ``__all__``;
- ``harness.fakes``: the in-memory twins that the fixtures return;
- ``harness.asking.warning.KubefileWarning``, for ``filterwarnings``;
- ``python -m harness.fuzz``.

All else is how that is done, and may change.
"""

import sys
from pkgutil import extend_path

# A project's folder of this name without an __init__.py adds modules to ours.
__path__ = extend_path(__path__, __name__)
if (_entries := sys.modules.get("kubeimage.entries")) is not None:
    # An entry point may have imported some of these modules already, and taken them out of sys.modules.
    _entries.put_back()
