# /// script
# requires-python = ">=3.11"
# dependencies = ["playwright>=1.65", "pillow>=12"]
# ///
"""Make the pictures of the README from a running demo: `uv run docs/images/make.py PAGE SIMULATOR`.

PAGE and SIMULATOR are URLs, as `make demo` prints and uses them: http://localhost:8080 http://localhost:9000. The demo should
have run for ten minutes, so that the charts are full. Needs Debian's chromium.
"""

import io
import json
import shutil
import sys
import urllib.request
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
FRAME_MS = 400
COLOURS = 24


def main(page_url: str, simulator_url: str) -> None:
    """Write page.png and live.gif."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 760}, color_scheme="light")
        page.goto(page_url)
        page.wait_for_timeout(4000)
        page.screenshot(path=HERE / "page.png")
        page.set_viewport_size({"width": 820, "height": 400})
        page.emulate_media(color_scheme="dark")
        page.goto(f"{page_url}/?symbols=BTC")
        page.wait_for_timeout(4000)
        frames = film(page, 8)
        fault(simulator_url, "POST", {"exchange": "okx", "kind": "spike", "factor": 1.2, "symbol": "BTC-USDT"})
        page.get_by_text("Why this price?").click()
        frames += film(page, 10)
        fault(simulator_url, "DELETE")
        frames += film(page, 10)
        browser.close()
    first, *others = frames
    first.save(HERE / "live.gif", save_all=True, append_images=others, duration=FRAME_MS, loop=0, optimize=True)


def film(page: Page, count: int) -> list[Image.Image]:
    """Take pictures of the visible part of the page, FRAME_MS apart."""
    frames = []
    for _ in range(count):
        page.wait_for_timeout(FRAME_MS)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        frames.append(picture.quantize(COLOURS, dither=Image.Dither.NONE))
    return frames


def fault(simulator_url: str, method: str, body: dict[str, object] | None = None) -> None:
    """Have an exchange fail, or all of them heal."""
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(f"{simulator_url}/control/faults", data, method=method)  # noqa: S310 - ours
    urllib.request.urlopen(request, timeout=5)  # noqa: S310


if __name__ == "__main__":
    main(*sys.argv[1:])
