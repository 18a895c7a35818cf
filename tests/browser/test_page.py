"""The page in a browser: all from one origin, within its content security policy, and framed only where that is allowed."""

import re

import pytest
from playwright.async_api import expect

from .elsewhere import Elsewhere
from .visitor import Visitor

A_PRICE = re.compile(r"\d,\d{3}\.\d\d")


@pytest.mark.parametrize("path", ["/", "/embed"])
async def test_it_loads_with_nothing_to_complain_about(visitor: Visitor, path: str) -> None:
    page = await visitor.open(path)
    await expect(page).to_have_title("Market Pulse")
    await expect(page.locator("#root")).to_contain_text(A_PRICE)
    assert await visitor.complaints() == []


async def test_the_embedded_page_may_be_framed(visitor: Visitor, elsewhere: Elsewhere) -> None:
    page = await visitor.open(elsewhere.show(f'<iframe src="{visitor.url}/embed"></iframe>'))
    await expect(page.frame_locator("iframe").locator("#root")).to_contain_text(A_PRICE)


async def test_the_page_may_not_be_framed(visitor: Visitor, elsewhere: Elsewhere) -> None:
    visitor.allow("frame-ancestors|ERR_BLOCKED_BY_RESPONSE")
    page = await visitor.open(elsewhere.show(f'<iframe src="{visitor.url}/"></iframe>'))
    [frame] = page.main_frame.child_frames
    assert await frame.locator("#root").count() == 0
    assert frame.url.startswith("chrome-error:")


async def test_what_goes_wrong_is_noticed(visitor: Visitor) -> None:
    """The visitor must report errors, because the other tests rely on that."""
    page = await visitor.open("/")
    await page.evaluate("""async () => {
        console.error("said aloud");
        setTimeout(() => { throw new Error("thrown aside"); });
        document.head.append(Object.assign(document.createElement("script"), { textContent: "1" }));
        await fetch("/api/ticker/NOSUCHSYMBOL");
        await fetch("https://elsewhere.invalid/").catch(() => undefined);
    }""")
    complaints = "\n".join(await visitor.complaints())
    for expected in ("said aloud", "thrown aside", "script-src", "404", "elsewhere.invalid"):
        assert expected in complaints
    visitor.allow("")
