"""The table of kinds: it names channels, and a name read from a channel equals the written one exactly."""

import pytest

from market_pulse.kinds import (
    CANDLES,
    EXCHANGE_CANDLE,
    KINDS,
    STATUS,
    TICK,
    TICKER,
    Kind,
    Shape,
    kind_of,
    needed,
    read_channel,
    symbols_of,
)
from market_pulse.messages import Interval, Symbol


@pytest.mark.parametrize(
    ("kind", "names", "channel"),
    [
        pytest.param(TICK, ("okx", "BTC-USDT"), "ticks:okx:BTC-USDT", id="tick"),
        pytest.param(TICKER, ("BTC-USDT",), "ticker:BTC-USDT", id="ticker"),
        pytest.param(STATUS, ("okx",), "status:okx", id="status"),
        pytest.param(EXCHANGE_CANDLE, ("okx", "BTC-USDT"), "candles:1m:okx:BTC-USDT", id="a fixed word"),
        pytest.param(CANDLES[Interval.HOUR], ("BTC-USDT",), "candle:1h:BTC-USDT", id="a fixed word that tells kinds apart"),
    ],
)
def test_a_channel_is_read_as_it_was_named(kind: Kind, names: tuple[str, ...], channel: str) -> None:
    assert kind.channel(*names) == channel
    assert kind.names(channel) == names
    assert channel.startswith(kind.prefix)
    assert kind_of(channel) is kind


@pytest.mark.parametrize("names", [("okx",), ("okx", "BTC-USDT", "x")], ids=["too few", "too many"])
def test_a_channel_has_all_its_names(names: tuple[str, ...]) -> None:
    with pytest.raises(TypeError):
        TICK.channel(*names)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("ticker", id="no name"),
        pytest.param("ticker:", id="an empty name"),
        pytest.param("ticker:btc-usdt", id="another spelling"),
        pytest.param("ticker:BTC", id="half a symbol"),
        pytest.param("ticker:BTC-USDT:x", id="a name too many"),
        pytest.param("ticks:BTC-USDT", id="a name too few"),
        pytest.param("ticks:OKX:BTC-USDT", id="an exchange in upper case"),
        pytest.param(f"status:{'x' * 33}", id="too long"),
        pytest.param("status:okx:host:1", id="a copy's last status"),
        pytest.param("tickers:BTC-USDT", id="another word"),
        pytest.param("ticker:*", id="a pattern"),
        pytest.param("ticker:BTC-USDT\n", id="a line's end"),
        pytest.param("last:ticker:BTC-USDT", id="a key"),
        pytest.param("candle:5m:BTC-USDT", id="another fixed word"),
        pytest.param("candle:BTC-USDT", id="no fixed word"),
        pytest.param("candles:1h:okx:BTC-USDT", id="another interval of an exchange"),
    ],
)
def test_other_texts_are_no_channels(text: str) -> None:
    assert kind_of(text) is None
    assert all(kind.names(text) is None for kind in KINDS)


def test_symbols_are_those_of_one_kind() -> None:
    channels = ["ticker:BTC-USDT", "ticker:x", "ticks:okx:ETH-USDT", "status:okx"]
    assert [kind_of(channel) for channel in channels] == [TICKER, None, TICK, STATUS]
    assert symbols_of(TICKER, channels) == {"BTC-USDT"}
    assert symbols_of(TICK, channels) == {"ETH-USDT"}


def test_rows_do_not_contradict_each_other() -> None:
    assert len({kind.prefix for kind in KINDS}) == len({kind.name for kind in KINDS}) == len(KINDS)
    assert all((kind.shape is Shape.STATE) == (kind.expiry_s > 0) for kind in KINDS), "only a state has a last value"


def test_a_wish_is_one_channel_or_one_for_each_exchange() -> None:
    btc = Symbol("BTC-USDT")
    assert TICKER.channels(btc, lambda _: ("bybit", "okx")) == ("ticker:BTC-USDT",)
    assert TICK.channels(btc, lambda _: ("bybit", "okx")) == ("ticks:bybit:BTC-USDT", "ticks:okx:BTC-USDT")
    assert TICK.channels(btc, lambda _: ()) == ()


def test_a_channel_names_its_kind_and_symbol() -> None:
    assert read_channel("ticker:BTC-USDT") == (TICKER, "BTC-USDT")
    assert read_channel("ticks:okx:BTC-USDT") == (TICK, "BTC-USDT")
    with pytest.raises(ValueError, match="no channel"):
        read_channel("trades:okx:BTC-USDT")


def test_a_kind_is_needed_for_what_is_made_of_it() -> None:
    channels = ["ticker:A-B", "candle:1m:C-D", "candle:1d:E-F", "candles:1m:okx:G-H", "candles:1m:bybit:I-J", "status:okx"]
    assert needed(TICKER, channels, "okx") == {"A-B", "C-D", "E-F"}
    assert needed(EXCHANGE_CANDLE, channels, "okx") == {"C-D", "E-F", "G-H"}
    assert needed(CANDLES[Interval.DAY], channels) == {"E-F"}


def test_no_two_kinds_can_be_confused() -> None:
    assert len({kind.prefix for kind in KINDS}) == len({kind.name for kind in KINDS}) == len(KINDS)
    assert not any(one.prefix.startswith(other.prefix) for one in KINDS for other in KINDS if one is not other)
