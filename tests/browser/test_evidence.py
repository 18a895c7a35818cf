"""Arriving prices count more than the platform's hints: on a page whose browser reports to be offline, and in workers."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from support.waiting import until

from .elsewhere import Elsewhere
from .market import FEATURED, card, expect_count, expect_live, streams, tile
from .visitor import Visitor

WEB = Path(__file__).parents[2] / "services/gateway/web"
ONLY_LOOPBACK = """
Object.defineProperty(Navigator.prototype, "onLine", { get: () => false });
addEventListener("DOMContentLoaded", () => dispatchEvent(new Event("offline")));
setInterval(() => dispatchEvent(new Event("offline")), 500);
"""
SSE = {"Content-Type": "text/event-stream"}


async def test_a_machine_with_nothing_but_loopback_has_live_prices(visitor: Visitor, elsewhere: Elsewhere) -> None:
    await visitor.context.add_init_script(ONLY_LOOPBACK)
    page = await visitor.open("/")
    assert await page.evaluate("navigator.onLine") is False
    await expect_live(page, *FEATURED)
    await expect_count(page, "4/4 connected")
    await asyncio.sleep(3)
    await expect_live(page, *FEATURED)
    body = f'<script src="{visitor.url}/market-pulse.js"></script><market-pulse symbols="BTC"></market-pulse>'
    other = await visitor.open(elsewhere.show(body))
    await expect(other.locator("market-pulse li")).to_have_attribute("data-live", "")


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The modules of the published package, by name."""
    node = shutil.which("node") or str(Path(__file__).parents[2] / ".venv/bin/node")
    folder = tmp_path_factory.mktemp("package")
    tsc = str(WEB / "node_modules/typescript/bin/tsc")
    subprocess.run([node, tsc, "-p", "tsconfig.package.json", "--outDir", str(folder)], cwd=WEB, check=True, timeout=300)
    return {module.name: module.read_text() for module in folder.glob("*.js")}


@pytest.mark.parametrize("kind", ["Worker", "SharedWorker"])
async def test_the_client_streams_in_a_worker(
    visitor: Visitor, elsewhere: Elsewhere, package: dict[str, str], kind: str
) -> None:
    for name, text in package.items():
        elsewhere.serve(f"/{name}", text, "text/javascript")
    elsewhere.serve(
        "/worker.js",
        f"""
        import {{ createRealtimeClient }} from "./client.js";
        const tell = (port) => {{
          const client = createRealtimeClient({{ baseUrl: "{visitor.url}" }});
          const btc = client.symbol("BTC");
          btc.subscribe(() => port.postMessage(JSON.stringify(btc.getSnapshot())));
        }};
        if ("onconnect" in globalThis) onconnect = ({{ ports: [port] }}) => tell(port);
        else tell(globalThis);
        """,
        "text/javascript",
    )
    page = await visitor.open(elsewhere.show("a page"))
    await page.evaluate(
        """(kind) => {
          window.states = [];
          const worker = new globalThis[kind]("/worker.js", { type: "module" });
          const port = worker.port ?? worker;
          port.onmessage = ({ data }) => states.push(JSON.parse(data));
          window.kept = worker;
        }""",
        kind,
    )
    await page.wait_for_function("() => states.filter(({ isConnected, ticker }) => isConnected && ticker.price > 0).length > 5")
    await until(lambda: _streams_are(visitor.url, 1))


async def test_a_refused_stream_is_shown_as_what_it_is(visitor: Visitor) -> None:
    problem = '{"status":429,"code":"too_many_streams","detail":"too many streams from this address","retryMs":600}'

    async def refuse(route: Route) -> None:
        await route.fulfill(headers=SSE, body=f"retry: 600\nevent: refused\ndata: {problem}\n\n")

    await visitor.context.route(re.compile("/api/realtime"), refuse)
    page = await visitor.open("/?symbols=BTC")
    await expect(card(page, "BTC-USDT")).to_contain_text("Too many streams from this address.")
    for part in (card(page, "BTC-USDT"), tile(page, "BTC")):
        await expect(part).to_have_attribute("data-trust", re.compile("stale|waiting"))
    await asyncio.sleep(5)  # it never was connected, so it does not become offline later either
    await expect(card(page, "BTC-USDT")).to_contain_text("Too many streams from this address.")
    await visitor.context.unroute(re.compile("/api/realtime"))
    await expect(card(page, "BTC-USDT")).to_have_attribute("data-trust", "live")


