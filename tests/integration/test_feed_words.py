"""A feed on a scripted exchange that sends heartbeats, pings in text and notices, and does not serve each place."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest
import structlog
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from market_pulse.exchange import feed as runner
from market_pulse.exchange import merge
from market_pulse.exchange.adapter import Adapter, Listed, Rate
from market_pulse.exchange.feed import Feed
from market_pulse.exchange.pacing import Pacer
from market_pulse.exchange.status import condition
from market_pulse.messages import Symbol, Tick
from support.exchanges import ADAPTERS
from support.waiting import until

TERSE = ADAPTERS["terse-exchange"]
BTC = Listed(Symbol("BTC-USD"), "BTC-USD", 2)
ETH = Listed(Symbol("ETH-USD"), "ETH-USD", 2)


def match(number: int, price: float = 64000.0, symbol: str = "BTC-USD") -> dict[str, Any]:
    """Return a ticker of long ago."""
    time = f"2026-08-12T12:46:{number % 60:02}.000000Z"
    return {
        "type": "ticker",
        "symbol": symbol,
        "price": price,
        "match": number,
        "time": time,
        "bid": price - 1,
        "ask": price + 1,
    }


def heartbeat(number: int, symbol: str = "BTC-USD") -> dict[str, Any]:
    return {"type": "heartbeat", "symbol": symbol, "match": number}


class Scripted:
    """A scripted exchange, and a feed on it."""

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.requests: list[Any] = []
        self.ticks: list[Tick] = []
        self.refusing: set[str] = set()  # paths that are not served
        self.tried: list[str] = []  # the paths of all handshakes
        self.feed: Feed

    async def handle(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        async for text in socket:
            self.requests.append(json.loads(text))

    def admit(self, socket: ServerConnection, request: Request) -> Response | None:
        self.tried.append(request.path)
        return socket.respond(HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS, "") if request.path in self.refusing else None

    async def say(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            await self.sockets[-1].send(json.dumps(message, separators=(",", ":")))

    def types(self) -> list[str]:
        return [request["type"] for request in self.requests]


@contextlib.asynccontextmanager
async def scripted(adapter: Adapter = TERSE, *paths: str, refusing: tuple[str, ...] = ()) -> AsyncIterator[Scripted]:
    exchange = Scripted()
    exchange.refusing.update(refusing)
    async with serve(exchange.handle, "127.0.0.1", 0, process_request=exchange.admit) as server:
        [listening] = server.sockets
        urls = tuple(f"ws://127.0.0.1:{listening.getsockname()[1]}{path}" for path in paths or ("/stream",))
        exchange.feed = Feed(adapter, urls, exchange.ticks.append, blocked_retry_s=0.2, max_age_s=None)
        exchange.feed.want({one.native: one for one in (BTC, ETH)})
        running = asyncio.create_task(exchange.feed.run())
        try:
            yield exchange
            if running.done():
                running.result()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def beating(exchange: Scripted, number: int, done: Callable[[], Any]) -> None:
    """Send a heartbeat of BTC again and again until a condition holds."""

    async def beat_and_look() -> bool:
        await exchange.say(heartbeat(number))
        return bool(done())

    await until(beat_and_look)


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "backoff_s", lambda *_, **__: 0.05)
    monkeypatch.setattr(runner, "HALTED_DELAY_S", 0.05)


async def subscribed(exchange: Scripted) -> None:
    await until(lambda: exchange.requests)
    await exchange.say({"type": "subscriptions", "to": ["ETH-USD", "BTC-USD"]})


async def test_the_first_request_waits_for_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pacer, "delay_s", lambda *_: 3600.0)
    async with scripted() as exchange:
        await until(lambda: exchange.types() == ["subscribe"])


async def test_a_refusal_without_a_number_costs_the_other_symbols_nothing() -> None:
    async with scripted() as exchange:
        await until(lambda: exchange.requests)
        await exchange.say({"type": "error", "to": "ETH-USD", "why": "ETH-USD is not a valid product"})
        await until(lambda: exchange.requests[1:])
        assert exchange.requests[1] == {"type": "subscribe", "to": ["BTC-USD"]}
        await exchange.say({"type": "subscriptions", "to": ["BTC-USD"]}, match(1))
        await until(lambda: condition(exchange.feed.facts()) == ("degraded", "1 of 2 symbols refused: ETH-USD"))


async def test_the_time_of_a_match_is_no_lag() -> None:
    async with scripted() as exchange:
        await subscribed(exchange)
        await exchange.say(match(1), match(2), match(3))
        await until(lambda: len(exchange.ticks) == 3)
        assert all(tick.lag_unknown for tick in exchange.ticks)


async def test_a_heartbeat_renews_the_price_but_not_the_quote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "QUIET_QUOTE_MS", 100)
    async with scripted() as exchange:
        await subscribed(exchange)
        await exchange.say(match(1))
        await until(lambda: exchange.ticks)
        first = exchange.ticks[0]
        await beating(exchange, 1, lambda: exchange.ticks[-1].received_time_ms > first.received_time_ms + 1500)
        last = exchange.ticks[-1]
        assert (last.price, last.exchange_time_ms, last.lag_unknown) == (first.price, first.exchange_time_ms, True)
        assert (first.bid, last.bid) == (63999.0, None)
        assert last.order > first.order


async def test_a_missed_match_is_asked_for_once() -> None:
    async with scripted() as exchange:
        await subscribed(exchange)
        await exchange.say(match(1))
        await until(lambda: exchange.ticks)
        await exchange.say(heartbeat(2), heartbeat(2))
        await until(lambda: exchange.types() == ["subscribe", "unsubscribe", "subscribe"])
        assert exchange.requests[1:] == [{"type": "unsubscribe", "from": ["BTC-USD"]}, {"type": "subscribe", "to": ["BTC-USD"]}]
        await exchange.say(
            {"type": "subscriptions", "to": ["ETH-USD"]}, {"type": "subscriptions", "to": ["ETH-USD", "BTC-USD"]}
        )
        await exchange.say(match(2, 65000.0), heartbeat(3), heartbeat(3), match(4, 66000.0))
        await until(lambda: exchange.ticks[-1].price == 66000.0)
        assert len(exchange.requests) == 3, "a symbol whose heartbeats are always ahead is not asked for at each of them"


async def test_a_halt_is_told_until_data_comes() -> None:
    async with scripted(replace(TERSE, silence_s=0.3)) as exchange:
        await subscribed(exchange)
        await exchange.say({"type": "closed", "why": "maintenance"})
        await until(lambda: condition(exchange.feed.facts()) == ("degraded", "closed by the exchange: maintenance"))
        await asyncio.sleep(1.0)  # several times the silence that a socket is allowed otherwise
        assert exchange.feed.facts().reconnects == 0
        await exchange.say(match(1), match(1, symbol="ETH-USD"))
        await until(lambda: condition(exchange.feed.facts()) == ("connected", None))
        await exchange.say(
            {"type": "closed", "why": "auction", "symbol": "BTC-USD"}, {"type": "closed", "why": "x", "symbol": "NOPE"}
        )
        told = "1 of 2 symbols halted by the exchange: BTC-USD (auction)"
        await until(lambda: condition(exchange.feed.facts()) == ("degraded", told))
        count = len(exchange.ticks)
        await exchange.say(heartbeat(1), match(2, symbol="ETH-USD"))
        await until(lambda: len(exchange.ticks) > count)
        assert exchange.ticks[-1].symbol == "ETH-USD", "the price of a halted symbol is not renewed"
        assert len(exchange.ticks) == count + 1
        await exchange.say(match(2))
        await until(lambda: condition(exchange.feed.facts()) == ("connected", None))


async def test_a_close_after_a_halt_says_why_and_is_not_hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "HALTED_DELAY_S", 3600.0)
    async with scripted() as exchange:
        await subscribed(exchange)
        await exchange.say({"type": "closed", "why": "maintenance"})
        await exchange.sockets[-1].close(1001, "see you")
        reason = "closed by the exchange: 1001 see you; closed by the exchange: maintenance"
        await until(lambda: condition(exchange.feed.facts()) == ("reconnecting", reason))
        assert len(exchange.sockets) == 1


async def test_a_ping_in_text_is_answered_at_once() -> None:
    async with scripted(replace(TERSE, rates=(Rate(1, 3600.0),))) as exchange:
        await until(lambda: exchange.requests)
        await exchange.say(*({"type": "ping", "id": number} for number in range(3)))
        await until(lambda: exchange.requests[1:] == [{"type": "pong", "id": number} for number in range(3)])


async def test_each_address_is_tried_before_the_long_wait_and_one_that_works_is_kept() -> None:
    paths = ("/first", "/second", "/third")

    async def works(exchange: Scripted, path: str) -> None:
        await until(lambda: exchange.tried[-1:] == [path] and exchange.requests)
        exchange.requests.clear()
        await exchange.say({"type": "subscriptions", "to": ["BTC-USD", "ETH-USD"]}, match(1))
        await until(lambda: exchange.feed.facts().phase == "connected")

    with structlog.testing.capture_logs() as logs:
        async with scripted(TERSE, *paths, refusing=("/first",)) as exchange:
            await works(exchange, "/second")
            await exchange.sockets[-1].close()
            await works(exchange, "/second")
            assert exchange.tried == ["/first", "/second", "/second"]
            assert not any(one["event"] == "feed blocked" for one in logs)

            exchange.refusing = {"/second", "/third"}
            await exchange.sockets[-1].close()
            await works(exchange, "/first")
            assert exchange.tried[3:] == ["/second", "/third", "/first"]
            assert not any(one["event"] == "feed blocked" for one in logs), "one address was still left to try"

            exchange.refusing = set(paths)
            await exchange.sockets[-1].close()
            await until(lambda: exchange.feed.facts().reconnects >= 12)
            assert exchange.feed.facts().phase == "blocked"
    assert [one["event"] for one in logs].count("feed blocked") == 1
