"""Prices in USDT and in USD: the switch between them, and how converted prices are explained."""

import re
from decimal import Decimal
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, expect

from support.demo import Demo
from support.waiting import until

from .elsewhere import Elsewhere
from .market import FEATURED, card, expect_live, streams, tile
from .test_choice import add, parts_and_total
from .visitor import Visitor

DEPEGGED = re.compile(r"USDT (at|is) 0\.9[45]")
RATE = re.compile(r"USDT is (\S+) USD")


def figure(text: str | None) -> Decimal:
    return Decimal(str(text).replace(",", ""))


async def expect_quotes(page: Page, quote: str, *bases: str) -> None:
    for base in bases:
        await expect(tile(page, base).locator(".price-quote")).to_have_text(f" {quote}")


async def test_the_switch_changes_bar_and_cards_and_is_shared_and_remembered(visitor: Visitor, browser: Browser) -> None:
    page = await visitor.open("/?symbols=BTC,ETH-BTC")
    await expect_live(page, *FEATURED)
    await expect_quotes(page, "USDT", *FEATURED)
    await page.get_by_role("button", name="USD", exact=True).click()
    await expect_quotes(page, "USD", *FEATURED)
    await expect_live(page, *FEATURED)
    await expect(card(page, "BTC-USD")).to_have_attribute("data-trust", "live")
    await expect(card(page, "BTC-USD").locator(".price-quote").first).to_have_text(" USD")
    await expect(card(page, "ETH-BTC").locator(".price-quote").first).to_have_text(" BTC")
    assert urlsplit(page.url).query == "symbols=BTC,ETH-BTC&quote=USD"
    assert "$" not in await page.locator("main").inner_text()

    again = await visitor.open("/")
    await expect_quotes(again, "USD", *FEATURED)

    stranger = await browser.new_context()
    theirs = await stranger.new_page()
    await theirs.goto(page.url)
    await expect(card(theirs, "BTC-USD")).to_have_attribute("data-trust", "live")
    await stranger.close()


async def test_one_symbol_in_two_quotes_side_by_side_by_one_stream(visitor: Visitor) -> None:
    page = await visitor.open("/?symbols=BTC")
    await add(page, "BTC-USD", r"BTC/USD\b")
    for symbol in ("BTC-USDT", "BTC-USD"):
        await expect(page.get_by_role("article", name=symbol, exact=True)).to_have_attribute("data-trust", "live")
    await until(lambda: _streams_are(visitor.url, 1))


async def test_converted_prices_add_up_and_tell_their_rate(visitor: Visitor) -> None:
    page = await visitor.open("/?symbols=BTC&quote=USD")
    await card(page, "BTC-USD").get_by_text("Why this price?").click()
    binance = page.locator(".why tbody tr", has_text="Binance")
    await expect(binance).to_have_attribute("data-used", "true")
    await page.get_by_role("button", name="Pause", exact=True).click()  # so that the table stands still while it is read
    parts, total = await parts_and_total(page)
    assert sum(parts) == total
    factors, price = await binance.locator("td").nth(0).text_content(), await binance.locator("td").nth(1).text_content()
    own, rate = str(factors).split(" USDT × ")
    assert abs(figure(own) * figure(rate) - figure(price)) <= Decimal("0.01"), "prices have two decimals"
    told = RATE.search(await page.locator(".why").inner_text())
    assert told is not None
    assert told[1] == rate


async def test_a_depeg_is_told_beside_every_converted_price(visitor: Visitor, demo: Demo) -> None:
    page = await visitor.open("/?symbols=BTC&quote=USD")
    await card(page, "BTC-USD").get_by_text("Why this price?").click()
    await demo.control("POST", "/control/depeg", {"currency": "USDT", "rate": 0.95})
    try:
        binance = page.locator(".why tbody tr", has_text="Binance")
        await expect(binance).to_contain_text(DEPEGGED)
        await expect(page.locator(".why tbody tr", has_text="Coinbase")).not_to_contain_text("USDT at")
        await expect(page.locator(".why-note").first).to_contain_text(DEPEGGED)
    finally:
        await demo.control("POST", "/control/depeg", {"currency": "USDT"})


async def test_without_a_rate_converted_prices_are_no_prices(visitor: Visitor, demo: Demo) -> None:
    page = await visitor.open("/?symbols=BTC&quote=USD")
    await card(page, "BTC-USD").get_by_text("Why this price?").click()
    binance = page.locator(".why tbody tr", has_text="Binance")
    await expect(binance).to_have_attribute("data-used", "true")
    await demo.fault("*", "mute", symbol="USDT-USD")
    await expect(binance).to_contain_text("no price")
    await expect(binance).to_contain_text("USDT ×")
    await expect(page.locator(".why-note").first).to_contain_text("no price of USDT in USD now")
    await expect(page.locator(".why tbody tr", has_text="Coinbase")).to_have_attribute("data-used", "true")


async def test_a_chart_shows_three_exchanges_and_the_rest_on_demand(visitor: Visitor) -> None:
    page = await visitor.open("/?symbols=BTC")
    legend = card(page, "BTC-USDT").locator(".legend")
    await expect(legend.get_by_role("button", pressed=True)).to_have_count(3)
    hidden = legend.get_by_role("button", pressed=False)
    if await hidden.count():
        await hidden.first.click()
        await expect(legend.get_by_role("button", pressed=True)).to_have_count(4)


async def test_embed_and_element_take_any_quote(visitor: Visitor, elsewhere: Elsewhere) -> None:
    framed = await visitor.open("/embed?symbols=BTC,ETH-USDT&quote=USD")
    await expect_live(framed, "BTC", "ETH")
    await expect_quotes(framed, "USD", "BTC")
    await expect_quotes(framed, "USDT", "ETH")
    body = f'<script src="{visitor.url}/market-pulse.js"></script><market-pulse symbols="BTC,BTC-USD"></market-pulse>'
    other = await visitor.open(elsewhere.show(body))
    await expect(other.locator("market-pulse li[data-live]")).to_have_count(2)
    assert await other.locator("market-pulse .quote").all_text_contents() == [" USDT", " USD"]


async def _streams_are(url: str, count: int) -> bool:
    return await streams(url) == count
