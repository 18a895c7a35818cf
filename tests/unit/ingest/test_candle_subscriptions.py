"""Subscriptions to candles: their requests, and the answers that accept or refuse them."""

import json
from typing import Any

import pytest

from ingest_binance.adapter import ADAPTER as BINANCE
from ingest_bybit.adapter import ADAPTER as BYBIT
from ingest_cryptocom.adapter import ADAPTER as CRYPTOCOM
from ingest_kraken.adapter import CANDLE_SOCKET
from ingest_okx.adapter import ADAPTER as OKX
from ingest_okx.adapter import BUSINESS
from market_pulse.exchange.adapter import Acknowledged, Endpoint, Event, Refused, key_of, read
from market_pulse.exchange.subscriptions import Subscriptions
from market_pulse.kinds import EXCHANGE_CANDLE

TIMES = '"time_in":"2026-08-12T19:28:43.952561Z","time_out":"2026-08-12T19:28:43.952595Z"'
BINANCE_TOPIC, BYBIT_TOPIC, OKX_TOPIC = "btcusdt@kline_1m", "kline.1.BTCUSDT", "candle1m:BTC-USDT"
CRYPTOCOM_TOPIC = "candlestick.1m.BTC_USD"


def kraken_answer(text: str) -> str:
    return "{" + text + ',"method":"subscribe","req_id":1,' + TIMES + "}"


@pytest.mark.parametrize(
    ("endpoint", "native", "topic", "request_text"),
    [
        (BINANCE, "BTCUSDT", BINANCE_TOPIC, {"method": "SUBSCRIBE", "params": [BINANCE_TOPIC], "id": 1}),
        (BYBIT, "BTCUSDT", BYBIT_TOPIC, {"req_id": "1", "op": "subscribe", "args": [BYBIT_TOPIC]}),
        (
            BUSINESS,
            "BTC-USDT",
            OKX_TOPIC,
            {"id": "1", "op": "subscribe", "args": [{"channel": "candle1m", "instId": "BTC-USDT"}]},
        ),
        (
            CANDLE_SOCKET,
            "BTC/USD",
            "BTC/USD",
            {
                "method": "subscribe",
                "params": {"channel": "ohlc", "symbol": ["BTC/USD"], "interval": 1, "snapshot": True},
                "req_id": 1,
            },
        ),
        (
            CRYPTOCOM,
            "BTC_USD",
            CRYPTOCOM_TOPIC,
            {"id": 1, "method": "subscribe", "params": {"channels": [CRYPTOCOM_TOPIC]}},
        ),
    ],
)
def test_requests(endpoint: Endpoint, native: str, topic: str, request_text: dict[str, Any]) -> None:
    topics = endpoint.topics(key_of(EXCHANGE_CANDLE, native))
    assert topics == (topic,)
    assert json.loads(endpoint.subscribe(topics, 1)) == request_text


@pytest.mark.parametrize(
    ("endpoint", "native", "answer"),
    [
        pytest.param(BINANCE, "BTCUSDT", '{"result":null,"id":1}', id="binance"),
        pytest.param(BYBIT, "BTCUSDT", '{"success":true,"ret_msg":"subscribe","req_id":"1","op":"subscribe"}', id="bybit"),
        pytest.param(
            BYBIT,
            "BTCUSDT",
            '{"success":false,"ret_msg":"error:already subscribed,topic:kline.1.BTCUSDT","req_id":"1","op":"subscribe"}',
            id="bybit already",
        ),
        pytest.param(
            BUSINESS, "BTC-USDT", '{"event":"subscribe","arg":{"channel":"candle1m","instId":"BTC-USDT"},"id":"1"}', id="okx"
        ),
        pytest.param(
            CANDLE_SOCKET,
            "BTC/USD",
            kraken_answer(
                '"result":{"channel":"ohlc","interval":1,"snapshot":true,"symbol":"BTC/USD","warnings":["timestamp is '
                'deprecated, use interval_begin"]},"success":true'
            ),
            id="kraken",
        ),
        pytest.param(
            CANDLE_SOCKET,
            "BTC/USD",
            kraken_answer('"error":"Already subscribed","success":false,"symbol":"BTC/USD"'),
            id="kraken already",
        ),
        pytest.param(
            CRYPTOCOM,
            "BTC_USD",
            '{"id":1,"method":"subscribe","code":0,"channel":"candlestick.1m.BTC_USD"}',
            id="cryptocom alone",
        ),
        pytest.param(
            CRYPTOCOM,
            "BTC_USD",
            '{"id":1,"method":"subscribe","code":0,"result":{"instrument_name":"BTC_USD","subscription":"candlestick.1m.BTC_USD",'
            '"channel":"candlestick","interval":"1m","data":[]}}',
            id="cryptocom with data",
        ),
    ],
)
def test_an_answer_that_accepts_makes_the_candles_live(endpoint: Endpoint, native: str, answer: str) -> None:
    ledger, key = asked(endpoint, native)
    (event,) = read(endpoint.parse, answer.encode())
    take(ledger, event)
    assert ledger.live == {key}


