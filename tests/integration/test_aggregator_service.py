"""The aggregator on a real server: when it publishes, the failures it survives, and the symbols it drops."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from market_pulse import kinds
from market_pulse.bus import keys
from market_pulse.messages import Point, Resolution, Symbol, decode_ticker, encode_tick
from market_pulse.process.clock import now_ms
from support.waiting import free_port, until
from support.whole_bus import WholeBus

from .aggregator_fixtures import BTC, ETH, aggregator, listening, server, tick


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def bus(port: int) -> AsyncIterator[WholeBus]:
    async with server(port) as running_bus:
        yield running_bus


async def test_a_tick_is_a_ticker_at_once(port: int, bus: WholeBus) -> None:
    """A first tick makes a ticker without delay, which is kept as the last value too."""
    async with aggregator(port), listening(bus) as listener:
        await bus.publish_ticks([tick(64000.0)])
        await until(lambda: listener.tickers)
        first = listener.tickers[0]
        assert (first.price, first.quality, first.dp) == (64000.0, "single", 2)
        [last] = await bus.last(kinds.TICKER.channel(BTC))
        assert last is not None
        assert decode_ticker(last).price == 64000.0


async def test_changes_of_one_moment_share_a_ticker(port: int, bus: WholeBus) -> None:
    """Ticks that arrive together make one ticker."""
    async with aggregator(port), listening(bus) as listener:
        await bus.publish_ticks([tick(64000.0), tick(64002.0, "bybit"), tick(64001.0, "okx")])
        await until(lambda: listener.tickers and listener.last().sources_used == 3)
        assert len(listener.tickers) <= 2
        assert listener.last().price == 64001.0


async def test_rate_is_limited_and_the_newest_state_comes_last(port: int, bus: WholeBus) -> None:
    """A burst is conflated, and its last price is always published."""
    async with aggregator(port, max_rate_hz=5), listening(bus) as listener:
        for step in range(60):
            await bus.publish_ticks([tick(64000.0 + step)])
            await asyncio.sleep(0.01)
        await until(lambda: listener.tickers and listener.last().price == 64059.0)
        duration_s = listener.arrivals_s[-1] - listener.arrivals_s[0]
        assert len(listener.tickers) <= duration_s * 5 + 2
        assert all(after.seq == before.seq + 1 for before, after in pairwise(listener.tickers))


async def test_heartbeat(port: int, bus: WholeBus) -> None:
    """Without ticks a symbol is published again, with a new age and the old times."""
    async with aggregator(port), listening(bus) as listener:
        await bus.publish_ticks([tick(64000.0)])
        await until(lambda: len(listener.tickers) >= 3)
        first, *_, last = listener.tickers
        assert last.received_time_ms == first.received_time_ms
        assert last.sources[0].age_ms > first.sources[0].age_ms
        assert last.aggregated_time_ms > first.aggregated_time_ms


async def test_silence_is_told(port: int, bus: WholeBus) -> None:
    """Without ticks the sources fade, then the price is held, then withdrawn."""
    async with aggregator(port, soft_age_s=1, hard_age_s=2.5, hold_s=1.5), listening(bus, BTC) as listener:
        # Both are received in the same millisecond. Otherwise they would fade apart, and so move the price.
        first = tick(64000.0)
        await bus.publish_ticks([first, replace(first, exchange="okx", price=64010.0)])
        await until(lambda: listener.tickers and listener.last().quality == "down")
        qualities = list(dict.fromkeys(one.quality for one in listener.tickers if one.sources_total == 2))
        assert qualities == ["ok", "stale", "down"]
        assert "fading" in {source.state for one in listener.tickers for source in one.sources}
        stale = next(one for one in listener.tickers if one.quality == "stale")
        assert stale.received_time_ms == listener.tickers[0].received_time_ms
        assert stale.price == 64005.0
        assert listener.last().price is None


async def test_restart_goes_on_where_the_last_run_stopped(port: int, bus: WholeBus) -> None:
    """A new process reads all sources before its first ticker, and continues the numbers without a gap."""
    async with listening(bus, BTC) as listener:
        async with aggregator(port):
            await bus.publish_ticks([tick(64000.0), tick(64010.0, "okx")])
            await until(lambda: listener.tickers and listener.last().sources_used == 2)
        before = len(listener.tickers)
        async with aggregator(port):
            await until(lambda: len(listener.tickers) > before)
        assert all(after.seq == before.seq + 1 for before, after in pairwise(listener.tickers))
        assert {one.sources_used for one in listener.tickers[before:]} == {2}
        assert listener.last().price == 64005.0


async def test_restart_holds_a_price_that_has_no_source_left(port: int, bus: WholeBus) -> None:
    """The last good price of the earlier run is held with its own times."""
    async with listening(bus, BTC) as listener:
        async with aggregator(port, soft_age_s=0.2, hard_age_s=0.5):
            await bus.publish_ticks([tick(64000.0)])
            await until(lambda: listener.tickers and listener.last().quality == "stale")
        held = listener.last()
        async with aggregator(port, soft_age_s=0.2, hard_age_s=0.5):
            await until(lambda: listener.last().seq > held.seq)
        assert (listener.last().quality, listener.last().price) == ("stale", 64000.0)
        assert listener.last().received_time_ms == held.received_time_ms


async def test_redis_restart(port: int) -> None:
    """Redis loses all data. Numbers keep rising, and the newest state is published without a new tick."""
    async with server(port) as bus:
        await bus.client.set(keys.sequence(BTC), 500)
        service = aggregator(port)
        await service.__aenter__()
        async with listening(bus, BTC) as listener:
            await bus.publish_ticks([tick(64000.0)])
            await until(lambda: listener.tickers)
            assert listener.last().seq == 501
    async with server(port) as bus, listening(bus, BTC) as listener:
        await until(lambda: listener.tickers)
        assert (listener.tickers[0].price, listener.tickers[0].seq > 501) == (64000.0, True)
        await bus.publish_ticks([tick(64001.0)])
        await until(lambda: listener.last().price == 64001.0)
        seqs = [one.seq for one in listener.tickers]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        await until(lambda: past(bus))
        await service.__aexit__(None, None, None)


async def test_redis_is_slow(port: int, bus: WholeBus) -> None:
    """While Redis does not answer no messages pile up. Afterwards the newest state is published once."""
    async with aggregator(port) as service, listening(bus) as listener:
        await bus.publish_ticks([tick(64000.0)])
        await until(lambda: listener.tickers)
        await bus.client.client_pause(60_000, all=False)
        before = len(listener.tickers)
        for step in range(50):
            service._intake._take(tick(64100.0 + step))
            await asyncio.sleep(0.002)
        await bus.client.client_unpause()
        await until(lambda: listener.last().price == 64149.0)
        assert len(listener.tickers) - before <= 5


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        pytest.param("ticks:okx:BTC-USDT", b"", id="nothing"),
        pytest.param("ticks:okx:BTC-USDT", b"\xff\x00\xfe", id="no text"),
        pytest.param("ticks:okx:BTC-USDT", b"[1,2]", id="no object"),
        pytest.param("ticks:okx:BTC-USDT", b'{"price":1}', id="no tick"),
        pytest.param(
            "ticks:okx:BTC-USDT", b'{"exchange":"okx","symbol":"ETH-USDT","price":1,"receivedTime":1}', id="another symbol"
        ),
        pytest.param(
            "ticks:okx:BTC-USDT", b'{"exchange":"bybit","symbol":"BTC-USDT","price":1,"receivedTime":1}', id="another exchange"
        ),
        pytest.param("ticks:okx:btc", b'{"exchange":"okx","symbol":"btc","price":1,"receivedTime":1}', id="no symbol"),
        pytest.param(
            "ticks:okx:BTC-USDT", b'{"exchange":"okx","symbol":"BTC-USDT","price":1,"receivedTime":1e300}', id="no time"
        ),
        pytest.param("ticks:", b"{}", id="no channel"),
        pytest.param("ticks:okx:BTC-USDT", b"[" * 100_000, id="deep"),
    ],
)
async def test_garbage_is_passed_over(port: int, bus: WholeBus, channel: str, message: bytes) -> None:
    """A malformed message changes nothing."""
    async with aggregator(port), listening(bus) as listener:
        await bus.client.publish(channel, message)
        await bus.publish_ticks([tick(64000.0)])
        await until(lambda: listener.tickers)
        assert {one.symbol for one in listener.tickers} == {BTC}
        assert listener.last().sources_total == 1


async def test_garbage_kept_from_before_is_passed_over(port: int, bus: WholeBus) -> None:
    """Malformed last values do not prevent the aggregator from starting."""
    await bus.client.set(keys.last("ticks:okx:BTC-USDT"), b"\xff{")
    await bus.client.set(keys.last("ticks:okx:ETH-USDT"), b'{"exchange":"okx","symbol":"ETH-USDT","price":-1}')
    await bus.client.set(keys.last("ticker:BTC-USDT"), b'{"v":1}')
    await bus.client.set(keys.last("ticker:ETH-USDT"), b'{"v":1,"symbol":"ETH-USDT","seq":1,"dp":2,"sources":[7]}')
    async with aggregator(port), listening(bus) as listener:
        await bus.publish_ticks([tick(64000.0)])
        await until(lambda: listener.tickers)
        assert (listener.last().symbol, listener.last().sources_total) == (BTC, 1)


async def test_released_symbol_is_forgotten(port: int, bus: WholeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet symbol without last ticks is dropped with its last ticker, unless a client requests it."""
    monkeypatch.setattr("aggregator.service.SETTLE_S", 0.0)
    monkeypatch.setattr("aggregator.retention.QUIET_AFTER_S", 0.5)
    async with aggregator(port) as service, listening(bus), listening(bus, ETH) as demand:
        await bus.publish_ticks([tick(64000.0), tick(3000.0, symbol=ETH)])
        await until(lambda: len(service.market) == 2)
        await bus.forget(kinds.TICK.channel("binance", BTC), kinds.TICK.channel("binance", ETH))
        await until(lambda: len(service.market) == 1)
        await asyncio.sleep(0.1)
        assert await bus.last(kinds.TICKER.channel(BTC)) == [None]
        before = len(demand.tickers)
        await until(lambda: len(demand.tickers) > before)


