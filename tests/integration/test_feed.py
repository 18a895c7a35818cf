"""Feeds on the simulator over real sockets: every failure of an exchange, and the recovery from it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import structlog
from websockets.asyncio.server import ServerConnection, serve

from aggregator.figures import source_price
from ingest_binance.adapter import ADAPTER as BINANCE
from ingest_bybit.adapter import ADAPTER as BYBIT
from ingest_coinbase.adapter import ADAPTER as COINBASE
from ingest_cryptocom.adapter import ADAPTER as CRYPTOCOM
from ingest_kraken.adapter import ADAPTER as KRAKEN
from ingest_okx.adapter import ADAPTER as OKX
from market_pulse.exchange import feed as runner
from market_pulse.exchange import merge, pace
from market_pulse.exchange import socket as connection
from market_pulse.exchange.adapter import MARKET_EVENTS, Adapter, Listed, Rate
from market_pulse.exchange.feed import Feed
from market_pulse.exchange.rest import RestClient
from market_pulse.exchange.status import condition, status_of
from market_pulse.messages import FeedStatus, Symbol, Tick
from market_pulse.process.clock import now_ms
from simulator.app import Running
from support.lively import lively
from support.waiting import until

ADAPTERS = {adapter.exchange: adapter for adapter in (BINANCE, BYBIT, OKX, COINBASE, KRAKEN, CRYPTOCOM)}
OPTIONS: dict[str, Any] = {"blocked_retry_s": 0.5, "max_age_s": None}
each_exchange = pytest.mark.parametrize("exchange", list(ADAPTERS))


class Exchange:
    """A simulator, and one feed on it, whose ticks are kept."""

    def __init__(
        self, adapter: Adapter, http: httpx.AsyncClient, listing: dict[str, Listed], simulator: Running, **options: Any
    ) -> None:
        self.http = http
        self.simulator = simulator
        self.listing = listing
        self.ticks: list[Tick] = []
        self.statuses: list[tuple[str, str | None]] = []
        url = str(http.base_url).replace("http", "ws", 1).rstrip("/") + adapter.ws_path
        self.urls = (url,)
        self.feed = Feed(adapter, self.urls, self.ticks.append, **OPTIONS | options)
        self.exchange = adapter.exchange

    def want(self, *symbols: str) -> None:
        self.feed.want({listed.native: listed for listed in (self.listing[symbol] for symbol in symbols)})

    async def fault(self, kind: str, **parameters: Any) -> None:
        answer = await self.http.post("/control/faults", json={"exchange": self.exchange, "kind": kind, **parameters})
        assert answer.status_code < 300, answer.text

    async def heal(self) -> None:
        (await self.http.delete("/control/faults")).raise_for_status()

    def fresh(self, *symbols: str) -> Any:
        """Return a condition that holds once each symbol has a tick from after this call."""
        seen = len(self.ticks)
        return lambda: {tick.symbol for tick in self.ticks[seen:]} >= set(symbols)

    async def topics(self) -> list[str]:
        """Return the topics of all sockets, as the simulator reports them."""
        answer = (await self.http.get("/control/connections")).json()
        return sorted(topic for one in answer["connections"] if one["exchange"] == self.exchange for topic in one["topics"])

    def status(self) -> FeedStatus:
        return status_of(self.feed.facts())

    def state(self) -> str:
        return self.status().state


@contextlib.asynccontextmanager
async def exchange_feed(adapter: Adapter, *symbols: str, **options: Any) -> AsyncIterator[Exchange]:
    async with lively() as running:
        base = f"http://127.0.0.1:{running.port}"
        async with httpx.AsyncClient(base_url=base, timeout=20) as http, RestClient(adapter, base) as rest:
            listing = {str(listed.symbol): listed for listed in await rest.listing()}
            played = Exchange(adapter, http, listing, running, **options)
            played.want(*symbols)
            task = asyncio.create_task(played.feed.run())
            try:
                if symbols:
                    await until(played.fresh(*symbols))
                yield played
                if task.done():
                    task.result()  # a feed never ends by itself
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


def hasty(exchange: str) -> Adapter:
    """Return an exchange's adapter with short watchdog times."""
    return replace(ADAPTERS[exchange], silence_s=1.5, ping_interval_s=0.6, pong_timeout_s=0.4)


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "backoff_s", lambda *_, **__: 0.1)
    monkeypatch.setattr(runner, "HANDOVER_LIMIT_S", 8.0)


