"""Many components and tabs share one connection."""

import re

from playwright.async_api import Page, expect

from support.demo import Demo
from support.waiting import until

from .market import card, expect_live, mark_of, streams
from .visitor import Visitor

TWENTY = (
    *("BTC", "ETH", "SOL", "BNB", "DOGE", "ADA", "XRP", "LTC", "DOT", "AVAX"),
    *("LINK", "UNI", "ATOM", "TRX", "NEAR", "APT", "ARB", "OP", "SUI", "FIL"),
)


async def test_twenty_symbols_in_three_tabs_make_one_stream(visitor: Visitor, demo: Demo) -> None:
    path = f"/?symbols={','.join(TWENTY)}"
    tabs = [await visitor.open(path) for _ in range(3)]
    for page in tabs:
        await _expect_all_live(page)
    await until(lambda: _streams_are(demo, 1))
    # The first tab has the stream. When it closes, another takes over.
    await tabs[0].close()
    for page in tabs[1:]:
        await _expect_all_live(page)
    await until(lambda: _streams_are(demo, 1))
    for page in tabs[1:]:
        await page.close()
    await until(lambda: _streams_are(demo, 0))


async def test_tabs_with_different_symbols_share_a_stream(visitor: Visitor, demo: Demo) -> None:
    first = await visitor.open("/?symbols=BTC")
    await expect_live(first, "BTC")
    second = await visitor.open("/?symbols=DOGE")
    await expect(mark_of(card(second, "DOGE-USDT"))).to_have_attribute("data-state", re.compile("live|degraded"))
    await expect_live(first, "BTC")
    await until(lambda: _streams_are(demo, 1))


async def _expect_all_live(page: Page) -> None:
    for base in TWENTY:
        await expect(mark_of(card(page, f"{base}-USDT"))).to_have_attribute("data-state", re.compile("live|degraded"))


async def _streams_are(demo: Demo, count: int) -> bool:
    return await streams(demo.page) == count
