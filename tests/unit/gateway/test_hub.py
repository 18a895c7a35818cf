"""The hub with fake streams that collect bytes: which stream gets which events, and the effect on other streams."""

import asyncio
import contextlib
import random
import socket
import zlib
from collections import Counter
from dataclasses import replace
from typing import Any
from unittest.mock import ANY

import orjson
import pytest

from gateway.stream import body
from gateway.stream.fields import ALL, ALWAYS, Fields
from gateway.stream.group import SETTLE_S
from gateway.stream.hub import NAMED_WITHIN_S, SHORT_FOR_S, Hub
from gateway.stream.kinds import READINGS
from gateway.stream.sse import LAST_CHUNK
from gateway.stream.topics import LINGER_S
from market_pulse import kinds
from market_pulse.bus import Last
from market_pulse.messages import Symbol
from market_pulse.process.clock import now_ms
from market_pulse.tickers import DOWN_AFTER_MS, STALE_AFTER_MS, LatestTicker, as_of
from support.samples import NOW_MS, status_bytes, ticker_bytes
from support.waiting import until

BTC, ETH, SOL, DOGE = (Symbol(f"{base}-USDT") for base in ("BTC", "ETH", "SOL", "DOGE"))


class FakeSink:
    """Keeps the written bytes. `unsent` is the number of bytes that a slow client has not read."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.unsent = 0
        self.closed: str | None = None

    def is_closing(self) -> bool:
        return self.closed is not None

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def write(self, data: bytes) -> None:
        assert self.closed is None
        self.written.append(data)

    def close(self) -> None:
        self.closed = "closed"

    def abort(self) -> None:
        self.closed = "aborted"

    def take(self) -> list[dict[str, Any]]:
        """Return the data of the events written since the last call."""
        text = b"".join(unchunked(data) for data in self.written)
        self.written.clear()
        lines = [line for line in text.split(b"\n") if line.startswith(b"data: ")]
        return [orjson.loads(line.removeprefix(b"data: ")) for line in lines]

    def summary(self) -> list[str]:
        """Return the same events in short: `ticker BTC-USDT 3`."""
        return [short(event) for event in self.take()]


def unchunked(data: bytes) -> bytes:
    size, _, rest = data.removesuffix(LAST_CHUNK).partition(b"\r\n")
    assert rest.endswith(b"\r\n")
    assert int(size, 16) == len(rest) - 2
    return rest[:-2]


def short(event: dict[str, Any]) -> str:
    match event:
        case {"type": "ticker", "data": data}:
            return f"ticker {data['symbol']} {data['seq']} {data['quality']}"
        case {"type": "status", "data": data}:
            return f"status {data['exchange']} {data['state']}"
        case {"type": "room", "data": data}:
            return f"room {data['symbol']} {data['reason']}"
        case {"type": kind}:
            return str(kind)
    return "hb"


class World:
    """A hub with its two clocks, and a bus to which only the hub is subscribed."""

    def __init__(self, **options: Any) -> None:
        self.now = 1000.0
        self.hub = Hub(clock=lambda: self.now, wall_clock_ms=lambda: self.wall_ms, **options)

    @property
    def wall_ms(self) -> int:
        return NOW_MS + round((self.now - 1000.0) * 1000)

    def publish(self, symbol: Symbol, seq: int) -> None:
        self.hub.on_message(kinds.TICKER.channel(symbol), ticker_bytes(symbol, seq, time_ms=self.wall_ms))

    def open(self, *symbols: Symbol, max_hz: float | None = None, **options: Any) -> FakeSink:
        sink = FakeSink()
        self.hub.open(sink, symbols or (BTC,), max_hz, **options)
        return sink

    def close(self, sink: FakeSink) -> None:
        self.hub.leave(next(stream for stream in self.hub.streams if stream.sink is sink), "client")

    def turn_away(self, *symbols: str, exchange: str = "okx", count: int | None = None) -> None:
        """Publish an ingest's report that it has no room for these symbols, and for `count` in all."""
        message = status_bytes(exchange, turned_away=symbols, turned_away_count=count)
        self.hub.on_message(kinds.STATUS.channel(exchange), message)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.hub.sweep()


@pytest.fixture
async def world() -> World:
    return World(featured=(BTC,), slow_client_s=30)


