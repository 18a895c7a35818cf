"""BTC-USD from markets in USDT, on a real server: while it is wanted, at the published rate, alike in all copies."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from msgspec import UNSET

from cli.bus_tail import Message
from cli.verify import Verifier
from market_pulse import kinds
from market_pulse.bus import keys
from market_pulse.conversions import Conversions
from market_pulse.messages import Symbol, Tick, Ticker, encode
from support.redis_server import RedisServer
from support.waiting import until
from support.whole_bus import WholeBus

from .aggregator_fixtures import BTC, Listener, aggregator, listening, tick

BTC_USD, RATE = Symbol("BTC-USD"), Symbol("USDT-USD")
MOVE_S = 0.05


@pytest.fixture
async def bus(server: RedisServer) -> AsyncIterator[WholeBus]:
    async with WholeBus.open(server.url) as opened:
        yield opened


def legs() -> list[Tick]:
    return [tick(64020.0, "binance"), tick(64030.0, "bybit"), tick(64015.0, "okx")]


def rates(price: float = 0.9997) -> list[Tick]:
    return [tick(price, "coinbase", RATE), tick(price, "kraken", RATE)]


def direct() -> list[Tick]:
    return [tick(64000.0, "coinbase", BTC_USD), tick(64004.0, "kraken", BTC_USD)]


@contextlib.asynccontextmanager
async def market(bus: WholeBus, *ticks: Tick) -> AsyncIterator[None]:
    """Keep publishing the exchanges' ticks, with the present time."""

    async def move() -> None:
        while True:
            with contextlib.suppress(Exception):
                await bus.publish_ticks([tick(one.price, one.exchange, one.symbol) for one in ticks])
            await asyncio.sleep(MOVE_S)

    moving = asyncio.create_task(move())
    try:
        yield
    finally:
        moving.cancel()
        await asyncio.gather(moving, return_exceptions=True)


def converted(ticker: Ticker) -> set[str]:
    return {source.exchange for source in ticker.sources if source.via is not UNSET and source.weight > 0}


def is_converted(listener: Listener) -> bool:
    return bool(listener.of(BTC_USD)) and converted(listener.last(BTC_USD)) == {"binance", "bybit", "okx"}


