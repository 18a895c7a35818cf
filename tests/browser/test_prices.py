"""Prices on the page: shown at once, updated while they are live, and never marked as live when they are not."""

import asyncio
import os
import re
import signal

from playwright.async_api import Browser, Page, Route, expect

from support.demo import Demo
from support.waiting import until

from .market import FEATURED, exchanges, expect_count, expect_live, mark_of, newest_price, price_of, streams, tile
from .visitor import Visitor

AWAY = r"net::ERR_|status of 50[234]"  # the browser's errors about a gateway that is down
NOTE_TRUST = """() => {
  window.noted = [];
  setInterval(() => noted.push([...document.querySelectorAll("li.tile")].map((tile) => tile.dataset.trust)), 50);
}"""


async def test_first_prices_come_without_a_stream_and_are_not_called_live(visitor: Visitor) -> None:
    async def refuse(route: Route) -> None:
        await route.abort()

    visitor.allow(r"/api/realtime|ERR_FAILED")
    await visitor.context.route(re.compile("/api/realtime"), refuse)
    page = await visitor.open("/")
    for base in FEATURED:
        await expect(price_of(tile(page, base))).to_have_text(re.compile(r"\d"))
        await expect(tile(page, base)).not_to_have_attribute("data-trust", "live")
    await expect(page.get_by_text("0/4")).to_be_visible()


async def test_digits_change_and_all_are_connected(visitor: Visitor) -> None:
    page = await visitor.open("/")
    await expect_live(page, *FEATURED)
    await expect_count(page, "4/4 connected")
    seen: set[str | None] = set()
    async with asyncio.timeout(20):
        while len(seen) < 4:
            seen.add(await price_of(tile(page, "BTC")).text_content())
    await expect(mark_of(tile(page, "BTC"))).to_have_attribute("data-state", "live")


async def test_nothing_is_animated_while_prices_come(visitor: Visitor) -> None:
    page = await visitor.open("/")
    await expect_live(page, *FEATURED)
    # A single animation has the browser draw sixty frames a second, which costs more than all prices together.
    assert await page.evaluate("document.getAnimations().map(({ animationName }) => animationName)") == []


async def test_a_symbol_whose_sources_fall_silent_is_told_apart_by_shape_and_words(visitor: Visitor, demo: Demo) -> None:
    page = await visitor.open("/")
    await expect_count(page, "4/4 connected")
    await demo.fault("*", "mute", symbol="BTC-USDT")
    await expect(tile(page, "BTC")).to_have_attribute("data-trust", "stale")
    await expect(mark_of(tile(page, "BTC"))).to_have_attribute("data-state", "stale")
    await expect(tile(page, "BTC").locator(".tile-state")).to_have_text(re.compile(r"\d+ s ago"))
    await expect_count(page, "3/4 connected")
    await expect_live(page, "ETH", "SOL", "BNB")
    await expect(tile(page, "BTC")).to_have_attribute("data-trust", "offline")  # first held for a while, then unknown
    await expect(tile(page, "BTC").locator(".tile-state")).to_have_text("no price")
    await page.get_by_role("button", name="3/4 connected").hover()
    await expect(page.locator(".standings")).to_contain_text("No exchange has sent a price lately")
    await demo.heal()
    await expect_live(page, "BTC")
    await expect_count(page, "4/4 connected")


async def test_one_source_is_half_trusted_and_counts(visitor: Visitor, demo: Demo) -> None:
    page = await visitor.open("/")
    for exchange in await exchanges(demo.page):
        if exchange != "okx":
            await demo.fault(exchange, "mute", symbol="ETH-USDT")
    await expect(mark_of(tile(page, "ETH"))).to_have_attribute("data-state", "degraded")
    await expect(tile(page, "ETH").locator(".tile-state")).to_have_text("one source")
    await expect_count(page, "4/4 connected")


async def test_a_paused_page_stands_still_says_so_and_receives_nothing(visitor: Visitor, demo: Demo) -> None:
    page = await visitor.open("/")
    await expect_live(page, "BTC")
    await page.get_by_role("button", name="Pause", exact=True).click()
    await expect(tile(page, "BTC").locator(".tile-state")).to_have_text("paused")
    await expect(mark_of(tile(page, "BTC"))).to_have_attribute("data-state", "paused")
    before = await price_of(tile(page, "BTC")).text_content()
    page_says = page.get_by_role("button", name=re.compile("Paused at"))
    await expect(page_says).to_be_visible()
    await until(lambda: _streams_are(demo, 0))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await asyncio.sleep(5)
    assert asked == []
    assert await price_of(tile(page, "BTC")).text_content() == before
    await page.get_by_role("button", name="Pause", exact=True).click()
    await expect(price_of(tile(page, "BTC"))).not_to_have_text(str(before))
    await expect_live(page, *FEATURED)
    await until(lambda: _streams_are(demo, 1))


async def test_a_killed_gateway_is_told_and_comes_back_as_one_stream(visitor: Visitor, demo: Demo) -> None:
    visitor.allow(AWAY)
    page = await visitor.open("/")
    await expect_live(page, *FEATURED)
    await demo.kill("gateway")
    await expect(page.get_by_text(re.compile("Reconnecting"))).to_be_visible()
    for base in FEATURED:
        await expect(tile(page, base)).to_have_attribute("data-trust", re.compile("stale|offline"))
    await page.evaluate(NOTE_TRUST)
    await asyncio.sleep(3)
    noted = await page.evaluate("window.noted")
    assert len(noted) > 10
    assert not any("live" in trusts or "degraded" in trusts for trusts in noted)
    await demo.start("gateway")
    await expect_live(page, *FEATURED)
    await expect_count(page, "4/4 connected")
    await until(lambda: _streams_are(demo, 1))


async def test_a_page_that_slept_wakes_with_new_prices_over_a_new_stream(
    visitor: Visitor, browser: Browser, demo: Demo
) -> None:
    page = await visitor.open("/")
    await expect_live(page, *FEATURED)
    opened: list[str] = []
    page.on("request", lambda request: opened.append(request.url) if "/api/realtime" in request.url else None)
    await _sleep(browser, page, seconds=8)
    await until(lambda: opened)
    await expect_live(page, *FEATURED)
    await until(lambda: _agrees(page, demo))
    await until(lambda: _streams_are(demo, 1))


async def _sleep(browser: Browser, page: Page, seconds: float) -> None:
    """Suspend the process that runs the page, like a machine's sleep or a frozen tab; the network goes on."""
    session = await browser.new_browser_cdp_session()
    processes = (await session.send("SystemInfo.getProcessInfo"))["processInfo"]
    renderers = [process["id"] for process in processes if process["type"] == "renderer"]
    for pid in renderers:
        os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        for pid in renderers:
            os.kill(pid, signal.SIGCONT)
    await page.wait_for_function("true")


async def _agrees(page: Page, demo: Demo) -> bool:
    """Return whether the page shows the gateway's prices, within the movement of the market meanwhile."""
    text = await price_of(tile(page, "BTC")).text_content()
    return abs(float((text or "0").replace(",", "")) / await newest_price(demo.page, "BTC") - 1) < 1e-3


async def _streams_are(demo: Demo, count: int) -> bool:
    return await streams(demo.page) == count
