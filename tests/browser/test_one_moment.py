"""One price, one moment: the headline, its text for screen readers, the bar's tile and the chart's tag in the same frame."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from support.demo import Demo
from support.waiting import until

from .market import card
from .visitor import Visitor

FRAMES = 600
SYMBOLS = ("BTC-USDT", "ETH-USDT")
# Runs all callbacks of a frame as one, and inspects the page after the last of them, since nothing changes between that and
# the painting. Each canvas records the texts written on it since it was cleared.
WATCH = """() => {
  const written = new WeakMap();
  const { fillText } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {
    const { canvas } = this;
    if (/\\d[.,]\\d/.test(text)) written.set(canvas, [...(written.get(canvas) ?? []), text]);
    return fillText.call(this, text, ...at);
  };
  const { fillRect } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.fillRect = function (...box) {
    if (this.globalCompositeOperation === "copy") written.set(this.canvas, []); // that is how the charts clear theirs
    return fillRect.call(this, ...box);
  };
  const request = requestAnimationFrame.bind(window);
  let due = new Map();
  let id = 0;
  window.frames_ = [];
  window.textsOf = (symbol) =>
    [...document.querySelectorAll(`article[aria-label="${symbol}"] canvas`)].map((canvas) => written.get(canvas) ?? []);
  window.tagOf = (symbol) => document.querySelector(`article[aria-label="${symbol}"] .chart-tag:not([hidden])`)?.textContent;
  window.requestAnimationFrame = (callback) => {
    if (!due.size) request(run);
    due.set(++id, callback);
    return id;
  };
  window.cancelAnimationFrame = (id) => due.delete(id);
  function run(time) {
    const now = due;
    due = new Map();
    for (const [id, callback] of now) callback(time);
    queueMicrotask(() => queueMicrotask(look));
  }
  function look() {
    if (!window.isWatching || frames_.length >= %(frames)d) return;
    window.requestAnimationFrame(() => {});
    const frame = {};
    for (const symbol of %(symbols)s) {
      const article = document.querySelector(`article[aria-label="${symbol}"]`);
      const tile = [...document.querySelectorAll("li.tile")].find((one) => one.querySelector("b").textContent === symbol.split("-")[0]);
      frame[symbol] = {
        headline: article.querySelector(".price [aria-hidden]").textContent,
        spoken: article.querySelector(".price .visually-hidden").textContent,
        tile: tile.querySelector(".price [aria-hidden]").textContent,
        tag: tagOf(symbol),
      };
    }
    frames_.push(frame);
  }
}"""


async def test_headline_tile_spoken_text_and_tag_are_one_price_in_every_frame(visitor: Visitor) -> None:
    await visitor.context.add_init_script(f"({WATCH % {'frames': FRAMES, 'symbols': list(SYMBOLS)}})()")
    page = await visitor.open("/")
    await page.set_viewport_size({"width": 1280, "height": 2000})  # all charts are in sight
    for symbol in SYMBOLS:
        await expect(card(page, symbol)).to_have_attribute("data-trust", "live")
        await page.wait_for_function("symbol => tagOf(symbol)", arg=symbol)
    await page.evaluate("() => { window.isWatching = true; requestAnimationFrame(() => {}); }")
    await until(lambda: _count(page), within_s=120)
    frames: list[dict[str, dict[str, Any]]] = await page.evaluate("frames_")
    different = [
        (symbol, seen)
        for frame in frames
        for symbol, seen in frame.items()
        if not (seen["headline"] == seen["spoken"] == seen["tile"] == seen["tag"])
    ]
    assert different == [], f"{len(different)} of {len(SYMBOLS) * len(frames)}"
    for symbol in SYMBOLS:
        assert len({frame[symbol]["headline"] for frame in frames}) > 10  # otherwise nothing was compared


async def _count(page: Page) -> bool:
    return bool(await page.evaluate(f"frames_.length >= {FRAMES}"))


async def test_while_a_price_is_not_live_no_tag_says_that_it_is(visitor: Visitor, demo: Demo) -> None:
    page = await visitor.open("/?symbols=BTC")
    tag = card(page, "BTC-USDT").locator(".chart-tag")
    await expect(card(page, "BTC-USDT")).to_have_attribute("data-trust", "live")
    await expect(tag).to_have_text(re.compile(r"\d"))
    await demo.fault("*", "mute", symbol="BTC-USDT")
    await expect(card(page, "BTC-USDT")).to_have_attribute("data-trust", re.compile("stale|offline"))
    await expect(tag).to_be_hidden()


@pytest.mark.parametrize("symbol", ["BTC-USDT", "PEPE-USDT", "DOGE-USDT"])
async def test_no_two_prices_of_an_axis_are_alike(visitor: Visitor, symbol: str) -> None:
    await visitor.context.add_init_script(f"({WATCH % {'frames': FRAMES, 'symbols': list(SYMBOLS)}})()")
    page = await visitor.open(f"/?symbols={symbol}")
    await expect(card(page, symbol)).to_have_attribute("data-trust", re.compile("live|degraded"))
    for _ in range(20):
        await page.wait_for_function("symbol => textsOf(symbol).some((texts) => texts.length > 3)", arg=symbol)
        axes: list[list[str]] = await page.evaluate("symbol => textsOf(symbol).filter((texts) => texts.length > 3)", symbol)
        for marks in axes:
            assert len(set(marks)) == len(marks), marks
        await page.wait_for_timeout(100)
