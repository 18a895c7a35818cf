"""A gateway that requires a key, with requests as programs and browsers send them."""

from collections.abc import AsyncIterator

import pytest

from support.redis_server import RedisServer
from support.whole_bus import WholeBus

from .gateway_fixtures import BTC, Market, Running, reading, running_gateway

KEY = "a-key-of-this-test"


@pytest.fixture
async def running(server: RedisServer) -> AsyncIterator[Running]:
    async with WholeBus.open(server.url) as bus:
        market = Market(bus)
        await market.list_symbols(BTC)
        await market.publish(BTC, 64000.0)
        async with running_gateway(server.url, api_keys=KEY) as running:
            yield running


@pytest.mark.parametrize("path", [f"/api/realtime/BTC?api_key={KEY}", f"/api/realtime?symbols=BTC&max_hz=2.5&api_key={KEY}"])
async def test_an_event_source_brings_its_key_in_the_address(running: Running, path: str) -> None:
    async with reading(running.http, path) as reader:
        assert (await reader.next("ticker"))["price"] == 64000.0


async def test_programs_bring_it_in_a_header(running: Running) -> None:
    assert (await running.http.get("/api/ticker/BTC")).status_code == 401
    bearer = {"Authorization": f"Bearer {KEY}"}
    assert (await running.http.get("/api/ticker/BTC", headers=bearer)).json()["price"] == 64000.0
    async with reading(running.http, "/api/realtime/BTC", headers=bearer) as reader:
        assert (await reader.next("ticker"))["price"] == 64000.0


PREFLIGHT = {
    "Origin": "https://shop.example",
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "x-api-key",
}


async def test_who_has_a_key_may_send_it_where_none_is_needed_any_more(server: RedisServer) -> None:
    async with running_gateway(server.url) as running:
        assert (await running.http.options("/api/ticker/BTC", headers=PREFLIGHT)).status_code == 200


async def test_a_browser_of_another_site_may_send_the_header_and_read_the_refusal(running: Running) -> None:
    assert (await running.http.options("/api/ticker/BTC", headers=PREFLIGHT)).status_code == 200
    refused = await running.http.get("/api/ticker/BTC", headers={"Origin": "https://shop.example"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")


async def test_no_cache_keeps_for_others_what_took_a_key(running: Running) -> None:
    for path in ("/api/symbols", "/api/symbols?q=B", "/api/history/BTC", "/api/ticker/BTC", "/api/status"):
        answer = await running.http.get(path, headers={"X-API-Key": KEY})
        assert answer.status_code == 200
        assert answer.headers["cache-control"].split(",")[0] in {"private", "no-store"}


async def test_page_and_probes_need_none(running: Running) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/openapi.json", "/docs"):
        assert (await running.http.get(path)).status_code == 200