@each_exchange
async def test_ticks_are_complete(exchange: str) -> None:
    async with exchange_feed(ADAPTERS[exchange], "BTC-USDT", "PEPE-USDT") as played:
        await until(
            lambda: all(any(t.symbol == s and t.bid and t.ask for t in played.ticks) for s in ("BTC-USDT", "PEPE-USDT"))
        )
        for tick in played.ticks:
            assert tick.open24h is not None
            assert tick.low24h is not None
            assert tick.high24h is not None
            assert tick.low24h <= tick.price <= tick.high24h
            assert tick.volume24h is not None
            assert tick.quote_volume24h is not None
            assert 0.5 < tick.quote_volume24h / (tick.volume24h * tick.price) < 2
            assert tick.exchange_time_ms is not None
            assert tick.dp is not None
            assert round(tick.price, tick.dp) == tick.price
        await until(lambda: played.status().symbols == 2)  # the first prices may have come by REST
        status = played.status()
        assert (status.state, status.reason, status.simulated) == ("connected", "simulated prices", True)


@each_exchange
async def test_times_never_go_back(exchange: str) -> None:
    async with exchange_feed(ADAPTERS[exchange], "BTC-USDT") as played:
        await played.fault("duplicate")
        await until(lambda: len(played.ticks) > 25)
        times = [tick.exchange_time_ms or 0 for tick in played.ticks]
        assert times == sorted(times)


@each_exchange
async def test_symbols_come_and_go_on_the_open_socket(exchange: str) -> None:
    async with exchange_feed(ADAPTERS[exchange], "BTC-USDT") as played:
        played.want("BTC-USDT", "ETH-USDT", "DOGE-USDT")
        await until(played.fresh("ETH-USDT", "DOGE-USDT"))
        played.want("ETH-USDT")
        await until(lambda: _topics_name(played, "BTC", expected=False))
        assert all("ETH" in topic.upper() for topic in await played.topics())
        assert played.status().reconnects == 0


async def _topics_name(played: Exchange, base: str, *, expected: bool) -> bool:
    return any(base in topic.upper() for topic in await played.topics()) is expected


@each_exchange
async def test_many_symbols_stay_under_the_limits(exchange: str) -> None:
    async with exchange_feed(ADAPTERS[exchange]) as played:
        symbols = list(played.listing)[:150]
        played.simulator.engine.market.focus(symbols, evenly=True)
        played.want(*symbols)
        await until(lambda: len(played.status().reason or "") < 100 and played.status().symbols == 150, 60)
        assert played.status().reconnects == 0


async def test_an_allowance_of_requests_that_is_used_up_takes_another_socket() -> None:
    stingy = replace(OKX, rates=(Rate(2, 1.0), Rate(3, 3600.0, pings_count=False)))
    async with exchange_feed(stingy, "BTC-USDT") as played:
        for symbol in ("ETH-USDT", "SOL-USDT", "DOGE-USDT", "PEPE-USDT"):
            played.want("BTC-USDT", symbol)
            await until(played.fresh(symbol))
        assert played.status().reconnects == 0
        await until(lambda: _topics_name(played, "SOL", expected=False))


@pytest.mark.parametrize("exchange", ["bybit", "okx", "coinbase", "kraken", "cryptocom"])
async def test_one_refused_symbol_harms_no_other(exchange: str) -> None:
    async with exchange_feed(ADAPTERS[exchange], "BTC-USDT") as played:
        native = ADAPTERS[exchange].native(Symbol("NOPE-USDT"))
        played.listing["NOPE-USDT"] = Listed(Symbol("NOPE-USDT"), native, None)
        played.want("BTC-USDT", "NOPE-USDT", "ETH-USDT", "SOL-USDT")
        await until(played.fresh("BTC-USDT", "ETH-USDT", "SOL-USDT"))
        await until(lambda: played.status().reason == f"1 of 4 symbols refused: {native}")
        assert played.state() == "degraded"
        assert played.status().reconnects == 0


