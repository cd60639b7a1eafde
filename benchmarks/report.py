"""How long a browser takes to show the report of an image with many files.

    python -m benchmarks.report [--files 50000] [--runs 5]

Chromium loads the page from a file; the clock stops when it has laid it out and painted it once. Beside it stands an
empty page in the same browser.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from kubeimage.pages.page import FileNode, ImagePage
from kubeimage.pages.render import render_pages

_PAINTED = (
    "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"
)


def page_of(files: int) -> ImagePage:
    """Return a page with so many files, 50 a folder and 20 folders a folder."""
    leaves = [FileNode(f"file{number}.yaml", 100 + number * 37 % 5_000) for number in range(50)]
    folders = [_folder(f"folder{number}", leaves) for number in range(files // 50)]
    above = [_folder(f"part{number}", folders[number : number + 20]) for number in range(0, len(folders), 20)]
    return ImagePage("many files", files=_folder("", above))


def _folder(name: str, children: list[FileNode]) -> FileNode:
    size, count = sum(child.size for child in children), sum(child.count for child in children)
    return FileNode(name, size, count, "directory", 0, tuple(children))


def load(browser: Browser, path: Path) -> float:
    """Load a page, and return the milliseconds until it was painted."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(f"file://{path}")
    painted = float(page.evaluate(_PAINTED))
    page.close()
    return painted


def main() -> None:
    """Measure, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        full, empty = Path(folder, "full.html"), Path(folder, "empty.html")
        full.write_text(render_pages([page_of(options.files)], "many files"))
        empty.write_text("<!doctype html><title>empty</title>")
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        times = {path: [load(browser, path) for _ in range(options.runs)] for path in (empty, full)}
        browser.close()
        size = full.stat().st_size
    print(f"{options.files} files, {size / 1e6:.1f} MB: {statistics.median(times[full]):.0f} ms")
    print(f"an empty page: {statistics.median(times[empty]):.0f} ms")


if __name__ == "__main__":
    main()
