"""The board of `watch`: which prices it shows as live and which as stale."""

from typing import Any

import pytest
from httpx_sse import ServerSentEvent
from rich.console import Console

from cli.gateway import message_of
from cli.watch import Board
from market_pulse.messages import Symbol
from market_pulse.tickers import STALE_AFTER_MS

BTC, ETH = Symbol("BTC-USDT"), Symbol("ETH-USDT")
NOW_MS = 1_790_000_000_000


def ticker(quality: str = "ok", price: float | None = 64000.5, **fields: Any) -> dict[str, Any]:
    data = {"symbol": BTC, "price": price, "dp": 1, "bid": price, "ask": price, "changePercent24h": -1.5, "spreadBps": None}
    return {"type": "ticker", "data": data | {"quality": quality, "sourcesUsed": 2, "sourcesTotal": 3} | fields}


def drawn(board: Board, time_ms: int) -> str:
    console = Console(width=120, no_color=True)
    with console.capture() as capture:
        console.print(board.table(time_ms))
    return capture.get()


def test_a_price_is_live_for_as_long_as_it_is_renewed() -> None:
    board = Board([BTC, ETH])
    assert "waiting" in drawn(board, NOW_MS)
    board.take(ticker(), NOW_MS)
    text = drawn(board, NOW_MS + STALE_AFTER_MS - 1)
    assert "64,000.5" in text
    assert "-1.50 %" in text
    assert "● ok" in text
    assert "○ stale" in drawn(board, NOW_MS + STALE_AFTER_MS)
    board.take(ticker(), NOW_MS + 9_000)
    assert board.quality(BTC, NOW_MS + 9_000) == "ok"


def test_what_the_stream_says_is_said() -> None:
    board = Board([BTC])
    board.take(ticker("down", None), NOW_MS)
    assert "✕ down" in drawn(board, NOW_MS)
    board.take({"type": "lost", "data": {"reason": "the server ended the stream"}}, NOW_MS)
    assert "lost: the server ended the stream" in drawn(board, NOW_MS)
    full = {"symbol": BTC, "room": False, "reason": "full", "exchanges": ["okx"], "detail": "okx can carry no more"}
    board.take({"type": "room", "data": full}, NOW_MS)
    assert "BTC-USDT has no room: okx can carry no more" in drawn(board, NOW_MS)
    board.take({"type": "room", "data": {"symbol": BTC, "room": True, "reason": None, "exchanges": [], "detail": None}}, NOW_MS)
    assert "no room" not in drawn(board, NOW_MS)


def test_the_gateway_says_which_symbols_it_streams() -> None:
    board = Board(["BTC", "DOGE"])
    assert board.quality("BTC", NOW_MS) == "waiting"
    board.take({"type": "connected", "data": {"symbols": ["BTC-USDT", "DOGE-USDT"], "simulated": False}}, NOW_MS)
    board.take(ticker(), NOW_MS)
    board.take({"type": "connected", "data": {"symbols": ["BTC-USDT", "DOGE-USDT"], "simulated": False}}, NOW_MS)
    assert {symbol: board.quality(symbol, NOW_MS) for symbol in board.tickers} == {"BTC-USDT": "ok", "DOGE-USDT": "waiting"}


def test_symbols_that_nobody_asked_for_are_passed_over() -> None:
    board = Board([ETH])
    board.take(ticker(), NOW_MS)
    assert list(board.tickers) == [ETH]


@pytest.mark.parametrize(
    "event",
    [
        ServerSentEvent(event="hb", data='{"type": "ticker", "data": {}}'),
        *(ServerSentEvent(data=data) for data in ("", "{", "[]", "{}", '{"type": "ticker"}', '{"type": 1, "data": {}}')),
        ServerSentEvent(data='{"type": "ticker", "data": []}'),
    ],
)
def test_what_is_no_message_is_passed_over(event: ServerSentEvent) -> None:
    assert message_of(event) is None


def test_a_message_that_says_less_than_it_should_ends_nothing() -> None:
    board = Board([BTC])
    for kind in ("ticker", "connected", "lost", "room", "resync", "bye", "news"):
        message = message_of(ServerSentEvent(data=f'{{"type": "{kind}", "data": {{}}}}'))
        assert message is not None
        board.take(message, NOW_MS)
    assert board.quality(BTC, NOW_MS) == "waiting"