@pytest.mark.parametrize(
    ("endpoint", "native", "answer"),
    [
        pytest.param(
            BYBIT,
            "NOPEUSDT",
            '{"success":false,"ret_msg":"Invalid symbol :[kline.1.NOPEUSDT]","req_id":"1","op":"subscribe"}',
            id="bybit",
        ),
        pytest.param(
            OKX,
            "BTC-USDT",
            '{"event":"error","code":"60018","msg":"Wrong URL or channel:candle1m,instId:BTC-USDT doesn\'t exist. Please use the '
            'correct URL, channel and parameters referring to API document.","connId":"2b5dc6ac"}',
            id="okx, on the endpoint of the tickers",
        ),
        pytest.param(
            CANDLE_SOCKET,
            "NOPE/USD",
            kraken_answer('"error":"Currency pair not supported NOPE/USD","success":false,"symbol":"NOPE/USD"'),
            id="kraken",
        ),
        pytest.param(
            CRYPTOCOM,
            "NOPE_USD",
            '{"id":1,"method":"subscribe","code":40003,"channel":"candlestick.1m.NOPE_USD","message":"Unknown symbol"}',
            id="cryptocom",
        ),
    ],
)
def test_an_answer_that_refuses_names_the_candles(endpoint: Endpoint, native: str, answer: str) -> None:
    asking = BUSINESS if endpoint is OKX else endpoint
    ledger, key = asked(asking, native)
    (event,) = read(endpoint.parse, answer.encode())
    assert isinstance(event, Refused)
    assert event.kind == "unknown"
    assert ledger.refused_by(event, 0.0) == key
    assert ledger.refused == {key}


@pytest.mark.parametrize(
    ("endpoint", "native", "ticker"),
    [(BINANCE, "BTCUSDT", 3), (BYBIT, "BTCUSDT", 2), (CRYPTOCOM, "BTC_USD", 1)],
)
def test_data_make_the_candles_live_and_not_the_ticker_of_the_same_symbol(endpoint: Endpoint, native: str, ticker: int) -> None:
    """Data may come before the answer."""
    ledger, key = Subscriptions(endpoint), key_of(EXCHANGE_CANDLE, native)
    ledger.want([native, key])
    request = ledger.next_request(0.0)
    assert request is not None
    assert len(request.topics) == ticker + 1
    ledger.delivered(key)
    assert ledger.live == {key}


def asked(endpoint: Endpoint, native: str) -> tuple[Subscriptions, str]:
    """Return the ledger of a socket that has asked for a symbol's candles, and their key."""
    ledger, key = Subscriptions(endpoint), key_of(EXCHANGE_CANDLE, native)
    ledger.want([key])
    request = ledger.next_request(0.0)
    assert request is not None
    assert request.request_id == 1
    return ledger, key


def take(ledger: Subscriptions, event: Event) -> None:
    if isinstance(event, Refused):
        ledger.refused_by(event, 0.0)
    else:
        assert isinstance(event, Acknowledged)
        ledger.acknowledged(event)
