"""On other sites: the bar in a frame and the element by one tag, each under the strictest policy that admits it."""

import re

import pytest
from playwright.async_api import expect

from .elsewhere import Elsewhere
from .market import mark_of, tile
from .visitor import Visitor


@pytest.mark.parametrize("width", [200, 600])
async def test_the_bar_in_a_frame(visitor: Visitor, elsewhere: Elsewhere, width: int) -> None:
    source = f"{visitor.url}/embed?symbols=BTC,DOGE&compact=1"
    page = await visitor.open(elsewhere.show(f'<iframe src="{source}" width="{width}" height="120"></iframe>'))
    frame = page.frame_locator("iframe")
    for base in ("BTC", "DOGE"):
        await expect(tile(frame, base)).to_have_attribute("data-trust", "live")
    await expect(frame.get_by_text("2/2")).to_be_visible()
    await expect(frame.get_by_text("Simulated", exact=True)).to_be_visible()
    [inner] = page.main_frame.child_frames
    assert await inner.evaluate("document.documentElement.scrollWidth") <= width


async def test_the_bar_in_a_sandboxed_frame_has_a_stream_of_its_own(visitor: Visitor, elsewhere: Elsewhere) -> None:
    source = f"{visitor.url}/embed?symbols=BTC"
    page = await visitor.open(
        elsewhere.show(f'<iframe sandbox="allow-scripts" src="{source}" width="400" height="120"></iframe>')
    )
    await expect(tile(page.frame_locator("iframe"), "BTC")).to_have_attribute("data-trust", "live")


async def test_the_element_by_one_tag_under_a_strict_policy(visitor: Visitor, elsewhere: Elsewhere) -> None:
    policy = f"default-src 'none'; script-src {visitor.url}; connect-src {visitor.url}; img-src 'self'"
    body = f'<script src="{visitor.url}/market-pulse.js" defer></script><market-pulse symbols="BTC,ETH,PEPE"></market-pulse>'
    page = await visitor.open(elsewhere.show(body, Content_Security_Policy=policy))
    element = page.locator("market-pulse")
    await expect(element).to_contain_text(re.compile(r"BTC"))
    await expect(element).to_contain_text(re.compile(r"\d\d,\d{3}\.\d\d"))
    await expect(element.get_by_text("live")).to_have_count(3)
    await expect(element).to_contain_text("Simulated", ignore_case=True)


async def test_a_theme_and_a_scheme_by_query(visitor: Visitor) -> None:
    page = await visitor.open("/embed?symbols=BTC&theme=dark&scheme=cvd")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await expect(page.locator("html")).to_have_attribute("data-scheme", "cvd")
    await expect(mark_of(tile(page, "BTC"))).to_have_attribute("data-state", "live")
