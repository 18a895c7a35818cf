"""The contract of every adapter's candles, tested on each ingest in the workspace.

`frames/candles.json` has frames with the candles that they must become, and `frames/history.json` an answer with its candles.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_pulse.exchange.adapter import Adapter, CandleHistory, Told, key_of, read
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import instant_us
from market_pulse.exchange.settings import IngestSettings
from market_pulse.kinds import EXCHANGE_CANDLE, TICKER
from market_pulse.messages import Candle, Interval, Symbol, decode_candle, encode
from support.broken import BAD, NUMBERS, ODD, as_sent, mutations
from support.exchanges import ADAPTERS, FOLDERS, samples

MAX_CANDLE_SYMBOLS = 50
COLUMNS = (
    "start", "open", "high", "low", "close", "volume", "quoteVolume", "trades", "buyVolume", "closed", "exchangeTime",
)  # fmt: skip
with_candles = {folder.name: ADAPTERS[folder.name] for folder in FOLDERS if folder.parent.name == "services"}
each_adapter = pytest.mark.parametrize("adapter", with_candles.values(), ids=with_candles.keys())


def history_of(adapter: Adapter) -> CandleHistory:
    assert adapter.candles is not None
    return adapter.candles


def parser(adapter: Adapter, sample: dict[str, Any]) -> Callable[[bytes], Sequence[Candle]]:
    """Return the function that reads a sample's answer."""
    return partial(history_of(adapter).parse, Interval(sample["interval"]))


def told(events: Sequence[Any]) -> list[Told]:
    return [event for event in events if isinstance(event, Told)]


def columns(candle: Candle) -> list[Any]:
    content = msgspec.to_builtins(candle)
    return [content[name] for name in COLUMNS]


def assert_sane(candle: Candle, interval: Interval) -> None:
    candle.exchange, candle.symbol, candle.received_time_ms = "okx", Symbol("BTC-USDT"), 1
    assert decode_candle(encode(candle)) == candle, "other parts can decode it"
    assert 0 < candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high < math.inf
    assert candle.start_ms % interval.step_ms == 0
    assert candle.end_ms - candle.start_ms == interval.step_ms
    for figure in (candle.volume, candle.quote_volume, candle.buy_volume, candle.vwap):
        assert figure is None or 0 <= figure < math.inf


@each_adapter
def test_brings_evidence(adapter: Adapter) -> None:
    (folder,) = (folder for folder in FOLDERS if ADAPTERS[folder.name] is adapter)
    has_channel = any(EXCHANGE_CANDLE.name in endpoint.channels for endpoint in (adapter, *adapter.further))
    assert (folder / "frames" / "candles.json").exists() == has_channel
    assert (folder / "frames" / "history.json").exists()


@pytest.mark.parametrize(("adapter", "sample"), samples("frames", "told"))
def test_frames_become_candles(adapter: Adapter, sample: dict[str, Any]) -> None:
    found = told([event for frame in sample["frames"] for event in read(adapter.parse, frame_bytes(frame))])
    assert [columns(one.message) for one in found] == sample["told"]
    assert {(one.kind, one.native) for one in found} == {(EXCHANGE_CANDLE, sample["native"])}
    assert adapter.native(Symbol(sample["symbol"])) == sample["native"]


def frame_bytes(frame: Any) -> bytes:
    return frame.encode() if isinstance(frame, str) else orjson.dumps(frame)


@pytest.mark.parametrize(("adapter", "sample"), samples("answer", "candles"))
def test_a_history_becomes_candles(adapter: Adapter, sample: dict[str, Any]) -> None:
    candles = read(parser(adapter, sample), orjson.dumps(sample["answer"]))
    assert [columns(one) for one in candles] == sample["candles"]
    assert [one.start_ms for one in candles] == sorted(one.start_ms for one in candles)