async def test_an_exchange_that_does_not_know_a_symbol_yet_is_asked_again_soon() -> None:
    async with exchange_feed(BYBIT, "BTC-USDT", "SOL-USDT") as played:
        await played.fault("delist", symbol="SOL-USDT")
        await played.fault("cut")
        await until(lambda: played.status().reason == "1 of 2 symbols refused: SOLUSDT")
        await played.heal()
        await until(played.fresh("BTC-USDT", "SOL-USDT"))


@each_exchange
@pytest.mark.parametrize("kind", ["mute", "half_open"])
async def test_a_silent_socket_is_given_up_and_data_comes_back(
    monkeypatch: pytest.MonkeyPatch, exchange: str, kind: str
) -> None:
    monkeypatch.setattr(pace, "SPAN_TO_KNOW_MS", 1_000)
    async with exchange_feed(hasty(exchange), "BTC-USDT") as played:
        await until(played.feed.merge.silence_limit_s)
        await played.fault(kind)
        await until(lambda: played.state() == "reconnecting")
        assert played.status().reason
        await played.heal()
        await until(played.fresh("BTC-USDT"))
        await until(lambda: played.state() == "connected")


@pytest.mark.parametrize(("exchange", "channel"), [("binance", "bookTicker"), ("bybit", "orderbook.1")])
async def test_a_deaf_quote_channel_does_not_hold_the_price(
    monkeypatch: pytest.MonkeyPatch, exchange: str, channel: str
) -> None:
    monkeypatch.setattr(merge, "SETTLED_MS", 500)
    monkeypatch.setattr(merge, "QUIET_QUOTE_MS", 1_000)
    async with exchange_feed(ADAPTERS[exchange], "BTC-USDT") as played:
        before = played.ticks[-1].price
        await played.fault("mute", channel=channel)
        (await played.http.post("/control/market", json={"symbol": "BTC-USDT", "price": 2 * before})).raise_for_status()
        await until(lambda: source_price(played.ticks[-1]) > 1.5 * before)
        await played.heal()
        await until(lambda: (played.ticks[-1].bid or 0) > 1.5 * before)


async def test_a_symbol_of_unknown_pace_may_be_silent() -> None:
    async with exchange_feed(replace(OKX, silence_s=0.5), "BTC-USDT") as played:
        await played.fault("mute")
        await asyncio.sleep(2)  # several times the bound for lively symbols
        assert played.status().reconnects == 0


async def played_by(handle: Any, adapter: Adapter, listed: Listed, enough: int) -> tuple[list[Tick], Feed]:
    """Run a feed of one symbol on a scripted exchange until it has made `enough` ticks."""
    async with serve(handle, "127.0.0.1", 0) as server:
        ticks: list[Tick] = []
        [listening] = server.sockets
        feed = Feed(adapter, (f"ws://127.0.0.1:{listening.getsockname()[1]}",), ticks.append, **OPTIONS)
        feed.want({listed.native: listed})
        running = asyncio.create_task(feed.run())
        await until(lambda: len(ticks) >= enough, 60)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return ticks, feed


@pytest.mark.parametrize("flurry", [0, 60], ids=["slow all the time", "lively at first"])
async def test_a_slow_symbol_keeps_its_socket_in_whatever_currency(monkeypatch: pytest.MonkeyPatch, flurry: int) -> None:
    """All times are a tenth of the real ones: a ticker comes each 0.8 s, and a socket may be silent for half a second."""
    monkeypatch.setattr(pace, "SPAN_TO_KNOW_MS", 1_000)
    sockets: list[ServerConnection] = []
    total = flurry + 12

    async def handle(socket: ServerConnection) -> None:
        sockets.append(socket)
        await socket.recv()
        for at in range(total):
            data = {"e": "24hrTicker", "E": now_ms(), "s": "ADAIDR", "c": "13450", "q": "21000000", "L": at}
            await socket.send(json.dumps({"stream": "adaidr@ticker", "data": data}))
            await asyncio.sleep(0.02 if at < flurry and len(sockets) == 1 else 0.8)

    listed = Listed(Symbol("ADA-IDR"), "ADAIDR", 0)
    _, feed = await played_by(handle, replace(BINANCE, silence_s=0.5), listed, total)
    # After the first socket is given up, the feed allows more time. On a busy machine the flurry itself may have long pauses.
    assert len(sockets) <= (2 if flurry else 1)
    assert feed.facts().reconnects == len(sockets) - 1


