"""How a gateway refuses: one form for every reason, and for an EventSource, which gives up for good after a status, a stream."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from gateway.stream.hub import RETRY_AFTER_LAST_BYE_MS
from support.redis_server import RedisServer
from support.waiting import PATIENCE_S, until
from support.whole_bus import WholeBus

from .gateway_fixtures import BTC, ETH, Market, Running, gateway_process, reading, running_gateway

NO_BUS = "redis://127.0.0.1:1/0"
SHOP = "https://shop.example"
EVENTS = {"Accept": "text/event-stream"}
BY_EDGE = {"X-Market-Pulse-Edge": "holds"}
TRACING = ["traceparent", "tracestate", "baggage", "sentry-trace", "x-datadog-trace-id", "b3", "X-B3-TraceId", "newrelic"]


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with running_gateway(NO_BUS, connected=False) as gateway:
        yield gateway


def problem(answer: httpx.Response) -> dict[str, Any]:
    """Check the form of a refusal, and return its content."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "code"} <= body.keys()
    assert body["status"] == answer.status_code
    return body


def refused(answer: httpx.Response) -> dict[str, Any]:
    """Check the form of a stream that is a refusal, and return the content of its event."""
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    retry, event, data, *rest = answer.text.split("\n")
    body: dict[str, Any] = orjson.loads(data.removeprefix("data: "))
    assert (retry, event, rest) == (f"retry: {body['retryMs']}", "event: refused", ["", ""])
    assert {"type", "title", "status", "detail", "code"} <= body.keys()
    return body


@pytest.fixture
async def market(server: RedisServer) -> AsyncIterator[Market]:
    async with WholeBus.open(server.url) as bus:
        yield Market(bus)