@pytest.mark.parametrize("put", [*BAD, *NUMBERS], ids=lambda put: repr(put)[:16])
@pytest.mark.parametrize(("adapter", "sample"), samples("frames", "told"))
def test_a_frame_with_one_bad_member_never_makes_a_bad_candle(adapter: Adapter, sample: dict[str, Any], put: Any) -> None:
    for frame in sample["frames"]:
        for broken in mutations(frame, put):
            try:
                events = read(adapter.parse, as_sent(broken))
            except FrameError:
                continue
            for one in told(events):
                assert_sane(one.message, Interval.MINUTE)


@pytest.mark.parametrize("put", [*BAD, *NUMBERS], ids=lambda put: repr(put)[:16])
@pytest.mark.parametrize(("adapter", "sample"), samples("answer", "candles"))
def test_a_history_with_one_bad_member_never_makes_a_bad_candle(adapter: Adapter, sample: dict[str, Any], put: Any) -> None:
    for broken in mutations(sample["answer"], put):
        try:
            candles = read(parser(adapter, sample), as_sent(broken))
        except FrameError:
            continue
        for one in candles:
            assert_sane(one, Interval(sample["interval"]))


ROWS: dict[str, tuple[str, ...]] = {
    "ingest-binance": (),
    "ingest-bybit": ("result", "list"),
    "ingest-coinbase": (),
    "ingest-cryptocom": ("result", "data"),
    "ingest-kraken": ("result", "XXBTZUSD"),
    "ingest-okx": ("data",),
}
"""The path to the rows in an answer with past candles."""
ROWS_OF_FRAMES: dict[str, tuple[str, ...]] = {
    "ingest-bybit": ("data",),
    "ingest-cryptocom": ("result", "data"),
    "ingest-kraken": ("data",),
    "ingest-okx": ("data",),
}
"""The path to the rows in a frame, where one frame may have several candles."""


def several() -> list[Any]:
    """Return, of each frame and answer with several rows: its parser, itself, and the path to its rows."""
    found = []
    for name, path in ROWS.items():
        ((adapter, sample),) = (one.values for one in samples("answer", "candles") if one.id == f"{name}/history")
        found.append(pytest.param(parser(adapter, sample), sample["answer"], path, id=f"{name}/history"))
    for name, path in ROWS_OF_FRAMES.items():
        ((adapter, sample),) = (one.values for one in samples("frames", "told") if one.id == f"{name}/candles")
        frame = next(one for one in sample["frames"] if isinstance(one, dict) and path[0] in one and "success" not in one)
        found.append(pytest.param(adapter.parse, frame, path, id=f"{name}/candles"))
    return found


def with_rows(envelope: Any, path: Sequence[str], rows: list[Any]) -> Any:
    return {**envelope, path[0]: with_rows(envelope[path[0]], path[1:], rows)} if path else rows


def rows_in(envelope: Any, path: Sequence[str]) -> list[Any]:
    for name in path:
        envelope = envelope[name]
    assert isinstance(envelope, list)
    return envelope


@pytest.mark.parametrize(("parse", "envelope", "path"), several())
def test_an_odd_row_leaves_the_others(parse: Callable[[bytes], Any], envelope: Any, path: tuple[str, ...]) -> None:
    def candles(rows: list[Any]) -> tuple[list[Candle], int]:
        found = read(parse, as_sent(with_rows(envelope, path, rows)))
        ours = [one.message if isinstance(one, Told) else one for one in found if isinstance(one, Told | Candle)]
        return ours, len(getattr(found, "skipped", ()))

    good = rows_in(envelope, path)[0]
    ((expected,), _) = candles([good])
    for odd in [*(one for put in ODD for one in mutations(good, put)), None, "", 7, True, [], {}, [None], {"a": 1}]:
        for rows in ([odd, good], [good, odd]):
            found, skipped = candles(rows)
            assert expected in found, f"{odd!r:.200}"
            assert len(found) + skipped == 2, f"it is used or counted: {odd!r:.200}"