async def test_a_symbol_that_only_other_quotes_price_is_published_while_it_is_wanted(
    server: RedisServer, bus: WholeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aggregator.service.SETTLE_S", 0.0)
    monkeypatch.setattr("aggregator.retention.QUIET_AFTER_S", 0.5)
    async with market(bus, *legs(), *rates()), aggregator(server.port) as service, listening(bus) as everything:
        await until(lambda: everything.of(BTC) and everything.of(RATE))
        assert not everything.of(BTC_USD)
        async with listening(bus, BTC_USD) as listener:
            await until(lambda: is_converted(listener))
            ticker = listener.last(BTC_USD)
            assert ticker.quality == "ok"
            assert ticker.price == pytest.approx(64021.67 * 0.9997, abs=0.01)
            assert {source.own_price for source in ticker.sources} == {64020.0, 64030.0, 64015.0}
            assert {source.via.symbol for source in ticker.sources if source.via is not UNSET} == {RATE}
            assert ticker.volume24h is None
        await until(lambda: service.market.get(BTC_USD) is None)
        assert await bus.last(kinds.TICKER.channel(BTC_USD)) == [None]
        assert service.market.get(BTC) is not None


async def test_direct_and_converted_markets_together(server: RedisServer, bus: WholeBus) -> None:
    """The tickers pass the verifier, which sees nothing but the bus."""
    verifier = Verifier()
    async with market(bus, *legs(), *rates(), *direct()), aggregator(server.port), listening(bus, BTC_USD) as listener:
        subscriber = bus.subscriber(lambda channel, data: void(verifier.take(Message(channel, data))), nothing)
        await subscriber.subscribe_patterns(kinds.TICK.pattern, kinds.TICKER.pattern)
        following = asyncio.create_task(subscriber.run())
        await until(lambda: subscriber.connected)
        await until(lambda: is_converted(listener) and listener.last(BTC_USD).sources_used == 5)
        before = verifier.verdict.tickers
        await until(lambda: verifier.verdict.tickers > before + 20)
        following.cancel()
        weights = {source.exchange: source.weight for source in listener.last(BTC_USD).sources}
    assert verifier.verdict.wrong == []
    assert weights["coinbase"] + weights["kraken"] == pytest.approx(0.5)


async def test_a_change_of_the_rate_alone_publishes_nothing(server: RedisServer, bus: WholeBus) -> None:
    """It counts at the next beat."""
    async with aggregator(server.port), listening(bus, BTC_USD) as listener, listening(bus, RATE) as of_rate:
        await bus.publish_ticks([*legs(), *rates()])
        await until(lambda: is_converted(listener))
        before = len(of_rate.tickers), len(listener.tickers)
        for step in range(40):
            await bus.publish_ticks(rates(0.9997 + step / 1e6))
            await asyncio.sleep(0.01)
        await until(lambda: listener.last(BTC_USD).sources[0].via.price == of_rate.last(RATE).price)  # type: ignore[union-attr]
        assert len(of_rate.tickers) - before[0] > 2 * (len(listener.tickers) - before[1])


async def test_the_rates_ticker_is_no_demand(server: RedisServer, bus: WholeBus) -> None:
    async with market(bus, *legs(), *rates()), aggregator(server.port), listening(bus, BTC_USD) as listener:
        await until(lambda: is_converted(listener))
        assert await bus.demanded() == {BTC_USD}


async def test_copies_agree_and_hand_over(server: RedisServer, bus: WholeBus) -> None:
    """Each copy publishes what the other one would have. A copy that starts knows the rate before its next ticker."""
    async with market(bus, *legs(), *rates(), *direct()), listening(bus, BTC_USD) as listener:
        async with aggregator(server.port) as first:
            await until(lambda: is_converted(listener))
            async with aggregator(server.port) as second:
                await until(lambda: second.market.get(BTC_USD) is not None)
                states = [copy.market.get(BTC_USD) for copy in (first, second)]
                await until(
                    lambda: all(
                        state is not None and {leg.rate_symbol for leg in copy.market.legs(state) if leg.rate} == {RATE}
                        for copy, state in zip((first, second), states, strict=True)
                    )
                )
            start = len(listener.tickers)
        async with aggregator(server.port):
            await until(lambda: len(listener.tickers) > start + 20)
    with_rate = [one for one in listener.tickers if one.sources_used == 5]
    assert len({one.price for one in with_rate}) == 1
    first_full = listener.tickers.index(with_rate[0])
    assert {one.sources_used for one in listener.tickers[first_full:]} == {5}
    seqs = [one.seq for one in listener.tickers]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


async def test_without_a_rate_the_direct_markets_go_on(server: RedisServer, bus: WholeBus) -> None:
    async with market(bus, *legs(), *direct()), aggregator(server.port), listening(bus, BTC_USD) as listener:
        await until(lambda: listener.of(BTC_USD) and listener.last(BTC_USD).sources_total == 5)
        ticker = listener.last(BTC_USD)
        assert (ticker.price, ticker.quality, ticker.sources_used) == (64002.0, "ok", 2)
        assert {source.reason for source in ticker.sources if source.weight == 0} == {"no rate"}


async def test_a_rate_that_is_no_ticker_is_passed_over(server: RedisServer, bus: WholeBus) -> None:
    await bus.client.set(keys.last(kinds.TICKER.channel(RATE)), b"{")
    async with market(bus, *legs(), *rates()), aggregator(server.port), listening(bus, BTC_USD) as listener:
        await until(lambda: is_converted(listener))
        await bus.client.publish(kinds.TICKER.channel(RATE), b"[1]")
        await bus.client.publish(kinds.TICKER.channel(RATE), encode(listener.last(BTC_USD)))
        seq = listener.last(BTC_USD).seq
        await until(lambda: listener.last(BTC_USD).seq > seq + 3)
        assert is_converted(listener)


async def test_no_conversions(server: RedisServer, bus: WholeBus) -> None:
    everything = market(bus, *legs(), *rates(), *direct())
    async with everything, aggregator(server.port, conversions=Conversions()), listening(bus, BTC_USD) as listener:
        await until(lambda: len(listener.tickers) > 3)
        assert {one.sources_total for one in listener.tickers[2:]} == {2}


def void(_: object) -> None:
    """Take a result that is not used."""


async def nothing(_: bool) -> None:
    """Do nothing when subscribed."""