async def turn() -> None:
    """Let the loop run all due callbacks, flushes that wait for their millisecond included."""
    await asyncio.sleep(0.005)


async def test_snapshot_then_live(world: World) -> None:
    world.publish(BTC, 1)
    sink = world.open(BTC)
    assert sink.summary() == ["connected", "ticker BTC-USDT 1 ok"]
    world.publish(BTC, 2)
    await turn()
    assert sink.summary() == ["ticker BTC-USDT 2 ok"]


async def test_a_stream_may_open_before_there_is_a_price(world: World) -> None:
    sink = world.open(ETH)
    assert sink.summary() == ["connected"]
    world.publish(ETH, 1)
    await turn()
    assert sink.summary() == ["ticker ETH-USDT 1 ok"]


async def test_one_write_carries_the_newest_of_each_symbol(world: World) -> None:
    sink = world.open(BTC, ETH)
    sink.take()
    for seq in range(1, 6):
        world.publish(BTC, seq)
        world.publish(ETH, seq)
    await turn()
    assert len(sink.written) == 1
    assert sink.summary() == ["ticker BTC-USDT 5 ok", "ticker ETH-USDT 5 ok"]
    assert world.hub.stats.conflated == 8


async def test_all_streams_of_a_group_get_the_same_bytes_object(world: World) -> None:
    sinks = [world.open(BTC, ETH), world.open(ETH, BTC)]
    for sink in sinks:
        sink.take()
    world.publish(BTC, 1)
    await turn()
    assert sinks[0].written[0] is sinks[1].written[0]


async def test_who_joins_while_events_are_pending_gets_each_once(world: World) -> None:
    first = world.open(BTC, ETH)
    first.take()
    world.publish(BTC, 1)  # pending for the first
    late = world.open(BTC, ETH)
    assert late.summary() == ["connected", "ticker BTC-USDT 1 ok"]
    world.publish(ETH, 1)
    await turn()
    assert first.summary() == ["ticker BTC-USDT 1 ok", "ticker ETH-USDT 1 ok"]
    assert late.summary() == ["ticker ETH-USDT 1 ok"]
    world.publish(BTC, 2)
    await turn()
    assert late.summary() == first.summary() == ["ticker BTC-USDT 2 ok"]


async def test_old_and_repeated_messages_change_nothing(world: World) -> None:
    sink = world.open(BTC)
    world.publish(BTC, 5)
    await turn()
    sink.take()
    world.publish(BTC, 5)
    world.publish(BTC, 4)
    await turn()
    assert sink.summary() == []


async def test_counting_begun_anew_does_not_block(world: World) -> None:
    world.publish(BTC, 500)
    sink = world.open(BTC)
    sink.take()
    world.now += 0.1
    world.publish(BTC, 1)
    await turn()
    assert sink.summary() == ["ticker BTC-USDT 1 ok"]


async def test_a_laggard_gets_the_newest_when_it_can_take_it(world: World) -> None:
    sink, quick = world.open(BTC, ETH), world.open(BTC, ETH)
    stream = next(stream for stream in world.hub.streams if stream.sink is sink)
    sink.take()
    quick.take()
    sink.unsent = 1
    for seq in range(1, 4):
        world.publish(BTC, seq)
        await turn()
    assert sink.written == [], "no events pile up for it"
    assert len(quick.take()) == 3, "and other streams are not affected"
    sink.unsent = 0
    world.hub.writable(stream)
    assert sink.summary() == ["ticker BTC-USDT 3 ok"]
    world.publish(BTC, 4)
    await turn()
    assert sink.summary() == ["ticker BTC-USDT 4 ok"]
    assert world.hub.stats.laggards == 1


async def test_who_lags_too_long_is_cut(world: World) -> None:
    sink = world.open(BTC)
    sink.unsent = 1
    world.publish(BTC, 1)
    await turn()
    states = []
    for seconds in (29, 2):
        world.pass_time(seconds)
        states.append(sink.closed)
    assert states == [None, "aborted"]
    assert world.hub.stats.closed == {"slow": 1}
    assert not world.hub.streams


async def test_who_does_not_even_take_heartbeats_is_cut(world: World) -> None:
    sink = world.open(BTC)
    sink.unsent = 1
    world.pass_time(16)
    await turn()
    world.pass_time(31)
    assert sink.closed == "aborted"


