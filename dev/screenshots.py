"""Make the README's pictures: a report of the example pages, in a headless Chromium, as PNG files in docs/images.

    make demo && python dev/screenshots.py --warehouse warehouse

With --report FILE it takes pictures of a page that is there already.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parent.parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAX_BYTES = 300_000
# Name of the picture, address in the page, width, height, dark.
PICTURES = (
    ("report-overview", "#overview", 1180, 720, False),
    ("report-document", "#doc={document}", 1180, 720, False),
    ("report-dark", "#doc={document}", 1180, 560, True),
    ("report-phone", "#doc={document}", 390, 720, False),
)


def main() -> None:
    """Write the pictures; fail when they are too large for a repository."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warehouse", default="warehouse", help="tables of the example pages, see `make demo`")
    parser.add_argument("--report", type=Path, help="a page that jobs/report.py wrote")
    parser.add_argument("--document", default="", help="doc_id or part of an address of the document to show")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = arguments.report or _report(arguments.warehouse, Path(folder) / "report.html")
        written = take(page.resolve(), arguments.out, arguments.document)
    size = sum(file.stat().st_size for file in written)
    print(f"{len(written)} pictures, {size / 1000:.0f} kB")
    if size > MAX_BYTES:
        sys.exit(f"more than {MAX_BYTES / 1000:.0f} kB: too much for the repository")


def take(page: Path, out: Path, document: str) -> list[Path]:
    """Every picture of `PICTURES`."""
    from playwright.sync_api import sync_playwright

    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        sys.exit("there is no Chromium: run python dev/setup_browser.py")
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        written = [_picture(browser, page, out, picture, document) for picture in PICTURES]
        browser.close()
    return written


def _picture(browser: Browser, page: Path, out: Path, picture: tuple[str, str, int, int, bool], document: str) -> Path:
    name, address, width, height, dark = picture
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", reduced_motion="reduce"
    )
    window = context.new_page()
    window.goto(page.as_uri())
    chosen = window.evaluate(
        "(part) => (Browser.documents.find((one) => part && (one.id === part || one.url.includes(part)))"
        " || Browser.documents.find((one) => one.outcome === 'EDITED') || Browser.documents[0]).id",
        document,
    )
    window.evaluate("(hash) => { location.hash = hash; }", address.replace("{document}", chosen))
    window.wait_for_timeout(300)
    file = out / f"{name}.png"
    window.screenshot(path=str(file))
    context.close()
    _shrink(file)
    return file


def _shrink(file: Path) -> None:
    """256 colours are enough for a page of text; matplotlib brings pillow."""
    from PIL import Image

    with Image.open(file) as picture:
        small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(file, optimize=True)


def _report(warehouse: str, target: Path) -> Path:
    job = [shutil.which("spark-submit", path=str(Path(sys.executable).parent)) or "spark-submit"]
    job += ["--properties-file", str(ROOT / "conf" / "spark-local.conf"), str(ROOT / "jobs" / "report.py")]
    subprocess.run([*job, "--warehouse", warehouse, "--out", str(target)], check=True)
    return target


if __name__ == "__main__":
    main()