async def test_an_answer_to_a_subscription_and_a_price_from_rest_say_nothing_about_the_lag() -> None:
    async def handle(socket: ServerConnection) -> None:
        await socket.recv()
        for topic, number in (("tickers", 1), ("orderbook.1", 1), ("orderbook.1", 2), ("tickers", 2)):
            time_ms = now_ms() - (600_000 if number == 1 else 0)
            if topic == "tickers":
                data: dict[str, Any] = {"symbol": "ETHUSDT", "lastPrice": "1900"}
            else:
                data = {"s": "ETHUSDT", "b": [["1899", "1"]], "a": [["1901", "1"]], "u": number + 1, "seq": number}
            await socket.send(json.dumps({"topic": f"{topic}.ETHUSDT", "ts": time_ms, "cs": number, "data": data}))
        await socket.wait_closed()

    listed = Listed(Symbol("ETH-USDT"), "ETHUSDT", 2)
    ticks, feed = await played_by(handle, BYBIT, listed, 4)
    assert [tick.lag_unknown for tick in ticks] == [True, True, False, False]
    feed.merge.forget("ETHUSDT")
    (event,) = BYBIT.parse_ticker(
        "ETHUSDT",
        [b'{"retCode":0,"time":1786538729776,"result":{"list":[{"symbol":"ETHUSDT","lastPrice":"1901"}]}}'],
    )
    assert isinstance(event, MARKET_EVENTS)
    feed.seed([event])
    assert (ticks[-1].price, ticks[-1].lag_unknown) == (1901.0, True)


async def test_a_stream_that_is_not_answered_with_an_old_state_shows_its_lag_at_once() -> None:
    async with exchange_feed(BINANCE, "BTC-USDT") as played:
        assert not any(tick.lag_unknown for tick in played.ticks)


@pytest.mark.parametrize("exchange", ["bybit", "okx", "kraken"])
async def test_a_missing_pong_is_noticed(exchange: str) -> None:
    patient = replace(hasty(exchange), silence_s=300.0)
    async with exchange_feed(patient, "BTC-USDT") as played:
        await played.fault("half_open")
        await until(lambda: played.state() == "reconnecting")
        assert played.status().reason == "no pong within 0 s"


@each_exchange
async def test_a_cut_socket_is_replaced(exchange: str) -> None:
    async with exchange_feed(ADAPTERS[exchange], "BTC-USDT") as played:
        await played.fault("cut")
        await until(lambda: played.status().reconnects == 1)
        await until(played.fresh("BTC-USDT"))
        await until(lambda: played.state() == "connected")


@each_exchange
@pytest.mark.parametrize("status", [403, 451])
async def test_a_refusal_of_the_place_is_blocked_and_tried_again(exchange: str, status: int) -> None:
    async with exchange_feed(ADAPTERS[exchange], "BTC-USDT") as played:
        await played.fault("refuse", status=status)
        await played.fault("cut")
        await until(lambda: played.state() == "blocked")
        assert str(status) in (played.status().reason or "")
        await played.heal()
        await until(played.fresh("BTC-USDT"))


async def test_retry_after_is_obeyed_by_who_is_blocked_too() -> None:
    async with exchange_feed(OKX, "BTC-USDT", blocked_retry_s=0.2) as played:
        await played.fault("refuse", status=451)
        await played.fault("cut")
        await until(lambda: played.state() == "blocked")
        await played.heal()
        await played.fault("refuse", status=429, retry_after_s=30)
        await asyncio.sleep(1.0)  # several of the feed's own delays; by now the exchange has told it to wait
        lost = played.status().reconnects
        await asyncio.sleep(1.0)
        assert played.status().reconnects == lost


async def test_blocked_everywhere_is_said_once() -> None:
    async with exchange_feed(BINANCE) as played:
        await played.fault("refuse", status=451)
        url = str(played.http.base_url).replace("http", "ws", 1).rstrip("/") + BINANCE.ws_path
        feed = Feed(BINANCE, (url, url, url), played.ticks.append, blocked_retry_s=0.2, max_age_s=None)
        feed.want({"BTCUSDT": played.listing["BTC-USDT"]})
        with structlog.testing.capture_logs() as logs:
            task = asyncio.create_task(feed.run())
            await until(lambda: feed.facts().reconnects >= 9)
            assert feed.facts().phase == "blocked"
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert [one["event"] for one in logs if one["log_level"] == "warning"] == ["feed blocked"]