def answered(exchange: str, path: str, step_ms: int, past: Sequence[int], *, strict: bool) -> list[int]:
    """Return the starts of the candles with which an exchange answers a path, of those that it has.

    Args:
        exchange: the exchange.
        path: the path.
        step_ms: how long a candle lasts.
        past: the starts of the candles that the exchange has, the oldest first.
        strict: how to read an end of which no document says whether it is inclusive.
    """
    query = {key: values[0] for key, values in parse_qs(urlsplit(path).query).items()}
    match exchange:
        case "binance":
            found = [one for one in past if int(query["startTime"]) <= one <= int(query["endTime"])]
            return found[: int(query["limit"])]
        case "bybit":
            end_ms = int(query["end"])
            found = [one for one in past if int(query["start"]) <= one and (one < end_ms if strict else one <= end_ms)]
            return found[-int(query["limit"]) :]
        case "okx":
            found = [one for one in past if int(query["before"]) < one < int(query["after"])]
            return found[-int(query["limit"]) :]
        case "coinbase":
            start_ms, end_ms = (instant_us(query[end]) // 1000 for end in ("start", "end"))
            assert (end_ms - start_ms) // step_ms < 300, "granularity too small for the requested time range"
            return [one for one in past if start_ms <= one <= end_ms]
        case "kraken":
            since_ms = int(query["since"]) * 1000
            return [one for one in past if (one > since_ms if strict else one >= since_ms)]
        case "cryptocom":
            end_ms = int(query["end_ts"])
            found = [one for one in past if (one < end_ms if strict else one <= end_ms)]
            return found[-min(int(query["count"]), 300) :]
    raise AssertionError(exchange)


@each_adapter
@given(data=st.data())
def test_a_path_asks_for_its_whole_range(adapter: Adapter, data: st.DataObject) -> None:
    """The exchanges mean their two ends differently. No candle of a range is lost, and no range is refused."""
    history, interval = history_of(adapter), data.draw(st.sampled_from(Interval))
    step_ms = interval.step_ms
    past = range(0, 721 * step_ms, step_ms)
    first = data.draw(st.integers(1, 720))
    count = data.draw(st.integers(1, min(history.rows, 721 - first)))
    start_ms, end_ms = past[first], past[first] + count * step_ms
    path = history.path(adapter.native(Symbol("BTC-USDT")), interval, start_ms, end_ms)
    assert path.startswith("/")
    for strict in (False, True):
        given_back = answered(adapter.exchange, path, step_ms, past, strict=strict)
        assert set(range(start_ms, end_ms, step_ms)) <= set(given_back)


@each_adapter
def test_a_history_states_its_limits(adapter: Adapter) -> None:
    history = history_of(adapter)
    assert history.rows > 0
    assert history.settled_s > 0
    assert history.rate.messages > 0
    assert history.rate.window_s > 0
    assert history.reach is None or history.reach > 0


@each_adapter
def test_candles_have_room_beside_the_tickers(adapter: Adapter) -> None:
    """Candles take no room from the tickers on their socket, and are subscribed to within a few seconds."""
    max_symbols = IngestSettings.model_fields["max_symbols"].default
    wished = {TICKER.name: max_symbols, EXCHANGE_CANDLE.name: MAX_CANDLE_SYMBOLS}
    for endpoint in (adapter, *adapter.further):
        topics = {
            kind.name: len(endpoint.topics(key_of(kind, "X")))
            for kind in (TICKER, EXCHANGE_CANDLE)
            if kind.name in endpoint.channels
        }
        wished_here = {name: min(wished[name], endpoint.topics_per_connection // topics[name]) for name in topics}
        needed = sum(wished_here[name] * topics[name] for name in topics)
        assert needed <= endpoint.topics_per_connection
        requests = -(-needed // endpoint.topics_per_request)
        assert all(requests / rate.messages * rate.window_s < 10 for rate in endpoint.rates if requests > rate.messages)