async def exchange(port: int, request: bytes) -> bytes:
    """Send bytes, and return all data until the gateway closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"NONSENSE\r\n\r\n", id="no HTTP"),
        pytest.param(b"GET /\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", id="HTTP/2"),
        pytest.param(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", id="a version that is not written so"),
        pytest.param(b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", id="an unknown version"),
        pytest.param(b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n", id="a malformed header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", id="two lengths"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", id="a malformed length"),
        pytest.param(b"CONNECT example.org:80 HTTP/1.1\r\nHost: example.org:80\r\n\r\n", id="a proxy is asked for"),
        pytest.param(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", id="a malformed path"),
        pytest.param(b"YELL / HTTP/1.1\r\nHost: a\r\n\r\n", id="an unknown method"),
    ],
)
async def test_what_is_no_http_is_refused_like_everything_else(running: Running, request_bytes: bytes) -> None:
    head, _, body = (await exchange(running.port, request_bytes)).partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = httpx.Headers([(name, value) for name, _, value in (line.partition(b": ") for line in lines)])
    assert status == b"HTTP/1.1 400 Bad Request"
    assert problem(httpx.Response(400, headers=headers, content=body))["code"] == "invalid_http"
    assert headers["access-control-allow-origin"] == "*"
    assert (headers["connection"], int(headers["content-length"])) == ("close", len(body))
    metrics = (await running.http.get("/metrics")).text
    assert "market_pulse_gateway_invalid_requests_total 1.0" in metrics


async def test_a_body_that_is_no_body_ends_the_connection(running: Running) -> None:
    chunks = b"POST /api/status HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno length\r\n"
    told = await exchange(running.port, chunks)
    assert told.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 "))
    assert b"application/problem+json" in told


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "nonsense"])
async def test_another_protocol_is_passed_over_and_counted(
    running: Running, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": protocol,
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
    }
    answer = await running.http.get("/livez", headers=headers)
    assert answer.status_code == 200
    assert "market_pulse_gateway_upgrades_ignored_total 1.0" in (await running.http.get("/metrics")).text
    assert not [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("uvicorn")
    ]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/docs/", 200),
        ("/livez/", 200),
        ("/api/status/", 200),
        ("/api/realtime/", 422),
        ("/docs-assets", 404),
        ("/docs-assets/", 404),
        ("/metrics/", 404),
        ("//", 200),
        ("//evil.example/", 404),
        ("/nothing/", 404),
        ("/api/ticker/", 422),
    ],
)
async def test_a_slash_at_the_end_leads_to_no_other_host(running: Running, path: str, status: int) -> None:
    told = await exchange(running.port, f"GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".encode())
    assert int(told.split(b" ", 2)[1]) == status
    assert b"location:" not in told.lower()


@pytest.mark.parametrize("allowed", [("*",), (SHOP,)], ids=["any site", "a site named"])
@pytest.mark.parametrize("path", ["/api/realtime/BTC", "/api/ticker", "/market-pulse.js"])
async def test_what_a_page_s_libraries_add_to_its_requests_is_let_pass(allowed: tuple[str, ...], path: str) -> None:
    async with running_gateway(NO_BUS, connected=False, cors_origins=allowed) as running:
        for method in ("GET", "HEAD"):
            answer = await running.http.options(
                path,
                headers={
                    "Origin": SHOP,
                    "Access-Control-Request-Method": method,
                    "Access-Control-Request-Headers": ",".join(TRACING),
                    "Access-Control-Request-Private-Network": "true",
                },
            )
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] in {"*", SHOP}
            assert answer.headers["access-control-allow-headers"].split(",") == TRACING
            assert answer.headers["access-control-allow-private-network"] == "true"


@pytest.mark.parametrize(
    ("origin", "method"), [("https://other.example", "GET"), (SHOP, "PUT")], ids=["a site not named", "a method that is not"]
)
async def test_what_a_page_may_not_ask_is_refused_beforehand(origin: str, method: str) -> None:
    async with running_gateway(NO_BUS, connected=False, cors_origins=(SHOP,)) as running:
        answer = await running.http.options("/api/status", headers={"Origin": origin, "Access-Control-Request-Method": method})
        assert problem(answer)["code"] == "preflight_refused"
        assert answer.headers.get("access-control-allow-origin") == (SHOP if origin == SHOP else None)


async def test_a_failure_within_is_a_problem_that_pages_may_read(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(running.gateway.hub.statuses, "current", fail)
    answer = await running.http.get("/api/status", headers={"Origin": SHOP})
    assert (answer.status_code, problem(answer)["code"]) == (500, "internal_error")
    assert answer.headers["access-control-allow-origin"] == "*"
    monkeypatch.setattr(running.gateway.limits, "take", fail)
    assert refused(await running.http.get("/api/realtime/BTC", headers=EVENTS))["status"] == 500


async def test_unsatisfiable_ranges_are_not_answered_in_another_form(running: Running) -> None:
    for range_ in ("bytes=999999999-", "bytes=x", "lines=1-2"):
        answer = await running.http.get("/docs-assets/swagger-ui.css", headers={"Range": range_})
        assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/api/realtime/SOL", "/api/realtime?symbols=BTC,SOL"])
async def test_an_unknown_listing_passes(running: Running, path: str) -> None:
    plain = await running.http.get(path, headers={"Origin": SHOP})
    assert (plain.status_code, problem(plain)["code"]) == (503, "listing_unknown")
    answer = await running.http.get(path, headers={**EVENTS, "Origin": SHOP})
    body = refused(answer)
    assert (body["status"], body["code"]) == (503, "listing_unknown")
    assert 1000 * int(plain.headers["retry-after"]) <= body["retryMs"]
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/realtime/B!", 400),
        ("/api/realtime?max_hz=1&max_hz=2&symbols=BTC", 400),
        ("/api/realtime", 422),
        ("/api/nothing", 404),
    ],
)
async def test_what_does_not_pass_stays_a_status(running: Running, path: str, status: int) -> None:
    assert problem(await running.http.get(path, headers=EVENTS))["status"] == status


async def test_without_a_key_is_a_status() -> None:
    async with running_gateway(NO_BUS, connected=False, api_keys=("k" * 16,)) as running:
        assert problem(await running.http.get("/api/realtime/BTC", headers=EVENTS))["status"] == 401


async def test_only_streams_are_refused_as_streams(running: Running) -> None:
    answer = await running.http.get("/api/ticker/SOL", headers=EVENTS)
    assert (answer.status_code, problem(answer)["code"]) == (503, "listing_unknown")


async def test_an_event_source_over_a_limit_is_told_so_and_counted(server: RedisServer) -> None:
    limits: dict[str, Any] = {"max_streams": 2, "max_streams_per_ip": 1, "trusted_proxies": ("127.0.0.1",)}
    async with running_gateway(server.url, **limits) as running, contextlib.AsyncExitStack() as streams:
        for number in (1, 2):
            open_stream = reading(running.http, "/api/realtime/BTC", headers={"X-Forwarded-For": f"192.0.2.{number}"})
            await (await streams.enter_async_context(open_stream)).next("connected")
        for address, status in (("192.0.2.1", 429), ("192.0.2.3", 503)):
            answer = await running.http.get("/api/realtime/BTC", headers={**EVENTS, "X-Forwarded-For": address})
            body = refused(answer)
            assert (body["status"], body["code"]) == (status, "too_many_streams")
        assert len(running.gateway.hub.streams) == 2
        assert running.gateway.limits.refused == {"address": 1, "total": 1}


async def test_the_goodbye_of_a_gateway_that_stops(server: RedisServer, market: Market) -> None:
    """If an edge holds the next request, the client may return soon; otherwise only after a lone gateway has restarted."""
    await market.publish(BTC, 1.0)
    async with (
        gateway_process(server.url, TRUSTED_PROXIES="127.0.0.1") as gateway,
        gateway_process(server.url) as trusts_nobody,
        contextlib.AsyncExitStack() as stack,
    ):
        readers = {}
        for name, one, headers in (
            ("straight", gateway, {}),
            ("by an edge", gateway, BY_EDGE),
            ("says so itself", trusts_nobody, BY_EDGE),
        ):
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=one.url, timeout=PATIENCE_S))
            readers[name] = await stack.enter_async_context(reading(http, "/api/realtime/BTC", headers=headers))
            await readers[name].next("ticker")
        for one in (gateway, trusts_nobody):
            one.process.terminate()
        for name, reader in readers.items():
            last = (await reader.rest())[-1]
            assert (last["type"], last["data"]["reason"]) == ("bye", "shutdown")
            assert 500 <= last["data"]["retryMs"] <= 3000, "for clients that keep retrying without an answer"
            assert reader.retry_ms == (last["data"]["retryMs"] if name == "by an edge" else RETRY_AFTER_LAST_BYE_MS)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("symbols=BTC&symbols=ETH", {BTC, ETH}),
        ("symbols=BTC&symbols=ETH,BTC&symbols=", {BTC, ETH}),
        ("symbols=BTC&max_hz=5.5&symbols=eth", {BTC, ETH}),
        ("symbols=BTC", {BTC}),
    ],
)
async def test_symbols_given_twice_are_all_meant(running: Running, query: str, expected: set[str]) -> None:
    async with reading(running.http, f"/api/realtime?{query}") as reader:
        assert set((await reader.next("connected"))["symbols"]) == expected
    answer = await running.http.get(f"/api/ticker?{query.replace('max_hz=5.5&', '')}")
    assert set(answer.json()["missing"]) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/api/realtime/BTC?max_hz=1&max_hz=2",
        "/api/realtime/BTC?symbols=ETH",
        "/api/realtime?symbols=BTC&last_event_id=a&last_event_id=b",
        "/api/history/BTC?resolution=1s&resolution=1m",
        "/api/history/BTC?max_points=2&max_points=3",
        "/api/symbols?q=a&q=b",
    ],
)
async def test_what_is_said_twice_is_refused_rather_than_half_heard(running: Running, path: str) -> None:
    assert problem(await running.http.get(path))["code"] == "repeated_parameter"


SPELLINGS = ["BTC/USDT", "BTC%2FUSDT", "BTC_USDT", "btc%20usdt", "btc+usdt", "BTC-USDT-", "BTCUSDT", "btcusdt"]
ROUTES = ["/api/realtime/", "/api/ticker/", "/api/history/", "/api/realtime?symbols=", "/api/ticker?symbols=ETH,"]


async def test_other_spellings_get_a_suggestion(server: RedisServer, market: Market) -> None:
    await market.list_symbols(BTC, ETH)
    async with running_gateway(server.url) as running:
        await until(lambda: running.gateway.listings.known)
        for path in (route + asked for route in ROUTES for asked in SPELLINGS):
            answer = await running.http.get(path)
            body = problem(answer)
            assert body["code"] == ("unknown_symbol" if path.lower().endswith("btcusdt") else "malformed_symbol")
            assert list(body["suggestions"].values()) == [[BTC]], path
            assert "did you mean BTC-USDT?" in body["detail"]
