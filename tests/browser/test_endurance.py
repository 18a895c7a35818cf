"""A page that stays open: after thousands of ticks it holds no more memory, nodes or listeners than before."""

from functools import partial

import pytest
from playwright.async_api import CDPSession, Page

from support.demo import Demo
from support.waiting import until

from .market import FEATURED, expect_live
from .visitor import Visitor

BUSY_EVENTS_PER_S = 2000
ASK_FOR_MANY_TICKS = """() => {  // the page and the element share one stream, at the higher rate of the two
  const element = document.createElement("market-pulse");
  element.setAttribute("max-hz", "50");
  document.body.append(Object.assign(document.createElement("script"), { src: "/market-pulse.js" }), element);
}"""
TICKS = 2000
CHARTS_FILL_BYTES = 3_000_000  # charts fill for ten minutes, then drop old points; a page that kept its tickers grew by 5 MB
COUNT_TICKS = """() => {  // on the channel over which tabs share their stream
  window.ticks = 0;
  const channel = new BroadcastChannel("market-pulse.v5  ");
  channel.onmessage = ({ data: [type] }) => { if (type === "ticker") ticks += 1; };
}"""


@pytest.mark.long
async def test_memory_stays_flat_over_thousands_of_ticks(visitor: Visitor, demo: Demo) -> None:
    page = await visitor.open("/")
    await expect_live(page, *FEATURED)
    symbols = [f"{base}-USDT" for base in FEATURED]
    await demo.control("POST", "/control/rate", {"events_per_s": BUSY_EVENTS_PER_S, "symbols": symbols})
    try:
        await page.evaluate(ASK_FOR_MANY_TICKS)
        await page.evaluate(COUNT_TICKS)
        session = await visitor.context.new_cdp_session(page)
        await _ticks(page, TICKS)
        before = await _held(session)
        await _ticks(page, 4 * TICKS)
        after = await _held(session)
    finally:
        await demo.control("POST", "/control/rate", {"events_per_s": 300})
    assert after["nodes"] <= before["nodes"] + 200, (before, after)
    assert after["jsEventListeners"] <= before["jsEventListeners"] + 50, (before, after)
    assert after["heap"] <= before["heap"] + CHARTS_FILL_BYTES, (before, after)


async def _ticks(page: Page, count: int) -> None:
    """Wait until the page has received `count` ticks in all. Fail if hardly any more come."""
    for upto in range(0, count + 1, count // 20):
        try:
            await until(partial(_has_taken, page, upto), every_s=0.2)
        except TimeoutError:
            bar = await page.locator(".bar").inner_text()
            pytest.fail(f"{await page.evaluate('ticks')} of {count} ticks, and hardly any more comes; the bar says:\n{bar}")


async def _has_taken(page: Page, count: int) -> bool:
    return int(await page.evaluate("ticks")) >= count


async def _held(session: CDPSession) -> dict[str, int]:
    """Return the page's memory, nodes and listeners after a garbage collection."""
    await session.send("HeapProfiler.enable")
    await session.send("HeapProfiler.collectGarbage")
    counters = await session.send("Memory.getDOMCounters")
    usage = await session.send("Runtime.getHeapUsage")
    return {**counters, "heap": int(usage["usedSize"])}
