"""A card's chart: its past is there at once, it goes on live, and it says so if it cannot."""

import asyncio
import json
import re
import time

import pytest
from playwright.async_api import Locator, Page, Route, expect

from support.waiting import until

from .market import card
from .visitor import Visitor

INTERVALS_S = {"1m": 60, "1h": 3600, "1d": 86_400}
CANDLES = re.compile("/api/candles/")
# Counts the pieces of all lines that are drawn on canvases, and those of the longest line.
COUNT_PIECES = """() => {
  const { beginPath, lineTo } = CanvasRenderingContext2D.prototype;
  let line = 0;
  window.pieces = window.longest = 0;
  CanvasRenderingContext2D.prototype.beginPath = function () {
    line = 0;
    return beginPath.call(this);
  };
  CanvasRenderingContext2D.prototype.lineTo = function (...at) {
    line += 1;
    window.pieces += 1;
    window.longest = Math.max(window.longest, line);
    return lineTo.apply(this, at);
  };
}"""


def chart_of(page: Page) -> Locator:
    return card(page, "BTC-USDT").locator(".chart")


async def choose(page: Page, label: str) -> None:
    await chart_of(page).get_by_role("button", name=label, exact=True).click()


@pytest.mark.parametrize(
    ("label", "interval", "count"), [("24 h", "1m", 1440), ("30 d", "1h", 720), ("1 y", "1d", 365)], ids=["24h", "30d", "1y"]
)
async def test_a_range_of_candles_is_drawn_at_once(visitor: Visitor, label: str, interval: str, count: int) -> None:
    asked: list[str] = []
    is_cleared = asyncio.Event()
    step_ms = 1000 * INTERVALS_S[interval]

    async def play(route: Route) -> None:
        """Answer with as many closed candles as were asked for, with prices near the live one, and the open one."""
        if f"interval={interval}&" not in route.request.url:  # of the range that the chart shows at first
            await route.fallback()
            return
        asked.append(route.request.url)
        await is_cleared.wait()
        start = int(1000 * time.time()) // step_ms * step_ms
        candles = [_candle(interval, start - n * step_ms, step_ms, 63_000 + n % 7, closed=n > 0) for n in range(count)]
        body = {"symbol": "BTC-USDT", "interval": interval, "exchange": None, "candles": candles[::-1]}
        await route.fulfill(body=json.dumps(body), content_type="application/json")

    await visitor.context.add_init_script(f"({COUNT_PIECES})()")
    await visitor.context.route(CANDLES, play)
    page = await visitor.open("/?symbols=BTC")
    await expect(card(page, "BTC-USDT")).to_have_attribute("data-trust", "live")
    await expect(chart_of(page).locator(".chart-tag")).to_have_text(re.compile(r"\d"))
    await choose(page, label)
    await until(lambda: asked)
    await page.evaluate("new Promise(requestAnimationFrame)")  # the range before is gone after this frame
    await page.evaluate("new Promise(requestAnimationFrame).then(() => { window.longest = 0; })")
    is_cleared.set()
    await page.wait_for_function("pieces => window.longest >= pieces", arg=count - 1)
    assert f"interval={interval}&limit={count}" in asked[0]


async def test_a_chart_without_candles_says_so_and_shows_seconds_all_the_same(visitor: Visitor) -> None:
    problem = {"type": "about:blank", "title": "No room", "status": 503, "code": "no_room", "detail": "all places are taken"}
    visitor.allow("status of 503")

    async def refuse(route: Route) -> None:
        await route.fulfill(status=503, body=json.dumps(problem), content_type="application/problem+json")

    await visitor.context.route(CANDLES, refuse)
    page = await visitor.open("/?symbols=BTC")
    note = chart_of(page).locator(".chart-note")
    await expect(note).to_contain_text(re.compile("no candles|New candles do not arrive"))
    await choose(page, "10 min")
    await expect(note).to_have_count(0)


async def test_the_page_opens_one_stream_that_has_the_charts_candles(visitor: Visitor) -> None:
    streams: list[str] = []
    visitor.context.on("request", lambda request: streams.append(request.url) if "/api/realtime" in request.url else None)
    page = await visitor.open("/?symbols=BTC,ETH,SOL,BNB")
    # The latency is the last part of the page to be known, and needs a field of its own.
    await expect(page.locator(".latency")).to_have_text(re.compile(r"\d+ ms"))
    assert ["candle%3A1m%3ABTC" in url for url in streams] == [True]


async def test_a_line_is_drawn_once_a_second(visitor: Visitor) -> None:
    await visitor.context.add_init_script(f"({COUNT_PIECES})()")
    page = await visitor.open("/?symbols=BTC")
    await expect(card(page, "BTC-USDT")).to_have_attribute("data-trust", "live")
    await choose(page, "10 min")
    await page.evaluate("""() => {
      window.seen = { drawings: 0, prices: 0 };
      let [pieces, price] = [window.pieces, ""];
      const look = () => {
        const now = document.querySelector("article .price .visually-hidden").textContent;
        window.seen.prices += now !== price;
        window.seen.drawings += window.pieces !== pieces;
        [pieces, price] = [window.pieces, now];
        requestAnimationFrame(look);
      };
      look();
    }""")
    await until(lambda: _has_seen(page, prices=40))
    seen = await page.evaluate("window.seen")
    assert 0 < seen["drawings"] < 0.6 * seen["prices"]  # there are about four prices a second


async def _has_seen(page: Page, prices: int) -> bool:
    return bool(await page.evaluate(f"window.seen.prices >= {prices}"))


def _candle(interval: str, start: int, step_ms: int, close: float, *, closed: bool) -> dict[str, object]:
    return {
        "v": 1,
        "symbol": "BTC-USDT",
        "exchange": None,
        "interval": interval,
        "start": start,
        "end": start + step_ms,
        "open": close,
        "high": close,
        "low": close,
        "close": close,
        "volume": 1.0,
        "quoteVolume": close,
        "trades": None,
        "revision": 0,
        "missed": None,
        "origin": "exchanges",
        "closed": closed,
    }
