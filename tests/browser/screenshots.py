"""Make the README's pictures from the running app: `python -m tests.browser.screenshots [FOLDER]`.

The app is started in a lab home of its own, so what is seen is what a newcomer sees: the recorded comparison. Light and dark on a
wide screen, light on a phone.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from playwright.sync_api import Browser, sync_playwright

from tests.browser.chromium import launch
from tests.browser.conftest import App

FOLDER = Path(__file__).parents[2] / "assets" / "screenshots"
PICTURES = {
    "train-light": ("light", 1400, 1000),
    "train-dark": ("dark", 1400, 1000),
    "train-phone": ("light", 390, 844),
}


def themed(url: str, theme: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), ("__theme", theme)], safe=",")))


def picture(browser: Browser, url: str, file: Path, theme: str, size: tuple[int, int]) -> None:
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]}, device_scale_factor=2 if size[0] < 500 else 1
    )
    page.goto(themed(url, theme))
    page.locator("#chart svg .axes").wait_for(state="attached")
    page.wait_for_timeout(2500)  # the store's first snapshot
    if size[0] < 500:
        page.locator("#results").scroll_into_view_if_needed()
        page.evaluate("document.querySelector('#results').scrollIntoView()")
    page.screenshot(path=file)
    page.close()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        app, browser = App(Path(home) / "home", ""), launch(playwright)
        try:
            for name, (theme, width, height) in PICTURES.items():
                picture(browser, app.url, folder / f"{name}.png", theme, (width, height))
        finally:
            browser.close()
            app.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
