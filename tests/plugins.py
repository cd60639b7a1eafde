"""The plugins of a pytest that a test starts as a process."""

ALONE = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_PLUGINS": "harness.plugin,xdist.plugin,xdist.looponfail",
}
"""Variables: this project's plugin and pytest-xdist. Others have no say, and are not imported each time."""
