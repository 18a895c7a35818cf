"""The recorded bytes of every message in every state. They must not change, since other people's programs read them.

`python -m unit.shared.test_wire_bytes`, in `tests`, records them again after a deliberate change.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from gateway.stream import sse
from gateway.stream.statuses import Statuses
from market_pulse.messages import (
    Candle,
    FeedState,
    FeedStatus,
    Interval,
    Point,
    Quality,
    Source,
    SourceState,
    Symbol,
    Tick,
    Ticker,
    bar_of,
    encode,
    encode_bar,
    encode_points,
    encode_tick,
)
from market_pulse.tickers import DOWN_AFTER_MS, STALE_AFTER_MS, as_of, read_ticker
from support.samples import NOW_MS, converted_ticker, ticker, ticker_bytes

RECORDED = Path(__file__).with_name("wire_bytes.txt")

TICK = Tick(
    exchange="okx",
    symbol=Symbol("BTC-USDT"),
    price=64000.1,
    exchange_time_ms=NOW_MS - 120,
    received_time_ms=NOW_MS - 100,
    dp=1,
    bid=64000.0,
    ask=64000.2,
    open24h=63360.0,
    high24h=65000.0,
    low24h=63000.5,
    volume24h=1000.25,
    quote_volume24h=64_000_000.0,
    order=(123.0, 456.0, float(NOW_MS), 9.5),
)
FEED = FeedStatus(
    exchange="okx",
    state="connected",
    reason=None,
    since_ms=NOW_MS,
    symbols=4,
    last_tick_time_ms=NOW_MS - 7,
    reconnects=0,
    instance="okx:1",
)
NUMBERS = {
    "tiny": 1e-8,
    "smallest": 5e-324,
    "third": 1 / 3,
    "whole": 64000.0,
    "large": 123456789012345.6,
    "below 1e16": 9007199254740993.0,
}


def ticks() -> Iterator[tuple[str, bytes]]:
    states = {
        "complete": TICK,
        "least": Tick(exchange="okx", symbol=Symbol("BTC-USDT"), price=1.0, exchange_time_ms=None, received_time_ms=1),
        "whole numbers in its order": replace(TICK, order=(1, 2, NOW_MS)),
        "one side empty": replace(TICK, bid=None),
        "no turnover": replace(TICK, volume24h=0.0, quote_volume24h=0.0),
        "from an answer": replace(TICK, lag_unknown=True),
        "an estimated turnover": replace(TICK, quote_volume_estimated=True),
        "ended": replace(TICK, ended="delisted"),
        "a name of other letters": replace(TICK, symbol=Symbol("ÄÖ€-USDT")),
    }
    states |= {f"price {name}": replace(TICK, price=number) for name, number in NUMBERS.items()}
    for name, tick in states.items():
        yield f"tick, {name}", encode_tick(tick, NOW_MS)


def tickers() -> Iterator[tuple[str, bytes]]:
    full = ticker()
    unknown = replace(
        full,
        price=None,
        bid=None,
        ask=None,
        change24h=None,
        change_percent24h=None,
        open24h=None,
        high24h=None,
        low24h=None,
        volume24h=None,
        quote_volume24h=None,
        confidence=None,
        spread_bps=None,
        sources_used=0,
        sources_total=0,
        sources=(),
        exchange_time_ms=None,
        received_time_ms=None,
        publisher=None,
        agreed_price=None,
        agreed_time_ms=None,
        priced_time_ms=None,
        quality="down",
    )
    states: dict[str, Ticker] = {f"quality {quality}": replace(full, quality=quality) for quality in get_args(Quality)}
    states["nothing known"] = unknown
    states |= {f"price {name}": replace(full, price=number, agreed_price=number) for name, number in NUMBERS.items()}
    states["of every state of a source"] = replace(
        full,
        sources=tuple(
            Source(
                exchange=f"x{at}", price=64000.5, used_price=None, weight=0.0, age_ms=at, state=state, reason=f"{state}, „why“"
            )
            for at, state in enumerate(get_args(SourceState))
        ),
    )
    states["of a source whose turnover is estimated"] = replace(
        full,
        sources=tuple(replace(source, quote_volume_estimated=True) for source in full.sources[:1]) + full.sources[1:],
    )
    states["with converted sources"] = converted_ticker()
    for name, one in states.items():
        yield f"ticker, {name}", encode(one)


def statuses() -> Iterator[tuple[str, bytes]]:
    states = {
        state: replace(FEED, state=state, reason=None if state == "connected" else "why") for state in get_args(FeedState)
    }
    states |= {
        "no tick yet": replace(FEED, last_tick_time_ms=None),
        "simulated": replace(FEED, simulated=True),
        "turned away": replace(FEED, turned_away=(Symbol("PEPE-USDT"), Symbol("WIF-USDT")), turned_away_count=7),
    }
    for name, status in states.items():
        yield f"status, {name}", encode(status)


def handed_on() -> Iterator[tuple[str, bytes]]:
    for name, age_ms in {"live": 0, "stale": STALE_AFTER_MS, "down": DOWN_AFTER_MS}.items():
        latest = read_ticker("BTC-USDT", ticker_bytes(), NOW_MS, live=True)
        yield f"handed on, {name}", as_of(latest, NOW_MS + age_ms)
    yield (
        "handed on, a field of a later version",
        as_of(read_ticker("BTC-USDT", ticker_bytes()[:-1] + b',"later":{"b":[1.50]}}', NOW_MS, live=True), NOW_MS),
    )


def candles() -> Iterator[tuple[str, bytes]]:
    least = Candle(
        symbol=Symbol("BTC-USDT"),
        interval=Interval.DAY,
        start_ms=0,
        end_ms=86_400_000,
        open=1.0,
        high=2.0,
        low=0.5,
        close=1.5,
        closed=True,
        origin="exchanges",
        received_time_ms=NOW_MS,
    )
    yield "candle, least", encode(least)
    full = replace(
        least,
        interval=Interval.MINUTE,
        end_ms=60_000,
        volume=10.5,
        quote_volume=12.25,
        vwap=1.25,
        trades=7,
        buy_volume=4.0,
        closed=False,
        revision=2,
        origin="live",
        exchanges=("binance", "okx"),
        first_seq=5,
        last_seq=9,
        seen=4,
        missed=1,
        published_time_ms=NOW_MS,
    )
    yield "candle, full", encode(full)
    yield "candle, an exchange's", encode(replace(full, exchange="okx", origin="exchange", exchange_time_ms=NOW_MS))
    yield "bar", encode_bar(bar_of(full))
    yield "bar, least", encode_bar(bar_of(least))


def events() -> Iterator[tuple[str, bytes]]:
    yield "event, ticker", sse.state_event("ticker", "BTC-USDT", 1, ticker_bytes())
    yield "event, heartbeat", sse.heartbeat(NOW_MS)
    yield "event, room", sse.room_event("BTC-USDT", None, (), None)
    yield "event, no room", sse.room_event("BTC-USDT", "full", ("okx",), "okx can carry no more symbols (MAX_SYMBOLS)")
    yield "event, resync", sse.event("resync", {"reason": "reconnected"})
    yield "event, bye", sse.event("bye", {"reason": "shutdown", "retryMs": 500}, 15_000)
    yield "event, refused", sse.refused({"type": "about:blank", "status": 503, "code": "draining"}, 15_000)
    known = Statuses()
    for copy in (FEED, replace(FEED, instance="okx:2", state="reconnecting")):
        known.take("okx", encode(copy), NOW_MS)
    [status] = known.current(NOW_MS).values()
    yield "event, status", sse.message_event("status", status.json())
    yield "answer, status", status.json(with_room=True)


def messages() -> dict[str, bytes]:
    points = [
        Point(time_ms=NOW_MS, price=64000.0, sources={"okx": 64000.1, "bybit": 1e-8}),
        Point(time_ms=1, price=0.1, sources={}),
    ]
    return {"points": encode_points(points)} | dict((*ticks(), *tickers(), *statuses(), *candles(), *handed_on(), *events()))


def recorded() -> dict[str, bytes]:
    lines = (line.partition(b"\t") for line in RECORDED.read_bytes().splitlines())
    return {
        name.decode(): text.decode().encode("latin-1").decode("unicode_escape").encode("latin-1") for name, _, text in lines
    }


def record() -> None:
    texts = (f"{name}\t{text.decode('latin-1').encode('unicode_escape').decode()}\n" for name, text in messages().items())
    RECORDED.write_text("".join(texts))


def test_each_message_is_recorded() -> None:
    assert list(messages()) == list(recorded())


@pytest.mark.parametrize("name", messages())
def test_its_bytes_are_what_they_were(name: str) -> None:
    assert messages()[name] == recorded()[name]


if __name__ == "__main__":
    record()
