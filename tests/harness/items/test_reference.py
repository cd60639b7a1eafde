"""The reference page is made from the plugin."""

from pathlib import Path

import harness.plugin
from harness.asking.options import OPTIONS
from harness.items.reference import fixtures, reference

PAGE = Path(__file__).parents[3] / "docs/harness-reference.md"


def test_the_page_is_what_the_plugin_says_now() -> None:
    again = "python -m harness.items.reference docs/harness-reference.md"

    assert PAGE.read_text() == reference(), f"the page is out of date; make it anew: {again}"


def test_every_option_and_setting_is_on_the_page() -> None:
    page = reference()

    assert [one.flag for one in OPTIONS if f"| `{one.flag}" not in page or f"| `{one.name}` (" not in page] == []


def test_every_fixture_that_pytest_knows_is_on_the_page() -> None:
    found = {one.name: one for one in fixtures()}

    assert set(found) == {name for name in harness.plugin.__all__ if not name.startswith("_")}
    assert (found["kube_build"].scope, found["layer_store"].scope) == ("session", "function")
    assert [name for name, one in found.items() if not one.text.endswith(".")] == []


def test_no_text_is_left_out() -> None:
    assert "|  |\n" not in reference()
    assert "``" not in reference()
