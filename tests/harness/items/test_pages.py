"""`pytest --kubefile-report`: one page, with a part for each Kubefile, whichever process has checked it."""

import json
import re
import sys
from collections.abc import Callable

import pytest

from kubeimage.pages.page import ImagePage
from tests.plugins import ALONE

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def projects(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ALONE.items():
        monkeypatch.setenv(name, value)
    for name, text in {
        "good": "FROM scratch\nCOPY a etc\nRUN echo 1 > b\nCMD b &&",
        "bad": "FROM scratch\nCOPY missing etc",
    }.items():
        folder = pytester.mkdir(name)
        (folder / "Kubefile").write_text(text)
        (folder / "a").write_text("some bytes")


@pytest.mark.usefixtures("projects")
@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["one process", "two workers"])
def test_each_kubefile_has_its_verdicts_layers_and_files(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytest.importorskip("jinja2")
    options = ["--kubefile=good", "--kubefile=bad", "--kubefile-backend=memory", "--kubefile-report=out/report.html"]

    pytester.runpytest_subprocess(*workers, *options, "-k", "build or parse or lint")

    html = (pytester.path / "out/report.html").read_text()
    assert re.findall(r'<h2 id="[^"]*">([^<]*)', html) == ["bad/Kubefile", "good/Kubefile"]
    assert html.count('<li class="passed">') >= 3
    assert "E0302" in html
    assert "W18: the command ends in" in html
    assert 'data-path="etc/a"' in html
    assert "COPY a etc" in html


@pytest.mark.usefixtures("projects")
def test_a_layer_says_why_it_was_not_in_the_cache(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest
        from pathlib import Path
        @pytest.hookimpl(trylast=True)
        def pytest_runtest_logreport(report):
            if hasattr(report, "kubefile_page"):
                Path("page.json").write_text(report.kubefile_page)
        """
    )
    pytest.importorskip("jinja2")

    pytester.runpytest_subprocess(
        "--kubefile=good", "--kubefile-backend=memory", "--kubefile-report=report.html", "-k", "build"
    )

    page = ImagePage.from_json(json.dumps(json.loads((pytester.path / "page.json").read_text())))
    made = [layer for layer in page.layers if layer.digest]
    assert [layer.instruction for layer in made] == ["COPY a etc", "RUN echo 1 > b"]
    assert all(layer.how and layer.seconds is not None for layer in made)


@pytest.mark.usefixtures("projects")
def test_without_jinja2_the_run_does_not_begin(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    (pytester.path / "hidden").mkdir()
    (pytester.path / "hidden/jinja2.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", ":".join([str(pytester.path / "hidden"), *filter(None, sys.path)]))

    result = pytester.runpytest_subprocess("--kubefile=good", "--kubefile-report=report.html")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--kubefile-report: an HTML report needs jinja2*kubeimage?report?*"])
