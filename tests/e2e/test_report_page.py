"""The HTML report in a real browser."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kubeimage.api.backends import open_backends
from kubeimage.api.building import build_image, read_kubefile
from kubeimage.api.reporting import report_image, write_report
from kubeimage.builder.plan import BuildOptions
from kubeimage.image.reference import Reference

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.needs("chromium")
WIDTHS = (400, 1400)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    playwright = pytest.importorskip("playwright.sync_api")
    # root has no namespaces of its own to put the browser into; nothing is asked of any network.
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=quiet)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report on an example project, and what differs from its base."""
    folder = tmp_path_factory.mktemp("report")
    with open_backends(str(folder / "store")) as backends:
        for name in ("rootfs", "dashboard"):
            options = BuildOptions(references=(Reference.parse(f"{name}:v1"),))
            project = f"fixtures/{name}"
            build_image(read_kubefile(f"{project}/Kubefile"), project, backends, options=options)
        page = report_image("dashboard:v1", backends, against="rootfs:v1")
    write_report([page], str(folder / "report.html"))
    return f"file://{folder}/report.html"


def opened(browser: "Browser", address: str, said: list[str], **how: Any) -> "Page":
    page = browser.new_page(**how)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if request.url != address else None)
    page.goto(address)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_the_window_and_says_nothing_to_the_console(
    browser: "Browser", report: str, width: int, scheme: str
) -> None:
    said: list[str] = []
    page = opened(browser, report, said, viewport={"width": width, "height": 800}, color_scheme=scheme)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert said == []
    if pictures := os.environ.get("KUBEIMAGE_PICTURES"):
        page.screenshot(path=Path(pictures) / f"report-{width}-{scheme}.png", full_page=width == WIDTHS[0])
    page.close()


def test_files_are_found_by_a_part_of_their_path(browser: "Browser", report: str) -> None:
    page = opened(browser, report, [])

    page.get_by_label("Search files").fill("ADMIN-user")
    page.get_by_text("1 found").wait_for()

    shown = page.locator("li[data-path]:visible").evaluate_all("found => found.map(one => one.dataset.path)")
    assert shown == ["manifests/admin-user.yaml"]
    page.close()


def test_areas_of_the_map_add_up(browser: "Browser", report: str) -> None:
    page = opened(browser, report, [])

    area = page.locator(".map rect").evaluate_all(
        "found => found.reduce((sum, one) => sum + one.width.baseVal.value * one.height.baseVal.value, 0)"
    )

    assert area == pytest.approx(1000 * 420, rel=0.01)
    page.close()


def test_without_scripts_all_can_be_read(browser: "Browser", report: str) -> None:
    page = opened(browser, report, [], java_script_enabled=False)

    page.locator("summary", has_text="manifests/").click()

    assert page.locator("li[data-path='manifests/dashboard.yaml']").is_visible()
    assert not page.locator(".search").is_visible()
    page.close()


def test_it_is_read_in_order_and_reached_by_keys(browser: "Browser", report: str) -> None:
    page = opened(browser, report, [])

    headings = page.locator("h1, h2, h3").all_inner_texts()
    page.keyboard.press("Tab")

    assert headings[2:] == ["Layers", "Files", "What differs from rootfs:v1", "Container images"]
    assert page.evaluate("document.activeElement.textContent") == "To the verdicts"
    page.close()