@each_exchange
async def test_retry_after_is_obeyed(exchange: str) -> None:
    async with exchange_feed(ADAPTERS[exchange], "BTC-USDT") as played:
        await played.fault("refuse", status=429, retry_after_s=2)
        await played.fault("cut")
        await until(lambda: "429" in (played.status().reason or ""))
        assert "asks to wait 2 s" in (played.status().reason or "")
        lost = played.status().reconnects
        await asyncio.sleep(1.0)  # within the time that the exchange asked for, no attempt is made
        assert played.status().reconnects == lost
        await played.heal()
        await until(played.fresh("BTC-USDT"))


@each_exchange
async def test_garbage_is_skipped_and_prices_stay_sane(exchange: str) -> None:
    async with exchange_feed(ADAPTERS[exchange], "BTC-USDT") as played:
        await played.fault("garbage", share=0.5)
        seen = len(played.ticks)
        await until(lambda: len(played.ticks) > seen + 15)
        assert all(tick.price > 0 for tick in played.ticks)
        await played.heal()
        await until(played.fresh("BTC-USDT"))


@pytest.mark.parametrize(
    ("exchange", "kind", "field"),
    [
        *((exchange, "empty", "bid") for exchange in ADAPTERS),
        # Kraken and Crypto.com send no such price.
        *((exchange, "no_open", "open24h") for exchange in ADAPTERS if exchange not in {"kraken", "cryptocom"}),
    ],
)
async def test_missing_optional_figures_become_null(exchange: str, kind: str, field: str) -> None:
    async with exchange_feed(ADAPTERS[exchange], "BTC-USDT") as played:
        await played.fault(kind)
        await until(lambda: getattr(played.ticks[-1], field) is None)
        assert played.ticks[-1].price > 0
        await played.heal()
        await until(lambda: getattr(played.ticks[-1], field) is not None)


@pytest.mark.parametrize(("exchange", "kind"), [("binance", "server_shutdown"), ("okx", "notice_64008")])
async def test_an_announced_end_is_a_hand_over_without_a_gap(exchange: str, kind: str) -> None:
    async with exchange_feed(ADAPTERS[exchange], "BTC-USDT", "ETH-USDT") as played:
        old = played.feed._connections[0]
        await played.fault(kind)
        await until(lambda: played.feed._connections and played.feed._connections[0] is not old)
        assert played.feed._connections[0].delivering.is_set()
        await until(played.fresh("BTC-USDT", "ETH-USDT"))
        assert (played.state(), played.status().reconnects) == ("connected", 0)


@each_exchange
async def test_sockets_are_replaced_before_they_are_too_old(exchange: str) -> None:
    async with exchange_feed(ADAPTERS[exchange], "BTC-USDT", max_age_s=1.0) as played:
        sockets = [played.feed._connections[0]]

        def replaced_twice() -> bool:
            current = played.feed._connections
            if len(current) == 1 and current[0] is not sockets[-1]:
                sockets.append(current[0])
            return len(sockets) == 3

        await until(replaced_twice)
        assert played.status().reconnects == 0
        times = [tick.received_time_ms for tick in played.ticks]
        assert times == sorted(times)


async def test_with_nothing_to_carry_no_socket_is_opened() -> None:
    async with exchange_feed(OKX) as played:
        await until(lambda: played.status().reason == "this exchange lists none of the wanted symbols")
        assert (await played.http.get("/control/connections")).json()["connections"] == []
        played.want("BTC-USDT")
        await until(played.fresh("BTC-USDT"))


