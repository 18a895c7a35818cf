"""Finds the parts of the page that a visitor reads: the tiles of the bar, the cards below it, and their marks of trust."""

import re
from typing import Any

import httpx
from playwright.async_api import Frame, FrameLocator, Locator, Page, expect

FEATURED = ("BTC", "ETH", "SOL", "BNB")

Shown = Page | Frame | FrameLocator


def tile(page: Shown, base: str) -> Locator:
    """Return one symbol's tile in the bar."""
    return page.locator("li.tile", has=page.get_by_role("link", name=re.compile(rf"^{base}\b")))


def card(page: Page, symbol: str) -> Locator:
    """Return one symbol's card."""
    return page.get_by_role("article", name=symbol)


def price_of(part: Locator) -> Locator:
    """Return a tile's or a card's price in the text for screen readers."""
    return part.locator(".price .visually-hidden").first


def mark_of(part: Locator) -> Locator:
    """Return the dot whose shape shows how far to trust the price."""
    return part.locator(".state-mark").first


async def expect_live(page: Page, *bases: str) -> None:
    for base in bases:
        await expect(tile(page, base)).to_have_attribute("data-trust", "live")


async def expect_count(page: Page, count: str) -> None:
    await expect(page.get_by_role("button", name=re.compile(r"Real-time"))).to_contain_text(count)


async def streams(url: str) -> int:
    """Return how many streams the gateway serves right now."""
    async with httpx.AsyncClient() as http:
        status: dict[str, Any] = (await http.get(f"{url}/api/status")).json()
    return int(status["gateway"]["streams"])


async def exchanges(url: str) -> list[str]:
    """Return the exchanges whose feeds the gateway hears."""
    async with httpx.AsyncClient() as http:
        return list((await http.get(f"{url}/api/status")).json()["exchanges"])


async def newest_price(url: str, symbol: str) -> float:
    async with httpx.AsyncClient() as http:
        return float((await http.get(f"{url}/api/ticker/{symbol}")).json()["price"])