async def test_a_closing_connection_is_not_written_to(world: World) -> None:
    sink = world.open(BTC)
    sink.closed = "by the client"
    world.publish(BTC, 1)
    await turn()
    world.pass_time(20)


async def test_an_unrenewed_price_is_called_stale_then_down_once_each(world: World) -> None:
    world.publish(BTC, 1)
    sink = world.open(BTC)
    sink.take()
    seen = []
    for _ in range(80):
        world.pass_time(1)
        await turn()
        seen += [event for event in sink.summary() if event != "hb"]
    assert seen == ["ticker BTC-USDT 1 stale", "ticker BTC-USDT 1 down"]
    world.publish(BTC, 2)
    await turn()
    assert sink.summary() == ["ticker BTC-USDT 2 ok"]


async def test_a_snapshot_is_never_better_than_the_truth(world: World) -> None:
    world.publish(BTC, 1)
    world.now += STALE_AFTER_MS / 1000  # no sweep has run yet
    assert world.open(BTC).summary() == ["connected", "ticker BTC-USDT 1 stale"]
    world.now += DOWN_AFTER_MS / 1000
    assert b'"down"' in (world.hub.newest(kinds.TICKER.channel(BTC)) or b"")


async def test_an_old_price_is_rewritten_once_a_second_however_many_ask(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rewritten: list[int] = []

    def counted(ticker: LatestTicker, now_ms: int, _: Fields) -> bytes:
        rewritten.append(now_ms)
        return as_of(ticker, now_ms)

    monkeypatch.setitem(READINGS, kinds.TICKER, replace(READINGS[kinds.TICKER], as_of=counted))
    world.publish(BTC, 1)
    rewritten.clear()
    ages = []
    for _ in range(2):
        world.now += STALE_AFTER_MS / 1000
        ages += [[source["ageMs"] for source in world.open(BTC).take()[1]["data"]["sources"]] for _ in range(3)]
    assert len(rewritten) == 2
    assert ages == [[5_100, 63_000]] * 3 + [[10_100, 68_000]] * 3
    world.publish(BTC, 2)
    assert world.open(BTC).summary()[-1] == "ticker BTC-USDT 2 ok"


async def test_statuses_are_told_when_they_change(world: World) -> None:
    sink = world.open(BTC)
    sink.take()
    for _ in range(2):
        world.hub.on_message("status:okx", status_bytes())
        await turn()
    assert sink.summary() == ["status okx connected"]
    assert world.open(BTC).summary() == ["connected", "status okx connected"]
    world.pass_time(16)
    await turn()
    assert sink.summary() == ["status okx down", "hb"]


async def test_resync_is_followed_by_fresh_snapshots(world: World) -> None:
    world.publish(BTC, 1)
    sink = world.open(BTC)
    sink.take()
    world.hub.take_last(
        [(kinds.TICKER.channel(BTC), Last(ticker_bytes(BTC, 9, time_ms=world.wall_ms), 0)), (kinds.TICKER.channel(ETH), None)]
    )
    world.hub.resync("the bus was away")
    await turn()
    assert sink.summary() == ["resync", "ticker BTC-USDT 9 ok"]


async def test_a_laggard_hears_of_the_resync_first(world: World) -> None:
    world.publish(BTC, 1)
    sink = world.open(BTC)
    sink.take()
    sink.unsent = 1
    world.publish(BTC, 2)
    await turn()
    world.hub.resync("the bus was away")
    await turn()
    sink.unsent = 0
    world.hub.writable(next(iter(world.hub.streams)))
    assert sink.summary() == ["resync", "ticker BTC-USDT 2 ok"]


async def test_what_a_socket_does_not_take_goes_to_its_transport(world: World) -> None:
    """No byte is repeated or left out, and none goes to a descriptor that now belongs to another connection."""
    near, far = socket.socketpair()
    with near, far:
        for end in (near, far):
            end.setblocking(False)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the smallest buffer
        sink = FakeSink()
        world.hub.open(sink, (BTC,), None, near.fileno())
        sink.written.clear()
        for seq in range(1, 50):
            world.publish(BTC, seq)
            await turn()
        at_once = all_of(far)
        assert at_once
        assert sink.written, "the socket was full in the end"
        told = [short(event) for event in events_in(at_once + b"".join(sink.written))]
        assert told == [f"ticker BTC-USDT {seq} ok" for seq in range(1, 50)]
        sink.close()
        world.publish(BTC, 50)
        await turn()
        assert all_of(far) == b""


def all_of(connection: socket.socket) -> bytes:
    """Read all data that has arrived."""
    told = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            told += connection.recv(65536)
    return told


def events_in(body: bytes) -> list[dict[str, Any]]:
    """Read the events of a chunked body."""
    return [orjson.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: ")]


async def test_malformed_messages_are_counted_and_skipped(world: World) -> None:
    for data in (b"", b"[1]", ticker_bytes("ETH-USDT")):
        world.hub.on_message("ticker:BTC-USDT", data)
    world.hub.on_message("status:okx", b"{}")
    world.hub.take_last(
        [(kinds.TICKER.channel(BTC), Last(b"{}", 0)), (kinds.TICKER.channel(ETH), None)], [("status:okx:a", b"")]
    )
    assert world.hub.stats.bad_messages == 6
    assert world.hub.newest(kinds.TICKER.channel(BTC)) is None


async def test_demand_lingers_and_goes(world: World) -> None:
    sink = world.open(ETH)
    assert world.hub.topics.symbols == {BTC, ETH}
    world.hub.leave(next(stream for stream in world.hub.streams if stream.sink is sink), "client")
    world.pass_time(LINGER_S - 1)
    assert world.hub.topics.symbols == {BTC, ETH}
    world.pass_time(2)
    assert world.hub.topics.symbols == {BTC}, "featured symbols are always wanted"


async def test_max_hz_holds_updates_back_and_sends_the_newest() -> None:
    hub = Hub()
    sink = FakeSink()
    hub.open(sink, (BTC,), max_hz=10)
    sink.take()
    for seq in range(1, 8):
        hub.on_message("ticker:BTC-USDT", ticker_bytes(BTC, seq, time_ms=hub._now_ms()))
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.12)
    writes = len(sink.written)
    assert 2 <= writes <= 4
    assert sink.summary()[-1] == "ticker BTC-USDT 7 ok"


async def test_what_waited_while_the_process_slept_is_told_as_it_is_by_now(world: World) -> None:
    """An update delayed by a stream's rate limit may be the last for a while, since the bus may be away by then."""
    sink = world.open(BTC, max_hz=10)
    world.publish(BTC, 1)
    await turn()
    sink.take()
    world.publish(BTC, 2)
    world.now += STALE_AFTER_MS / 1000
    await until(lambda: bool(sink.written))
    assert sink.summary() == ["ticker BTC-USDT 2 stale"]


async def test_streams_end_with_bye_at_their_age(world: World) -> None:
    sink = world.open(BTC)
    sink.take()
    world.pass_time(1800 * 1.15)
    assert sink.written[-1].endswith(LAST_CHUNK)
    assert sink.summary() == ["bye"]
    assert sink.closed == "closed"
    assert world.hub.stats.closed == {"max_age": 1}


async def test_drain_ends_all_with_bye() -> None:
    hub = Hub()
    sinks = [FakeSink() for _ in range(20)]
    for sink in sinks:
        hub.open(sink, (BTC,))
    await hub.drain(0.05)
    assert all(sink.summary()[-1] == "bye" and sink.closed == "closed" for sink in sinks)
    assert hub.stats.closed == {"shutdown": 20}


async def test_nothing_is_left_of_streams_that_left(world: World) -> None:
    for number in range(200):
        world.open(BTC, ETH, max_hz=1 + number)
        world.publish(BTC, number)
    for stream in list(world.hub.streams):
        world.hub.leave(stream, "client")
        world.hub.leave(stream, "client")  # leaving again has no effect
    await turn()
    world.pass_time(LINGER_S + 1)
    assert world.hub.stats.closed == {"client": 200}
    assert not world.hub._groups
    assert world.hub.topics.symbols == {BTC}


TEN_MINUTES_MS = 600_000
"""Differences between the clocks of two aggregators."""


def qualities(world: World, symbol: Symbol = BTC) -> str:
    data = world.hub.newest(kinds.TICKER.channel(symbol))
    assert data is not None
    return str(orjson.loads(data)["quality"])


@pytest.mark.parametrize("skews_ms", [(TEN_MINUTES_MS, 0), (-TEN_MINUTES_MS, 0), (TEN_MINUTES_MS, -TEN_MINUTES_MS)])
async def test_aggregators_whose_clocks_differ_hand_over_without_a_stale_price(skews_ms: tuple[int, int]) -> None:
    """Each has some of the symbols, and they swap again and again. Prices stay live all the time."""
    world = World()
    world.hub.topics.hold([kinds.TICKER.channel(BTC), kinds.TICKER.channel(ETH)], "a")
    seq = 0
    for turn in range(12):
        for _ in range(10):
            seq += 1
            world.now += 1
            for symbol, number in ((BTC, turn % 2), (ETH, (turn + 1) % 2)):
                made_ms = world.wall_ms + skews_ms[number]
                world.hub.on_message(
                    kinds.TICKER.channel(symbol), ticker_bytes(symbol, seq, time_ms=made_ms, publisher=f"aggregator:{number}")
                )
                world.hub.sweep()
                assert qualities(world, symbol) == "ok", (turn, symbol)
    world.now += STALE_AFTER_MS / 1000
    assert (qualities(world), qualities(world, ETH)) == ("stale", "stale"), (
        "and prices of both become stale once they publish no more"
    )


@pytest.mark.parametrize("skew_ms", [-TEN_MINUTES_MS, TEN_MINUTES_MS])
async def test_a_publisher_s_wrong_clock_is_no_delay_of_ours(skew_ms: int) -> None:
    hub, sink = Hub(), FakeSink()
    hub.open(sink, (BTC,))
    for seq in range(1, 4):
        hub.on_message(kinds.TICKER.channel(BTC), ticker_bytes(BTC, seq, time_ms=now_ms() + skew_ms))
        await turn()
    assert sink.summary()[-1] == "ticker BTC-USDT 3 ok"
    assert hub.stats.latency._total_s < 60


@pytest.fixture
async def small() -> World:
    """Return a world in which one address gets one symbol once room is short, and OKX lists all symbols but SOL."""
    return World(featured=(BTC,), share=1, listed_at=lambda symbol: () if symbol == SOL else ("okx",))


async def test_a_symbol_that_is_turned_away_says_so_until_it_has_room(small: World) -> None:
    sink = small.open(BTC, ETH)
    sink.take()
    small.turn_away(ETH)
    await turn()
    assert sink.take() == [
        {"type": "status", "data": ANY},
        {
            "type": "room",
            "data": {
                "symbol": ETH,
                "room": False,
                "reason": "full",
                "exchanges": ["okx"],
                "detail": "okx can carry no more symbols (MAX_SYMBOLS)",
            },
        },
    ]
    assert small.open(ETH, BTC).summary() == ["connected", f"room {ETH} full", "status okx connected"], (
        "later streams get the event, too"
    )
    small.turn_away(ETH)
    small.pass_time(1)
    await turn()
    assert sink.summary() == [], "an unchanged state is not repeated"
    small.turn_away()
    await turn()
    assert sink.take() == [
        {"type": "room", "data": {"symbol": ETH, "room": True, "reason": None, "exchanges": [], "detail": None}}
    ]
    assert small.open(ETH).summary() == ["connected", "status okx connected"]


async def test_a_symbol_that_another_exchange_carries_has_room(small: World) -> None:
    sink = small.open(ETH)
    small.publish(ETH, 1)
    small.turn_away(ETH)
    await turn()
    assert f"room {ETH} full" not in sink.summary()
    small.pass_time(STALE_AFTER_MS / 1000)
    small.turn_away(ETH)
    await turn()
    assert sink.summary() == [f"ticker {ETH} 1 stale", f"room {ETH} full"]


async def test_a_symbol_beyond_its_addresses_share_says_so_until_somebody_has_it_within_theirs(small: World) -> None:
    mine = small.open(ETH, SOL, owner="a")
    mine.take()
    small.turn_away(DOGE)
    await turn()
    assert small.hub.topics.symbols == {BTC, ETH}
    assert mine.summary() == ["status okx connected", f"room {SOL} share"]
    assert small.open(SOL, owner="a").summary() == ["connected", f"room {SOL} share", "status okx connected"]
    other = small.open(SOL, owner="b")
    await turn()
    assert other.summary() == ["connected", "status okx connected"]
    assert mine.summary() == [f"room {SOL} None"], "a symbol within another address's share is open to all"
    small.publish(SOL, 1)
    await turn()
    assert mine.summary() == [f"ticker {SOL} 1 ok"]
    small.close(other)
    small.pass_time(1)
    await turn()
    assert mine.summary() == [f"room {SOL} share"]


async def test_room_is_short_for_a_while_after_the_last_was_turned_away(small: World) -> None:
    sink = small.open(ETH, SOL)
    small.turn_away(DOGE)
    small.turn_away()
    small.pass_time(SHORT_FOR_S - 1)
    await turn()
    assert small.hub.topics.symbols == {BTC, ETH}
    sink.take()
    small.pass_time(2)
    await turn()
    assert small.hub.topics.symbols == {BTC, ETH, SOL}
    assert sink.summary()[-1] == f"room {SOL} None"


async def test_an_exchange_that_turns_away_more_than_it_names_is_full_for_what_it_lists(small: World) -> None:
    one, other = small.open(ETH, owner="a"), small.open(SOL, owner="b")
    small.turn_away(DOGE, count=500)
    small.pass_time(NAMED_WITHIN_S - 1)
    await turn()
    assert "room" not in "".join(one.summary()), "its ticker may still come"
    small.pass_time(1)
    await turn()
    assert f"room {ETH} full" in one.summary()
    assert "room" not in "".join(other.summary()), "that exchange does not list it"


async def test_a_laggard_and_a_resync_lose_nothing_about_room(small: World) -> None:
    fast, slow = small.open(ETH), small.open(ETH)
    slow.unsent = 1
    small.turn_away(ETH)
    await turn()
    fast.take()
    slow.take()
    small.turn_away()
    small.hub.resync("a test")
    await turn()
    assert fast.summary() == ["resync", f"room {ETH} None", "status okx connected"]
    slow.unsent = 0
    for stream in list(small.hub.streams):
        small.hub.writable(stream)
    assert slow.summary() == ["resync", "status okx connected", f"room {ETH} None"]


async def test_what_an_address_asked_for_first_stays(small: World) -> None:
    first = small.open(SOL, owner="a")
    small.open(ETH, owner="a")
    small.turn_away(DOGE)
    assert small.hub.topics.symbols == {BTC, SOL}
    small.close(first)
    assert small.hub.topics.symbols == {BTC, ETH}


async def test_each_stream_gets_the_fields_that_it_asks_for(world: World) -> None:
    world.publish(BTC, 1)
    all_of_it, some, others = (world.open(BTC, fields=fields) for fields in (None, ALWAYS | {"price"}, ALWAYS | {"price"}))
    world.publish(BTC, 2)
    await turn()
    assert some.written[1] is others.written[1], "one piece for both"
    first, *tickers = some.take()
    assert first["data"]["fields"] == sorted(ALWAYS | {"price"})
    assert [set(ticker["data"]) for ticker in tickers] == [ALWAYS | {"price"}] * 2
    assert [ticker["data"]["seq"] for ticker in tickers] == [1, 2]
    first, *tickers = all_of_it.take()
    assert first["data"]["fields"] is None
    assert [set(ticker["data"]) for ticker in tickers] == [{*ALL, "v"}] * 2


async def test_a_price_that_grows_old_says_so_with_few_fields(world: World) -> None:
    world.publish(BTC, 1)
    sink = world.open(BTC, fields=ALWAYS | {"price"})
    sink.take()
    world.pass_time(STALE_AFTER_MS / 1000)
    await turn()
    [old] = sink.take()
    assert old["data"]["quality"] == "stale"
    assert set(old["data"]) == ALWAYS | {"price"}


class Inflated:
    """A compressed stream's client, which reads on while the stream goes on."""

    def __init__(self, world: World, **options: Any) -> None:
        self.sink = FakeSink()
        self.stream = world.hub.open(self.sink, (BTC,), compressed=True, **options)
        self.decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def summary(self) -> list[str]:
        text = b"".join(self.decoder.decompress(unchunked(data)) for data in self.sink.written)
        self.sink.written.clear()
        lines = [line for line in text.split(b"\n") if line.startswith(b"data: ")]
        return [short(orjson.loads(line.removeprefix(b"data: "))) for line in lines]


async def test_compressed_streams_read_on_whenever_they_began_and_however_slowly_they_read(world: World) -> None:
    early = Inflated(world)
    world.publish(BTC, 1)
    await turn()
    world.publish(BTC, 2)
    joiner = Inflated(world)  # its snapshot has what the others are sent only with the next flush
    await turn()
    world.publish(BTC, 3)
    await turn()
    slow, late = Inflated(world), Inflated(world)
    slow.sink.unsent = 1
    for seq in (4, 5):
        world.publish(BTC, seq)
        await turn()
    slow.sink.unsent = 0
    world.hub.writable(slow.stream)
    for seq in (6, 7):
        world.now += SETTLE_S
        world.publish(BTC, seq)
        await turn()
    assert len({one.sink.written[-1] for one in (early, joiner, slow, late)}) == 1, "all share one piece again"
    world.hub.end(early.stream, "max_age")
    world.publish(BTC, 8)
    await turn()
    tickers = [f"ticker BTC-USDT {seq} ok" for seq in range(9)]
    assert early.summary() == ["connected", *tickers[1:8], "bye"]
    assert early.decoder.eof, "its checksum and length were right"
    assert not early.decoder.unused_data
    assert joiner.summary() == ["connected", *tickers[2:]]
    assert slow.summary() == ["connected", *tickers[3:4], *tickers[5:]]
    assert late.summary() == ["connected", *tickers[3:]]


async def test_streams_that_come_all_the_time_do_not_make_the_others_pieces_start_anew(world: World) -> None:
    settled = Inflated(world)
    sizes = []
    for seq in range(1, 12):
        world.publish(BTC, seq)
        Inflated(world)
        await turn()
        sizes.append(len(settled.sink.written[-1]))
    assert max(sizes[1:]) < sizes[0] / 2
    assert len(settled.summary()) == 12


async def test_a_piece_is_compressed_once_for_all_streams(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [Inflated(world) for _ in range(5)]
    made = Counter[bytes]()
    compress = body._compress

    def counted(compressor: Any, text: bytes) -> bytes:
        made[text] += 1
        return compress(compressor, text)

    monkeypatch.setattr(body, "_compress", counted)
    for seq in range(1, 4):
        world.publish(BTC, seq)
        await turn()
    assert list(made.values()) == [1, 1, 1]
    assert {stream.sink.written[-1] for stream in streams} == {streams[0].sink.written[-1]}


async def test_the_window_of_streams_that_have_ended_is_free(world: World) -> None:
    for _ in range(3):
        streams = [Inflated(world) for _ in range(3)]
        world.publish(BTC, 1)
        await turn()
        for one in streams:
            world.hub.leave(one.stream, "client")
    world.publish(BTC, 2)
    await turn()
    assert world.hub._outbox.windows.kept == 0


@pytest.mark.parametrize("seed", range(30))
async def test_every_stream_reads_on_to_the_newest_whatever_happens(world: World, seed: int) -> None:
    """Streams come, go, read slowly and ask for this or that. No number falls, and the last one is the newest."""
    chance = random.Random(seed)
    streams: list[Inflated] = []
    told: dict[Inflated, list[int]] = {}
    seq = 0
    for _ in range(150):
        match chance.choice(["publish", "publish", "turn", "open", "slow", "read", "leave", "time"]):
            case "publish":
                seq += 1
                world.publish(BTC, seq)
            case "turn":
                await turn()
            case "open":
                streams.append(Inflated(world, fields=chance.choice([None, ALWAYS])))
            case "slow" if streams:
                chance.choice(streams).sink.unsent = 1
            case "read" if streams:
                one = chance.choice(streams)
                one.sink.unsent = 0
                world.hub.writable(one.stream)
            case "leave" if streams:
                world.hub.leave(streams.pop(chance.randrange(len(streams))).stream, "client")
            case "time":
                world.now += chance.uniform(0, SETTLE_S / 2)
    streams.append(Inflated(world))
    for one in streams:
        one.sink.unsent = 0
        world.hub.writable(one.stream)
    for _ in range(2):
        seq += 1
        world.publish(BTC, seq)
        await turn()
    for one in streams:
        told[one] = [int(line.split()[2]) for line in one.summary() if line.startswith("ticker")]
        assert told[one] == sorted(told[one])  # a stream that catches up may get the newest once more with the next flush
        assert told[one][-1] == seq
