"""The page is accessible: usable by keyboard alone, without violations that axe finds, and without layout shifts."""

import asyncio
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Page, expect

from support.demo import Demo

from .market import FEATURED, card, expect_live, price_of, tile
from .visitor import Visitor

AXE = Path(__file__).parents[2] / "services/gateway/web/node_modules/axe-core/axe.min.js"
WATCH_SHIFTS = """() => {
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const shift of list.getEntries())
      if (!shift.hadRecentInput) for (const { node } of shift.sources) shifts.push((node?.parentElement?.outerHTML ?? "gone").slice(0, 200));
  }).observe({ type: "layout-shift" });
}"""
FOCUSED = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until an element with this name has the focus."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        if re.search(name, await page.evaluate(FOCUSED) or ""):
            return
    raise AssertionError(f"the keyboard does not get to {name}")


async def violations(page: Page) -> list[str]:
    """Return the violations that axe finds."""
    await page.evaluate(AXE.read_text())  # evaluated by the browser, since the page's policy would block the script
    result: dict[str, Any] = await page.evaluate("axe.run()")
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}" for one in result["violations"] for node in one["nodes"]
    ]


@pytest.mark.parametrize(
    ("width", "theme"),
    [
        (360, "light"),
        (1280, "dark"),
        pytest.param(360, "dark", marks=pytest.mark.long),
        pytest.param(1280, "light", marks=pytest.mark.long),
    ],
)
async def test_axe_finds_nothing(visitor: Visitor, theme: Literal["light", "dark"], width: int) -> None:
    page = await visitor.open("/?symbols=BTC,ETH-USD,PEPE")
    await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    await page.set_viewport_size({"width": width, "height": 800})
    await expect(card(page, "PEPE-USDT")).to_have_attribute("data-trust", "live")
    for symbol in ("BTC-USDT", "ETH-USD"):
        await expect(card(page, symbol).locator(".legend button")).not_to_have_count(0)
        await card(page, symbol).get_by_text("Why this price?").click()
        await expect(card(page, symbol).locator(".why table")).to_be_visible()
    assert await violations(page) == []


async def test_axe_finds_nothing_when_prices_are_not_live(visitor: Visitor, demo: Demo) -> None:
    visitor.allow("status of 404|EventSource")
    page = await visitor.open("/?symbols=BTC,DOGGE")
    await demo.fault("*", "mute", symbol="BTC-USDT")
    await expect(tile(page, "BTC")).to_have_attribute("data-trust", "stale")
    assert await violations(page) == []


async def test_the_keyboard_alone_is_enough(visitor: Visitor) -> None:
    page = await visitor.open("/")
    await expect_live(page, "BTC")
    await tab_to(page, "^Pause$")
    await page.keyboard.press("Space")
    await expect(page.get_by_role("button", name=re.compile("Paused at"))).to_be_visible()
    await page.keyboard.press("Space")
    await tab_to(page, "^Add a symbol$")
    await page.keyboard.type("doge")
    await page.keyboard.press("Enter")
    await expect(card(page, "DOGE-USDT")).to_be_focused()
    await tab_to(page, "Remove DOGE")
    await page.keyboard.press("Enter")
    await expect(card(page, "DOGE-USDT")).to_have_count(0)


async def test_quote_display_and_breakdown_by_keyboard(visitor: Visitor) -> None:
    page = await visitor.open("/?symbols=BTC")
    await expect_live(page, "BTC")
    await tab_to(page, "^USD$")
    await page.keyboard.press("Enter")
    await expect(card(page, "BTC-USD")).to_be_visible()
    await tab_to(page, "^Display$")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("radio", name=re.compile("Dark", re.IGNORECASE))).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("radio", name=re.compile("Dark", re.IGNORECASE))).to_be_hidden()
    await tab_to(page, "^Why this price")
    await page.keyboard.press("Enter")
    await expect(page.locator(".why table")).to_be_visible()


async def test_the_chosen_theme_is_there_before_the_first_paint(visitor: Visitor) -> None:
    page = await visitor.open("/")
    await page.get_by_role("button", name="Display").click()
    await page.get_by_role("radio", name=re.compile("Dark", re.IGNORECASE)).check()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    again = await visitor.context.new_page()
    await again.goto(visitor.url, wait_until="commit")
    await again.wait_for_function("document.body !== null")
    assert await again.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("width", [360, 1280])
async def test_nothing_moves_when_digits_change(visitor: Visitor, width: int) -> None:
    page = await visitor.open("/?symbols=BTC,DOGE,PEPE")
    await page.set_viewport_size({"width": width, "height": 800})
    await expect_live(page, *FEATURED)
    await expect(card(page, "PEPE-USDT")).to_have_attribute("data-trust", "live")
    await asyncio.sleep(2)  # a script of their own loads the charts
    await page.evaluate(WATCH_SHIFTS)
    before = await price_of(card(page, "BTC-USDT")).text_content()
    await asyncio.sleep(8)
    assert await page.evaluate("shifts") == []
    assert await price_of(card(page, "BTC-USDT")).text_content() != before


@pytest.mark.parametrize(("path", "width"), [("/", 320), ("/", 2560), ("/embed", 200), ("/embed?compact=1", 200)])
async def test_it_fits(visitor: Visitor, path: str, width: int) -> None:
    """Only the row of tiles scrolls sideways."""
    page = await visitor.open(path)
    await page.set_viewport_size({"width": width, "height": 800})
    await expect_live(page, "BTC")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_an_open_explanation_does_not_widen_its_card(visitor: Visitor) -> None:
    page = await visitor.open("/?symbols=BTC")
    await page.set_viewport_size({"width": 360, "height": 800})
    await card(page, "BTC-USDT").get_by_text("Why this price?").click()
    await expect(page.locator(".why table")).to_be_visible()
    assert await card(page, "BTC-USDT").evaluate("article => article.scrollWidth") <= 360


async def test_no_motion_where_none_is_wanted(visitor: Visitor) -> None:
    page = await visitor.context.new_page()
    await page.emulate_media(reduced_motion="reduce")
    await page.goto(visitor.url)
    await expect_live(page, *FEATURED)
    running = (
        "document.getAnimations().filter((one) => one.playState === 'running' && one.effect.getTiming().duration > 1).length"
    )
    for _ in range(20):
        assert await page.evaluate(running) == 0
        await asyncio.sleep(0.1)
