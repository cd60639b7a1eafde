"""The page's text: it asks for nothing, and obeys nobody whose words it shows."""

import re
import sys

import pytest

from kubeimage.errors import UsageError
from kubeimage.pages.page import ChangeRow, Check, FileNode, ImagePage, LayerRow, PackedRow
from kubeimage.pages.render import render_pages

EVIL = "<script>alert(1)</script><img src=x onerror=y>"


def page_of(text: str) -> ImagePage:
    """Return a page that says ``text`` wherever a page says anything."""
    return ImagePage(
        title=text,
        facts=((text, text),),
        checks=(Check(text, "failed", text, 1.0), Check("other", "skipped")),
        layers=(LayerRow(text, 10, 1, "sha256:a", text, 0.1), LayerRow(text)),
        files=FileNode("", 5, 1, "directory", 0, (FileNode(text, 5, 1, "-> elsewhere"),)),
        against=text,
        changes=tuple(ChangeRow(text, change, text) for change in ("added", "removed", "changed")),
        packed=(PackedRow(text, (text,), text), PackedRow(text)),
        skipped=((text, text),),
    )


def test_what_is_shown_is_never_obeyed() -> None:
    pytest.importorskip("jinja2")
    html = render_pages([page_of(EVIL)], EVIL)

    assert html.count("<script") == 1
    assert "<img" not in html
    assert html.count("&lt;script&gt;alert(1)") > 15


def test_a_page_asks_for_nothing() -> None:
    pytest.importorskip("jinja2")
    html = render_pages([page_of("a")], "a")

    assert re.findall(r"(?:https?:)?//[\w.]+", html) == []
    assert re.findall(r"(?:src|href)=[\"'](?!#)", html) == []
    assert "@import" not in html
    assert "url(" not in html


def test_without_jinja2_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)

    with pytest.raises(UsageError, match="jinja2") as error:
        render_pages([page_of("a")], "a")

    assert error.value.hint == "pip install 'kubeimage[report]'"
