"""Several endpoints of one exchange: their addresses, their room, and their part of the status."""

from dataclasses import replace
from typing import Any

import pytest

from market_pulse.exchange.adapter import Adapter, Listed, key_of
from market_pulse.exchange.demand import rooms
from market_pulse.exchange.feed import Feed
from market_pulse.exchange.feeds import Feeds, ws_urls
from market_pulse.exchange.settings import IngestSettings
from market_pulse.exchange.status import condition
from market_pulse.kinds import EXCHANGE_CANDLE, TICKER
from market_pulse.messages import FeedState, Symbol
from support.exchanges import ADAPTERS
from support.facts import CONNECTED

TOY, TERSE = ADAPTERS["toy-exchange"], ADAPTERS["terse-exchange"]
CANDLES = TOY.further[0]
BTC = Listed(Symbol("BTC-USDT"), "BTC/USDT", None)


@pytest.mark.parametrize(
    ("configured", "ticker", "candles"),
    [
        (None, "wss://toy.invalid/stream", "wss://toy.invalid/candles"),
        ("ws://h:9", "ws://h:9/stream", "ws://h:9/candles"),
        ("ws://h:9/stream", "ws://h:9/stream", "ws://h:9/candles"),
        ("wss://h/proxy/stream?key=1", "wss://h/proxy/stream?key=1", "wss://h/proxy/candles?key=1"),
        ("wss://h/elsewhere", "wss://h/elsewhere", "wss://h/candles"),
    ],
)
def test_a_configured_host_is_that_of_all_endpoints(configured: str | None, ticker: str, candles: str) -> None:
    assert ws_urls(TOY, configured, TOY) == (ticker,)
    assert ws_urls(CANDLES, configured, TOY) == (candles,)


def of(adapter: Adapter, **settings: Any) -> dict[str, int]:
    return {kind.name: room for kind, room in rooms(adapter, IngestSettings(**settings)).items()}


def one_socket(topics: int) -> Adapter:
    """Return the toy exchange with its candles on the ticker's socket, which carries so many topics."""
    return replace(TOY, channels={**TOY.channels, **CANDLES.channels}, further=(), topics_per_connection=topics)


@pytest.mark.parametrize(
    ("adapter", "settings", "ticker", "candles"),
    [
        pytest.param(TOY, {}, 200, 50, id="each endpoint has a socket of its own"),
        pytest.param(TOY, {"max_symbols": 1000, "max_candle_symbols": 1000}, 500, 100, id="sockets are full"),
        pytest.param(TERSE, {}, 200, 50, id="candles by REST need no topics"),
        pytest.param(one_socket(500), {}, 200, 50, id="both fit"),
        pytest.param(one_socket(100), {}, 50, 50, id="equal parts"),
        pytest.param(one_socket(100), {"max_candle_symbols": 10}, 90, 10, id="one needs less"),
        pytest.param(one_socket(100), {"max_symbols": 8}, 8, 50, id="and the other one"),
        pytest.param(replace(TERSE, candles=None), {}, 200, None, id="no candles"),
    ],
)
def test_kinds_share_a_socket(adapter: Adapter, settings: dict[str, int], ticker: int, candles: int | None) -> None:
    expected = {"ticker": ticker} | ({"candles:1m": candles} if candles is not None else {})
    assert of(adapter, **settings) == expected


async def test_each_feed_gets_what_its_endpoint_has() -> None:
    feeds = Feeds(Feed(one, one.ws_urls, lambda _: None, blocked_retry_s=1, max_age_s=None) for one in TOY.endpoints)
    assert feeds.of(TICKER) is feeds.ticker
    candles = feeds.of(EXCHANGE_CANDLE)
    assert candles is not None
    assert candles is not feeds.ticker
    feeds.want({key_of(kind, BTC.native): BTC for kind in (TICKER, EXCHANGE_CANDLE)})
    assert feeds.ticker._listed.keys() == {"BTC/USDT"}
    assert candles._listed.keys() == {"candles:1m BTC/USDT"}
    assert (feeds.facts().wanted, feeds.facts().lacking) == (1, [])
    candles._enter("reconnecting", "cut without a closing frame")
    assert feeds.facts().lacking == ["candles:1m missing: reconnecting: cut without a closing frame"]
    feeds.want({BTC.native: BTC})
    assert feeds.facts().lacking == [], "nobody wants candles any more"


@pytest.mark.parametrize(
    ("phase", "state", "reason"),
    [
        ("connected", "connected", "candles:1m missing: x"),
        ("reconnecting", "reconnecting", "cut; candles:1m missing: x"),
        ("down", "down", "cut"),
    ],
)
def test_missing_candles_are_told_in_words_alone(phase: FeedState, state: FeedState, reason: str) -> None:
    facts = replace(CONNECTED, phase=phase, phase_reason="cut", lacking=["candles:1m missing: x"])
    assert condition(facts) == (state, reason)
