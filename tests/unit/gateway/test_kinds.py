"""A kind is one row in a table: the hub carries a new kind without other changes."""

import asyncio

import orjson
import pytest

from gateway.stream.backlog import MOST_WAITING
from gateway.stream.hub import Hub
from gateway.stream.kinds import Asked
from market_pulse import kinds
from market_pulse.kinds import Kind, Shape
from market_pulse.messages import Symbol

from .test_hub import FakeSink

BTC, ETH = Symbol("BTC-USDT"), Symbol("ETH-USDT")
LISTED = {BTC: ("bybit", "okx"), ETH: ("okx",)}
TRADES = Kind(name="trades", message=dict, shape=Shape.EVENTS, address="trades:{exchange}:{symbol}", expiry_s=0)


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    await asyncio.sleep(0.002)


@pytest.fixture
async def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, TRADES))
    return Hub(listed_at=LISTED.__getitem__)


async def test_events_of_all_exchanges_that_list_a_symbol_are_sent_each(hub: Hub) -> None:
    sink = FakeSink()
    hub.open(sink, (BTC, ETH), kinds=(Asked(TRADES),))
    assert hub.topics.wanted == {"trades:bybit:BTC-USDT", "trades:okx:BTC-USDT", "trades:okx:ETH-USDT"}
    sink.take()
    for channel in ("trades:okx:BTC-USDT", "trades:okx:BTC-USDT", "trades:bybit:BTC-USDT", "trades:kraken:BTC-USDT"):
        hub.on_message(channel, orjson.dumps({"of": channel}))
    hub.on_message("trades:okx:BTC-USDT", b"no JSON")
    await turn()
    assert sink.take() == [
        {"type": "trades", "data": {"of": "trades:okx:BTC-USDT"}},
        {"type": "trades", "data": {"of": "trades:okx:BTC-USDT"}},
        {"type": "trades", "data": {"of": "trades:bybit:BTC-USDT"}},
    ]
    assert hub.stats.bad_messages == 1


async def test_a_client_that_does_not_read_is_told_how_many_events_it_has_missed(hub: Hub) -> None:
    sink, quick = FakeSink(), FakeSink()
    stream = hub.open(sink, (ETH,), kinds=(Asked(TRADES),))
    hub.open(quick, (ETH,), kinds=(Asked(TRADES),))
    sink.take()
    quick.take()
    sink.unsent = 1
    for number in range(MOST_WAITING + 3):
        hub.on_message("trades:okx:ETH-USDT", b"%d" % number)
        await turn()
    assert [event["data"] for event in quick.take()] == list(range(MOST_WAITING + 3))
    assert sink.written == [], "no events pile up in its connection"
    sink.unsent = 0
    hub.writable(stream)
    first, *others = sink.take()
    assert first == {"dropped": 3, "type": "trades", "data": 3}
    assert [event["data"] for event in others] == list(range(4, MOST_WAITING + 3))
    assert all("dropped" not in event for event in others)