async def test_a_symbol_without_room_is_shown_as_that(visitor: Visitor, elsewhere: Elsewhere) -> None:
    asked = ",".join(f'"{base}-USDT"' for base in (*FEATURED, "DOGE"))  # the bar may ask for these in the same stream
    connected = f'{{"type":"connected","data":{{"symbols":[{asked}],"instance":"i","simulated":true,"heartbeatMs":15000}}}}'
    room = (
        '{"type":"room","data":{"symbol":"DOGE-USDT","room":false,"reason":"full","exchanges":["okx"],"detail":"okx is full"}}'
    )

    async def no_room(route: Route) -> None:
        await route.fulfill(headers=SSE | {"Access-Control-Allow-Origin": "*"}, body=f"data: {connected}\n\ndata: {room}\n\n")

    async def no_price(route: Route) -> None:
        await route.fulfill(
            json={"tickers": [], "missing": ["DOGE-USDT"], "noRoom": {"DOGE-USDT": "full"}},
            headers={"Access-Control-Allow-Origin": "*"},
        )

    await visitor.context.route(re.compile("/api/realtime"), no_room)
    await visitor.context.route(re.compile("/api/ticker"), no_price)
    page = await visitor.open("/?symbols=DOGE")
    await expect(card(page, "DOGE")).to_contain_text("Okx is full.")
    await expect(card(page, "DOGE")).to_have_attribute("data-trust", "waiting")
    await expect(card(page, "DOGE")).not_to_contain_text("lists")
    body = f'<script src="{visitor.url}/market-pulse.js"></script><market-pulse symbols="DOGE"></market-pulse>'
    other = await visitor.open(elsewhere.show(body))
    await expect(other.locator("market-pulse li")).to_contain_text("no room")
    await expect(other.locator("market-pulse li")).to_contain_text("okx is full")
    await expect(other.locator("market-pulse li")).to_have_attribute("data-shape", "hollow")


async def test_rapid_changes_of_the_symbols_open_at_most_ten_streams_a_second(visitor: Visitor, elsewhere: Elsewhere) -> None:
    body = f'<script src="{visitor.url}/market-pulse.js"></script><market-pulse symbols="BTC"></market-pulse>'
    await visitor.context.add_init_script("""
      const opened = window.opened = [];
      window.EventSource = class extends EventSource {
        constructor(...options) { super(...options); opened.push(performance.now()); }
      };
    """)
    page = await visitor.open(elsewhere.show(body))
    await expect(page.locator("market-pulse li")).to_have_attribute("data-live", "")
    await page.evaluate("""async () => {
      const element = document.querySelector("market-pulse");
      const bases = ["BTC", "ETH", "SOL", "BNB", "DOGE", "XRP", "ADA", "LTC"];
      for (const started = performance.now(), turns = [0]; performance.now() - started < 4000; turns[0] += 1) {
        const [turn] = turns;
        element.setAttribute("symbols", `${bases[turn % 8]},${bases[(turn * 3 + 1) % 8]}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      element.setAttribute("symbols", "DOT,AVAX");
    }""")
    await expect(page.locator("market-pulse li[data-live]")).to_have_count(2)
    times: dict[str, list[float]] = await page.evaluate("""() => {
      const of = (part) => performance.getEntriesByType("resource").filter(({ name }) => name.includes(part)).map(({ startTime }) => startTime);
      return { streams: window.opened, requests: of("/api/ticker") };
    }""")
    assert len(times["streams"]) > 10, "the symbols changed often enough for the bound to matter"
    assert _most_in_a_second(times["streams"]) <= 10
    # Each stream comes with a request. The client also asks once a second for symbols without a price.
    assert _most_in_a_second(times["requests"]) <= 10 + 1
    await until(lambda: _streams_are(visitor.url, 1))


async def test_a_failed_question_is_not_an_answer(visitor: Visitor) -> None:
    visitor.allow("ERR_FAILED|status of 50")

    async def fail(route: Route) -> None:
        await route.abort()

    failing = re.compile("/api/(symbols|history|status)")
    await visitor.context.route(failing, fail)
    page = await visitor.open("/")
    await expect(page.get_by_text("The gateway cannot be asked which symbols it has.")).to_be_visible()
    await expect(page.get_by_text("0/0")).to_have_count(0)
    await page.get_by_role("combobox", name="Add a symbol").fill("doge")
    await expect(page.locator(".search-vain")).to_contain_text("is not known")
    other = await visitor.open("/?symbols=BTC")
    await expect(card(other, "BTC-USDT")).to_have_attribute("data-trust", "live")
    await card(other, "BTC-USDT").get_by_role("button", name="10 min", exact=True).click()
    await expect(card(other, "BTC-USDT")).to_contain_text("The past could not be asked for")
    await visitor.context.unroute(failing)
    await expect_live(page, *FEATURED)
    await expect(card(other, "BTC-USDT").locator(".chart-note")).to_have_count(0)


@pytest.mark.parametrize("spelling", ["BTC/USDT", "BTC_USDT", "btc usdt"])
async def test_another_spelling_is_suggested(visitor: Visitor, elsewhere: Elsewhere, spelling: str) -> None:
    page = await visitor.open(f"/?symbols={spelling}")
    await page.locator(".card-unknown").get_by_role("button", name="BTC-USDT", exact=True).click()
    await expect(card(page, "BTC-USDT")).to_have_attribute("data-trust", "live")
    await page.get_by_role("combobox", name="Add a symbol").fill(spelling)
    await expect(page.get_by_role("option").first).to_contain_text("BTC/USDT")
    body = f'<script src="{visitor.url}/market-pulse.js"></script><market-pulse symbols="{spelling}"></market-pulse>'
    other = await visitor.open(elsewhere.show(body))
    await expect(other.locator("market-pulse")).to_contain_text("did you mean BTC-USDT?")


def _most_in_a_second(times: list[float]) -> int:
    return max(sum(start <= time < start + 1000 for time in times) for start in times)


async def _streams_are(url: str, count: int) -> bool:
    return await streams(url) == count
