"""The choice of symbols: search, sharing by URL, memory across visits, and explanations of wrong symbols."""

import re
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, expect

from support.demo import Demo

from .market import card, expect_live, price_of
from .visitor import Visitor


async def add(page: Page, text: str, symbol: str) -> None:
    """Search for a text, and choose a symbol from the results."""
    await page.get_by_role("combobox", name="Add a symbol").fill(text)
    await page.get_by_role("option").filter(has_text=re.compile(symbol)).first.click()


async def parts_and_total(page: Page) -> tuple[list[int], int]:
    """Return the exchanges' parts and their sum as "Why this price?" writes them, in millionths; unused exchanges have no part."""
    parts = await page.locator(".why tbody td:nth-last-child(3)").all_text_contents()
    [total] = await page.locator(".why tfoot td:nth-last-child(2)").all_text_contents()
    return [millionths(part) for part in parts if part != "–"], millionths(total)


def millionths(text: str) -> int:
    return round(float(text.replace(",", "")) * 1e6)


async def test_a_searched_symbol_streams_and_is_shared_by_its_address(visitor: Visitor, browser: Browser) -> None:
    page = await visitor.open("/")
    await expect_live(page, "BTC")
    await add(page, "doge", "DOGE/USDT")
    await expect(price_of(card(page, "DOGE-USDT"))).to_have_text(re.compile(r"^0\.\d+$"))
    await expect(card(page, "DOGE-USDT")).to_have_attribute("data-trust", "live")
    assert urlsplit(page.url).query == "symbols=BTC,ETH,SOL,BNB,DOGE"

    stranger = await browser.new_context()
    theirs = await stranger.new_page()
    await theirs.goto(page.url)
    await expect(card(theirs, "DOGE-USDT")).to_have_attribute("data-trust", "live")
    await stranger.close()


async def test_the_choice_is_remembered_and_the_address_wins(visitor: Visitor) -> None:
    page = await visitor.open("/")
    await add(page, "PEPE", "PEPE/USDT")
    await card(page, "BTC-USDT").get_by_role("button", name="Remove BTC").click()
    await expect(card(page, "BTC-USDT")).to_have_count(0)
    again = await visitor.open("/")
    await expect(card(again, "PEPE-USDT")).to_be_visible()
    await expect(card(again, "BTC-USDT")).to_have_count(0)
    assert urlsplit(again.url).query == "symbols=ETH,SOL,BNB,PEPE"
    told = await visitor.open("/?symbols=XRP")
    await expect(card(told, "XRP-USDT")).to_be_visible()
    await expect(told.get_by_role("article")).to_have_count(1)


async def test_a_copied_link_shows_the_same_symbols(visitor: Visitor) -> None:
    await visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await visitor.open("/?symbols=SOL,ETH-BTC")
    await page.get_by_role("button", name="Copy link").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = await page.evaluate("navigator.clipboard.readText()")
    assert link == f"{visitor.url}/?symbols=SOL,ETH-BTC"


async def test_a_symbol_that_nobody_lists_is_explained_and_the_others_stream(visitor: Visitor) -> None:
    visitor.allow("status of 404|EventSource")
    page = await visitor.open("/?symbols=BTC,DOGGE,not a symbol")
    await expect(card(page, "BTC-USDT")).to_have_attribute("data-trust", "live")
    await expect(card(page, "not a symbol")).to_contain_text("Not a symbol")
    unknown = card(page, "DOGGE")
    await expect(unknown).to_contain_text("Nobody lists DOGGE-USDT")
    await unknown.get_by_role("button", name="DOGE-USDT", exact=True).click()
    await expect(card(page, "DOGE-USDT")).to_have_attribute("data-trust", "live")


async def test_a_search_in_vain_says_so(visitor: Visitor) -> None:
    page = await visitor.open("/")
    await page.get_by_role("combobox", name="Add a symbol").fill("nosuchcoin")
    await expect(page.get_by_text("No exchange lists “nosuchcoin”.")).to_be_visible()


async def test_the_parts_of_a_price_add_up_in_sight(visitor: Visitor) -> None:
    page = await visitor.open("/?symbols=BTC")
    await card(page, "BTC-USDT").get_by_text("Why this price?").click()
    await expect(page.locator(".why table")).to_be_visible()
    await page.get_by_role("button", name="Pause", exact=True).click()  # so that the table stands still while it is read
    parts, total = await parts_and_total(page)
    assert sum(parts) == total
    shown = float(str(await price_of(card(page, "BTC-USDT")).text_content()).replace(",", ""))
    assert abs(total / 1e6 / shown - 1) < 1e-3  # the table is up to a second older than the headline


async def test_an_excluded_exchange_is_struck_through_with_the_reason(visitor: Visitor, demo: Demo) -> None:
    page = await visitor.open("/?symbols=BTC")
    await expect(card(page, "BTC-USDT")).to_have_attribute("data-trust", "live")
    await card(page, "BTC-USDT").get_by_text("Why this price?").click()
    await demo.fault("okx", "spike", factor=1.2, symbol="BTC-USDT")
    okx = page.locator(".why tbody tr", has_text="OKX")
    await expect(okx.locator("th s")).to_have_text("OKX")
    await expect(okx).to_contain_text("excluded")
    await expect(okx).to_have_attribute("data-used", "false")