async def test_symbol_that_is_down_ends_with_that_message(port: int, bus: WholeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A symbol whose feeds died is dropped after a last ticker with quality `down`. A tick brings it back."""
    monkeypatch.setattr("aggregator.service.SETTLE_S", 0.0)
    monkeypatch.setattr("aggregator.retention.QUIET_AFTER_S", 0.5)
    times: dict[str, Any] = {"soft_age_s": 0.3, "hard_age_s": 0.6, "hold_s": 0.3}
    async with aggregator(port, **times) as service, listening(bus) as listener:
        await bus.publish_ticks([tick(64000.0)])
        await until(lambda: listener.tickers and listener.last().quality == "down")
        await until(lambda: not len(service.market))
        [last] = await bus.last(kinds.TICKER.channel(BTC))
        assert last is not None
        assert decode_ticker(last).quality == "down"
        seq = listener.last().seq
        await bus.publish_ticks([tick(64001.0)])
        await until(lambda: listener.last().price == 64001.0)
        assert listener.last().seq == seq + 1


async def past(bus: WholeBus) -> list[Point]:
    return await bus.history(Resolution.SECOND, BTC, 0)


async def test_history_grows_each_second(port: int, bus: WholeBus) -> None:
    """At whole seconds, points have the published price and each source's."""
    async with aggregator(port):
        await bus.publish_ticks([tick(64000.0), tick(64010.0, "okx")])
        async with asyncio.timeout(20):
            while len(await past(bus)) < 3:
                await bus.publish_ticks([tick(64000.0), tick(64010.0, "okx")])
                await asyncio.sleep(0.1)
    points = await past(bus)
    assert points[-1].price == 64005.0
    assert points[-1].sources == {"binance": 64000.0, "okx": 64010.0}
    assert {point.time_ms % 1000 for point in points} == {0}


async def test_history_has_a_gap_where_no_price_was_known(port: int, bus: WholeBus) -> None:
    """A held price is not recorded. The history continues with the next new price."""

    async def publish_until_recorded(price: float) -> None:
        async with asyncio.timeout(20):
            while price not in [point.price for point in await past(bus)]:
                await bus.publish_ticks([tick(price)])
                await asyncio.sleep(0.1)

    async with aggregator(port, soft_age_s=0.3, hard_age_s=0.6, hold_s=60), listening(bus) as listener:
        await publish_until_recorded(64000.0)
        await until(lambda: [one.quality for one in listener.tickers].count("stale") >= 3)
        await publish_until_recorded(64001.0)
    points = await past(bus)
    before, after = next(pair for pair in pairwise(points) if pair[0].price != pair[1].price)
    assert after.time_ms - before.time_ms > 2000


async def test_number_of_symbols_is_bounded(port: int, bus: WholeBus) -> None:
    """Symbols beyond the bound are refused; the others continue."""
    async with aggregator(port, max_aggregated_symbols=1) as service, listening(bus) as listener:
        await bus.publish_ticks([tick(64000.0)])
        await until(lambda: listener.tickers)
        await bus.publish_ticks([tick(3000.0, symbol=ETH), tick(64001.0)])
        await until(lambda: listener.last().price == 64001.0)
        assert len(service.market) == 1
        assert not listener.of(ETH)


async def test_a_symbol_that_nobody_wants_any_more_yields_to_a_wanted_one(
    port: int, bus: WholeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It yields even while its ticks still come, because an ingest lets the symbol linger."""
    monkeypatch.setattr("aggregator.service.SETTLE_S", 0.0)
    doge = Symbol("DOGE-USDT")
    async with aggregator(port, max_aggregated_symbols=2), listening(bus, ETH), listening(bus, doge) as wanted:

        async def ticks_make_a_ticker() -> bool:
            await bus.publish_ticks([tick(64000.0), tick(3000.0, symbol=ETH), tick(0.1, symbol=doge)])
            return bool(wanted.tickers)

        await until(ticks_make_a_ticker)
        assert wanted.last(doge).price == 0.1
        assert await bus.last(kinds.TICKER.channel(BTC)) == [None], (
            "a symbol that yields leaves no last ticker that would grow old"
        )


async def test_last_ticks_speak_for_their_channel_only(port: int, bus: WholeBus) -> None:
    """A user with the right to write one exchange's last ticks can forge neither another exchange's nor new exchanges."""
    for number, exchange in enumerate(["binance", *(f"made up {number}" for number in range(8))]):
        forged = tick(30_000.0, exchange, age_s=-4)
        await bus.client.set(f"last:ticks:okx:F{number}-USDT", encode_tick(forged, now_ms()))
    await bus.client.set("last:ticks:okx:BTC-USDT", encode_tick(tick(64_020.0, "okx", age_s=-4), now_ms()))
    async with aggregator(port) as service, listening(bus) as listener:
        await bus.publish_ticks([tick(64_000.0), tick(64_010.0, "bybit")])
        await until(lambda: listener.tickers and listener.last().sources_used == 3)
        [btc] = service.market
        assert btc.ticks.keys() == {"binance", "bybit", "okx"}
        assert btc.ticks["okx"].received_time_ms <= now_ms(), "nor count as received in the future"


FORGERIES: dict[str, dict[str, Any]] = {
    "ten times the price": {"price": 640_000.0},
    "a hundredth of it": {"price": 640.0},
    "just within the exclusion": {"price": 64_000.0 * 1.029},
    "an hour ahead": {"price": 65_000.0, "exchange_time_ms": now_ms() + 3_600_000, "received_time_ms": now_ms() + 3_600_000},
    "an hour ahead by the exchange's clock": {"price": 65_000.0, "exchange_time_ms": now_ms() + 3_600_000},
    "all the volume in the world": {"price": 65_000.0, "quote_volume24h": 1e300},
    "another exchange's name": {"exchange": "binance", "price": 1.0},
    "another symbol": {"symbol": ETH, "price": 1.0},
}


async def test_who_may_speak_for_one_exchange_moves_the_price_by_half_a_percent(port: int, bus: WholeBus) -> None:
    """A compromised ingest publishes a different lie for each symbol on its own channels, and then nothing."""
    forged = {Symbol(f"F{number}-USDT"): lie for number, lie in enumerate(FORGERIES.values())}
    honest = (64_000.0, 64_010.0)
    async with aggregator(port, soft_age_s=1, hard_age_s=2), listening(bus) as listener:
        for step in range(60):
            for symbol, lie in forged.items():
                await bus.publish_ticks([tick(honest[0], symbol=symbol), tick(honest[1], "bybit", symbol)])
                if step < 20:
                    message = encode_tick(replace(tick(64_000.0, "okx", symbol), **lie), now_ms())
                    await bus.client.publish(f"ticks:okx:{symbol}", message)
            await asyncio.sleep(0.05)
        await until(lambda: all(listener.last(symbol).sources_used == 2 for symbol in forged))
    assert listener.of(ETH) == []
    for symbol in forged:
        for ticker in listener.of(symbol):
            if ticker.sources_used > 1:
                assert ticker.price is not None
                assert honest[0] * 0.995 <= ticker.price <= honest[1] * 1.005
        by_exchange = {source.exchange: source for source in listener.last(symbol).sources}
        assert (by_exchange["binance"].price, by_exchange["bybit"].price) == honest
        assert "okx" not in by_exchange or by_exchange["okx"].state != "used"
