"""The peculiarities of each exchange's candles: names, closed flags, times, ranges and errors."""

import json
from typing import Any

import pytest

from ingest_binance.adapter import ADAPTER as BINANCE
from ingest_bybit.adapter import ADAPTER as BYBIT
from ingest_coinbase.adapter import ADAPTER as COINBASE
from ingest_cryptocom.adapter import ADAPTER as CRYPTOCOM
from ingest_kraken.adapter import ADAPTER as KRAKEN
from ingest_kraken.adapter import CANDLE_SOCKET
from ingest_okx.adapter import ADAPTER as OKX
from ingest_okx.adapter import BUSINESS
from market_pulse.exchange.adapter import Adapter, Batch, Endpoint, Told, read
from market_pulse.exchange.errors import FrameError
from market_pulse.kinds import EXCHANGE_CANDLE
from market_pulse.messages import Candle, Interval
from support.two_ways import is_as_declared

MINUTE, HOUR, DAY = Interval
NOON_MS = 1_790_251_200_000
"""12:00 UTC on 24 September 2026."""


def as_json(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def history(adapter: Adapter, interval: Interval, answer: Any) -> Batch[Candle]:
    assert adapter.candles is not None
    return adapter.candles.parse(interval, as_json(answer))


def told(endpoint: Endpoint, text: str) -> list[Candle]:
    return [event.message for event in read(endpoint.parse, text.encode()) if isinstance(event, Told)]


@pytest.mark.parametrize(
    ("adapter", "native", "interval", "path"),
    [
        pytest.param(
            BINANCE,
            "BTCUSDT",
            HOUR,
            f"/api/v3/klines?symbol=BTCUSDT&interval=1h&startTime={NOON_MS}&endTime={NOON_MS + 7_199_999}&limit=1000",
            id="binance",
        ),
        pytest.param(
            BYBIT,
            "BTCUSDT",
            HOUR,
            f"/v5/market/kline?category=spot&symbol=BTCUSDT&interval=60&start={NOON_MS}&end={NOON_MS + 7_199_999}&limit=1000",
            id="bybit: without a category it would answer with futures",
        ),
        pytest.param(
            OKX,
            "BTC-USDT",
            HOUR,
            f"/api/v5/market/candles?instId=BTC-USDT&bar=1H&after={NOON_MS + 7_200_000}&before={NOON_MS - 1}&limit=300",
            id="okx: both ends are exclusive",
        ),
        pytest.param(
            COINBASE,
            "BTC-USD",
            HOUR,
            "/products/BTC-USD/candles?granularity=3600&start=2026-09-24T12:00:00Z&end=2026-09-24T13:00:00Z",
            id="coinbase: both ends are inclusive",
        ),
        pytest.param(
            KRAKEN,
            "BTC/USD",
            HOUR,
            f"/0/public/OHLC?pair=BTC/USD&interval=60&since={NOON_MS // 1000 - 3600}&assetVersion=1",
            id="kraken: one candle more, in seconds",
        ),
        pytest.param(
            CRYPTOCOM,
            "BTC_USD",
            HOUR,
            f"/exchange/v1/public/get-candlestick?instrument_name=BTC_USD&timeframe=1h&count=2&end_ts={NOON_MS + 7_199_999}",
            id="cryptocom: without a count it would answer with 25",
        ),
    ],
)
def test_paths(adapter: Adapter, native: str, interval: Interval, path: str) -> None:
    assert adapter.candles is not None
    assert adapter.candles.path(native, interval, NOON_MS, NOON_MS + 2 * interval.step_ms) == path


@pytest.mark.parametrize(
    ("adapter", "names"),
    [
        (BINANCE, ("interval=1m&", "interval=1h&", "interval=1d&")),
        (BYBIT, ("interval=1&", "interval=60&", "interval=D&")),
        (OKX, ("bar=1m&", "bar=1H&", "bar=1Dutc&")),
        (COINBASE, ("granularity=60&", "granularity=3600&", "granularity=86400&")),
        (KRAKEN, ("interval=1&", "interval=60&", "interval=1440&")),
        (CRYPTOCOM, ("timeframe=1m&", "timeframe=1h&", "timeframe=1D&")),
    ],
)
def test_each_exchange_names_intervals_in_its_own_way(adapter: Adapter, names: tuple[str, ...]) -> None:
    assert adapter.candles is not None
    for interval, name in zip(Interval, names, strict=True):
        assert name in adapter.candles.path("X", interval, 0, interval.step_ms)


BINANCE_KLINE = (
    '{"e":"kline","E":1791142274032,"s":"BTCUSDT","k":{"t":1791142260000,"T":1791142319999,"s":"BTCUSDT","i":"%s","f":%s,"L":%s,'
    '"o":"1.5","c":"1.5","h":"1.5","l":"1.5","v":"%s","n":%s,"x":%s,"q":"0","V":"0","Q":"0","B":"0"}}'
)


def test_binance_sends_a_candle_without_trades() -> None:
    (candle,) = told(BINANCE, BINANCE_KLINE % ("1m", -1, -1, "0", 0, "true"))
    assert (candle.volume, candle.trades, candle.vwap, candle.closed) == (0.0, 0, None, True)


@pytest.mark.parametrize("interval", ["1h", "1M", "1s"])
def test_a_binance_candle_of_another_interval_is_not_one_of_a_minute(interval: str) -> None:
    with pytest.raises(FrameError, match="unknown"):
        told(BINANCE, BINANCE_KLINE % (interval, 1, 2, "1", 2, "true"))


@pytest.mark.parametrize("order", ['{"topic":"kline.1.ETHUSDT","data":[%s],"ts":1786540440021,"type":"snapshot"}',
                                   '{"type":"snapshot","topic":"kline.1.ETHUSDT","data":[%s],"ts":1786540440021}'])  # fmt: skip
def test_a_bybit_frame_at_the_end_of_a_minute_has_the_closed_candle_and_the_new_one(order: str) -> None:
    figures = '"open":"2","close":"2","high":"2","low":"2","volume":"1","turnover":"2"'
    closed = (
        '{"start":1786540380000,"end":1786540439999,"interval":"1",' + figures + ',"confirm":true,"timestamp":1786540439871}'
    )
    begun = (
        '{"start":1786540440000,"end":1786540499999,"interval":"1",' + figures + ',"confirm":false,"timestamp":1786540440020}'
    )
    frame = order % f"{closed},{begun}"
    assert [(one.start_ms, one.closed) for one in told(BYBIT, frame)] == [(1786540380000, True), (1786540440000, False)]
    assert {event.native for event in BYBIT.declared(frame.encode()) if isinstance(event, Told)} == {"ETHUSDT"}


def test_a_frame_without_rows_is_read_alike_in_both_ways() -> None:
    assert told(BYBIT, '{"topic":"kline.1.ETHUSDT","data":[],"ts":1786540440021,"type":"snapshot"}') == []
    for odd in ("true", "null", '"x"'):
        frame = '{"topic":"kline.1.ETHUSDT","data":[],"ts":' + odd + "}"
        assert not is_as_declared(BYBIT, frame.encode())
        with pytest.raises(FrameError):
            told(BYBIT, frame)


@pytest.mark.parametrize(
    ("adapter", "answer"),
    [
        pytest.param(BINANCE, {"code": -1121, "msg": "Invalid symbol."}, id="binance"),
        pytest.param(BYBIT, {"retCode": 10001, "retMsg": "Not supported symbols", "result": {}, "time": 1}, id="bybit"),
        pytest.param(OKX, {"code": "51001", "msg": "Instrument ID doesn't exist.", "data": []}, id="okx"),
        pytest.param(COINBASE, {"message": "NotFound"}, id="coinbase unknown product"),
        pytest.param(
            COINBASE,
            {"message": "granularity too small for the requested time range. Count of aggregations requested exceeds 300"},
            id="coinbase too many candles",
        ),
        pytest.param(KRAKEN, {"error": ["EService: Throttled: 1790000000"]}, id="kraken, with the status 200"),
        pytest.param(KRAKEN, {"error": ["EGeneral:Too many requests"], "result": None}, id="kraken null"),
        pytest.param(CRYPTOCOM, {"id": -1, "method": "public/get-candlestick", "code": 40003}, id="cryptocom"),
        *(pytest.param(one, None, id=f"{one.exchange} null") for one in (BINANCE, BYBIT, OKX, COINBASE, KRAKEN, CRYPTOCOM)),
    ],
)
def test_an_error_is_no_empty_history(adapter: Adapter, answer: Any) -> None:
    with pytest.raises(FrameError):
        read(lambda one: history(adapter, MINUTE, json.loads(one)), as_json(answer))


OKX_FIGURES = ["1", "2", "1", "2", "5", "7.5", "7.5", "1"]


def test_a_day_that_begins_at_16_utc_is_none_of_ours() -> None:
    """OKX's bar `1D`, without `utc`, begins at midnight in Hong Kong."""
    midnight_ms = DAY.start_of(NOON_MS)
    answer = {"code": "0", "data": [[str(midnight_ms - 28_800_000), *OKX_FIGURES], [str(midnight_ms), *OKX_FIGURES]]}
    found = history(OKX, DAY, answer)
    assert [one.start_ms for one in found] == [midnight_ms]
    assert [one.kind for one in found.skipped] == ["malformed"]


def test_okx_candles_come_by_another_endpoint_than_tickers() -> None:
    assert EXCHANGE_CANDLE.name not in OKX.channels
    assert {url.rpartition("/")[2] for url in BUSINESS.ws_urls} == {"business"}
    assert (BUSINESS.ws_path, BUSINESS.rates, BUSINESS.ping) == ("/ws/v5/business", OKX.rates, OKX.ping)


def test_coinbase_has_no_channel_of_candles_and_is_asked_later() -> None:
    assert not any(EXCHANGE_CANDLE.name in endpoint.channels for endpoint in (COINBASE, *COINBASE.further))
    assert COINBASE.candles is not None
    assert COINBASE.candles.settled_s == 15


def test_a_coinbase_row_has_the_low_first_and_its_time_in_seconds() -> None:
    minute_s = NOON_MS // 1000
    found = history(COINBASE, MINUTE, [[NOON_MS, 1, 4, 2, 3, 5], [minute_s + 120, 1, 4, 2, 3, 5.5], [minute_s, 1, 4, 2, 3, 5]])
    assert [(one.start_ms, one.open, one.high, one.low, one.close, one.volume) for one in found] == [
        (NOON_MS, 2, 4, 1, 3, 5),
        (NOON_MS + 120_000, 2, 4, 1, 3, 5.5),
    ]
    assert len(found.skipped) == 1, "a time in milliseconds would be in a later century"
    assert history(COINBASE, MINUTE, []) == []


KRAKEN_CANDLE = (
    '{"symbol":"BTC/USD","open":82624.1,"high":82681.9,"low":82596.6,"close":82621.6,"trades":505,"volume":2.02938487,"vwap":82643.9,'
    '"interval_begin":"2026-10-09T17:40:00.000000000Z","interval":%s,"timestamp":"2026-10-09T17:%s:00.000000Z"}'
)


def test_a_kraken_candle_begins_at_interval_begin_and_ends_at_timestamp() -> None:
    (candle,) = told(CANDLE_SOCKET, '{"channel":"ohlc","type":"update","data":[' + KRAKEN_CANDLE % (1, 41) + "]}")
    assert (candle.start_ms, candle.end_ms) == (1791567600000, 1791567660000)
    assert candle.quote_volume == pytest.approx(2.02938487 * 82643.9)
    assert (candle.vwap, candle.trades, candle.closed, candle.exchange_time_ms) == (82643.9, 505, False, None)


def test_a_kraken_candle_of_another_interval_is_skipped() -> None:
    rows = ",".join((KRAKEN_CANDLE % (5, 45), KRAKEN_CANDLE % (1, 41)))
    events = read(CANDLE_SOCKET.parse, ('{"channel":"ohlc","type":"update","data":[' + rows + "]}").encode())
    assert len(events) == 1
    assert isinstance(events, Batch)
    assert [one.kind for one in events.skipped] == ["unknown"]


def test_kraken_fills_idle_minutes_with_rows_without_trades() -> None:
    idle = [1762777020, "106038.2", "106038.2", "106038.2", "106038.2", "0.0", "0.00000000", 0]
    (candle,) = history(KRAKEN, MINUTE, {"error": [], "result": {"XBTUSDT": [idle], "last": 1762776960}})
    assert (candle.volume, candle.trades, candle.vwap, candle.quote_volume) == (0.0, 0, None, None)


KRAKEN_ROW = [NOON_MS // 1000, "2", "4", "1", "3", "2.5", "2.00000000", 7]


@pytest.mark.parametrize(
    ("last", "closed"),
    [(NOON_MS // 1000, True), (NOON_MS // 1000 - 60, False), (str(NOON_MS // 1000), True), (None, False), ([], False)],
)
def test_kraken_names_the_newest_closed_candle(last: Any, closed: bool) -> None:
    (candle,) = history(KRAKEN, MINUTE, {"error": [], "result": {"last": last, "XXBTZUSD": [KRAKEN_ROW]}})
    assert (candle.closed, candle.quote_volume) == (closed, 5.0)


def test_an_unknown_kraken_pair_has_no_candles_and_errors_beside_a_result_are_told() -> None:
    assert not history(KRAKEN, MINUTE, {"error": ["EQuery:Unknown asset pair"]})
    found = history(KRAKEN, MINUTE, {"error": ["WGeneral:late"], "result": {"X": [KRAKEN_ROW, None], "last": 0}})
    assert len(found) == 1
    assert [one.kind for one in found.skipped] == ["malformed", "refused"]


def test_a_cryptocom_row_without_trades_and_one_with_the_time_of_its_last_change() -> None:
    row = {"o": "2", "h": "2", "l": "2", "c": "2", "v": "0", "t": NOON_MS}
    answer = {
        "code": 0,
        "result": {"interval": "1m", "data": [row, row | {"t": NOON_MS + 60_000, "v": "3", "ut": NOON_MS + 61_000}]},
    }
    idle, traded = history(CRYPTOCOM, MINUTE, answer)
    assert (idle.volume, traded.volume, traded.exchange_time_ms) == (0.0, 3.0, None)