async def test_no_address_is_tried_for_ever() -> None:
    ticks: list[Tick] = []
    feed = Feed(BINANCE, ("ws://127.0.0.1:9/stream",), ticks.append, blocked_retry_s=1, max_age_s=None)
    feed.want({"BTCUSDT": Listed(Symbol("BTC-USDT"), "BTCUSDT", None)})
    task = asyncio.create_task(feed.run())
    await until(lambda: feed.facts().reconnects > 3)
    state, reason = condition(feed.facts())
    assert state == "reconnecting"
    assert "cannot connect" in (reason or "")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_address_that_opens_sockets_but_never_delivers_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SILENT_FROM_THE_START_LIMIT_S", 0.3)

    async def be_silent(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async def deliver(socket: ServerConnection) -> None:
        await socket.send(okx_ticker(1))
        await socket.wait_closed()

    async with serve(be_silent, "127.0.0.1", 0) as deaf, serve(deliver, "127.0.0.1", 0) as good:
        ticks: list[Tick] = []
        urls = tuple(f"ws://127.0.0.1:{one.sockets[0].getsockname()[1]}" for one in (deaf, good))
        feed = Feed(replace(OKX, silence_s=0.3), urls, ticks.append, **OPTIONS)
        feed.want({"BTC-USDT": Listed(Symbol("BTC-USDT"), "BTC-USDT", 1)})
        running = asyncio.create_task(feed.run())
        await until(lambda: ticks)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_messages_in_fragments_are_read_in_their_place() -> None:
    """No exchange is known to send fragments, but WebSocket allows them."""

    async def handle(socket: ServerConnection) -> None:
        await socket.recv()
        for time_ms in range(1, 31):
            message = okx_ticker(time_ms)
            await socket.send(
                [message, [message[:20], message[20:]], [message[:1], "", message[1:9], message[9:]]][time_ms % 3]
            )
        await socket.wait_closed()

    async with serve(handle, "127.0.0.1", 0) as server:
        ticks: list[Tick] = []
        [listening] = server.sockets
        feed = Feed(OKX, (f"ws://127.0.0.1:{listening.getsockname()[1]}",), ticks.append, **OPTIONS)
        feed.want({"BTC-USDT": Listed(Symbol("BTC-USDT"), "BTC-USDT", 1)})
        running = asyncio.create_task(feed.run())
        await until(lambda: len(ticks) == 30)
        assert [tick.price for tick in ticks] == list(range(1, 31))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_fault_of_ours_is_not_taken_for_one_of_the_exchange() -> None:
    """Our own error ends the feed and so the process, which is restarted and has logged the reason."""

    def fail(_: Tick) -> None:
        raise ZeroDivisionError

    async with exchange_feed(OKX) as exchange:
        feed = Feed(OKX, exchange.urls, fail, **OPTIONS)
        feed.want({"BTC-USDT": exchange.listing["BTC-USDT"]})
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(feed.run(), 20)


def okx_ticker(time_ms: int) -> str:
    names = ("last", "open24h", "high24h", "low24h", "vol24h", "volCcy24h", "bidPx", "askPx")
    figures = dict.fromkeys(names, str(time_ms)) | {"instId": "BTC-USDT", "ts": str(time_ms)}
    return json.dumps({"arg": {"channel": "tickers", "instId": "BTC-USDT"}, "data": [figures]})


async def test_coinbase_confirms_the_price_of_a_product_that_does_not_trade() -> None:
    async with exchange_feed(COINBASE, "BTC-USDT") as played:
        (await played.http.post("/control/rate", json={"events_per_s": 0})).raise_for_status()
        await until(lambda: played.ticks[-1].received_time_ms - (played.ticks[-1].exchange_time_ms or 0) > 2500)
        quiet = played.ticks[-3:]
        assert len({(tick.price, tick.exchange_time_ms) for tick in quiet}) == 1
        assert [tick.order for tick in quiet] == sorted({tick.order for tick in quiet})
        assert all(tick.lag_unknown for tick in quiet)
        assert played.status().state == "connected"


async def test_coinbase_heartbeats_show_that_a_match_was_missed() -> None:
    async with exchange_feed(COINBASE, "BTC-USDT", "ETH-USDT") as played:
        with structlog.testing.capture_logs() as logs:
            await played.fault("mute", channel="ticker", symbol="BTC-USDT")
            await until(lambda: any(one["event"] == "a trade was missed; subscribing again" for one in logs))
        await played.heal()
        await until(played.fresh("BTC-USDT", "ETH-USDT"))
        assert played.status().reconnects == 0
