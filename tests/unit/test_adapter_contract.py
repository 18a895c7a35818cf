"""The contract of every adapter, tested on each ingest in the workspace and on two invented exchanges.

An adapter comes with its own samples: `frames/*.json` beside its sources has real frames, with the ticks they must become.
"""

import contextlib
import importlib
import json
import math
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_type_hints
from urllib.parse import urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from market_pulse.exchange.adapter import (
    MARKET_EVENTS,
    Acknowledged,
    Adapter,
    Alive,
    Day,
    Event,
    Halted,
    Listed,
    Pong,
    Quote,
    Refused,
    Reply,
    Subscribed,
    Trade,
    frames_of,
    read,
)
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import MISFITS
from market_pulse.exchange.merge import Merge
from market_pulse.messages import Symbol, Tick, decode_tick, encode_tick
from support.exchanges import ADAPTERS, FOLDERS
from support.two_ways import is_as_declared

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


each_adapter = pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS.keys())


def samples(kind: str) -> list[Any]:
    """Return the sample files of all adapters that have a member of this name."""
    found = []
    for folder in FOLDERS:
        for path in sorted((folder / "frames").glob("*.json")):
            sample = json.loads(path.read_text())
            if kind in sample and not {"told", "candles"} & sample.keys():
                found.append(pytest.param(ADAPTERS[folder.name], sample, id=f"{folder.name}/{path.stem}"))
    return found


def answers_of(sample: dict[str, Any]) -> list[bytes]:
    """Return the answers that make up a REST ticker: those to all paths, or the one answer to the only path."""
    return [orjson.dumps(answer) for answer in sample.get("answers", [sample.get("answer")])]


def tick_of(adapter: Adapter, sample: dict[str, Any], events: list[Event]) -> Tick | None:
    merge = Merge(adapter.exchange)
    for event in events:
        if isinstance(event, MARKET_EVENTS):
            merge.apply(event, 1)
    tick = merge.tick(Listed(sample["symbol"], sample["native"], sample["dp"]))
    return tick and replace(tick, order=())


def as_expected(adapter: Adapter, sample: dict[str, Any]) -> Tick:
    return Tick(exchange=adapter.exchange, symbol=sample["symbol"], dp=sample["dp"], received_time_ms=1, **sample["tick"])


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_folder_package_and_exchange_have_one_name(folder: Path) -> None:
    (package,) = (folder / "src").glob("ingest_*")
    exchange = ADAPTERS[folder.name].exchange
    assert package.name == f"ingest_{exchange}"
    assert folder.name in {f"ingest-{exchange}", f"{exchange}-exchange"}
    assert (folder / "pyproject.toml").exists()
    assert Path(str(importlib.import_module(package.name).__file__)).parent == package


@each_adapter
def test_brings_evidence(adapter: Adapter) -> None:
    folder = next(folder for folder in FOLDERS if ADAPTERS[folder.name] is adapter)
    assert {"listing", "stream", "ticker"} <= {path.stem for path in (folder / "frames").glob("*.json")}


@pytest.mark.parametrize(("adapter", "sample"), samples("frames"))
def test_frames_become_the_tick(adapter: Adapter, sample: dict[str, Any]) -> None:
    events = [event for frame in sample["frames"] for event in read(adapter.parse, orjson.dumps(frame))]
    assert tick_of(adapter, sample, events) == as_expected(adapter, sample)


@pytest.mark.parametrize(
    ("adapter", "sample"), [one for kind in ("answer", "answers") for one in samples(kind) if "tick" in one.values[1]]
)
def test_rest_ticker_becomes_the_tick(adapter: Adapter, sample: dict[str, Any]) -> None:
    answers = answers_of(sample)
    assert len(answers) == len(adapter.ticker_paths(sample["native"]))
    events = list(read(partial(adapter.parse_ticker, sample["native"]), answers))
    assert tick_of(adapter, sample, events) == as_expected(adapter, sample)


@pytest.mark.parametrize(("adapter", "sample"), samples("answers"))
def test_one_odd_answer_of_several_makes_no_bad_tick(adapter: Adapter, sample: dict[str, Any]) -> None:
    answers = answers_of(sample)
    for at, answer in enumerate(sample["answers"]):
        for broken in [*(one for put in BAD for one in mutations(answer, put)), *BAD, {"message": "NotFound"}]:
            odd = [*answers[:at], json.dumps(broken).encode(), *answers[at + 1 :]]
            with contextlib.suppress(FrameError):
                tick = tick_of(adapter, sample, list(read(partial(adapter.parse_ticker, sample["native"]), odd)))
                if tick is not None:
                    assert_sane(tick)


@pytest.mark.parametrize(("adapter", "sample"), samples("listed"))
def test_listing(adapter: Adapter, sample: dict[str, Any]) -> None:
    listing = read(adapter.parse_listing, orjson.dumps(sample["answer"]))
    assert [[one.symbol, one.native, one.dp] for one in listing] == sample["listed"]
    assert all(adapter.native(one.symbol) == one.native for one in listing)


@each_adapter
@given(data=st.binary(max_size=64) | ANY_JSON.map(json.dumps).map(str.encode))
def test_any_bytes_become_events_or_a_frame_error(adapter: Adapter, data: bytes) -> None:
    for parse in (adapter.parse, adapter.parse_listing):
        with contextlib.suppress(FrameError):  # any other exception would end the feed
            read(parse, data)
    with contextlib.suppress(FrameError):
        read(partial(adapter.parse_ticker, "X"), [data for _ in adapter.ticker_paths("X")])


def as_sent(message: Any) -> bytes:
    """Encode a message as JSON without blanks, as the exchanges do."""
    return json.dumps(message, separators=(",", ":")).encode()


@each_adapter
@given(data=ANY_JSON.map(as_sent))
def test_any_json_is_read_alike_in_both_ways(adapter: Adapter, data: bytes) -> None:
    is_as_declared(adapter, data)


@pytest.mark.parametrize(("adapter", "sample"), samples("frames"))
def test_a_frame_with_odd_members_is_read_alike_in_both_ways(adapter: Adapter, sample: dict[str, Any]) -> None:
    draw = random.Random(1)
    for frame in sample["frames"]:
        for put in (*BAD, *NUMBERS):
            for broken in mutations(frame, put):
                is_as_declared(adapter, as_sent(broken))
                is_as_declared(adapter, as_sent(draw.choice(mutations(broken, draw.choice(NUMBERS)) or [0])))


@each_adapter
def test_the_frames_of_each_channel_have_the_shape_that_is_declared(adapter: Adapter) -> None:
    folder = next(folder for folder in FOLDERS if ADAPTERS[folder.name] is adapter)
    frames = json.loads((folder / "frames" / "stream.json").read_text())["frames"]
    as_declared = [frame for frame in frames if is_as_declared(adapter, orjson.dumps(frame))]
    for name, read_as in frames_of(adapter.channels).items():
        assert any(_reads(read_as.declared, frame) for frame in as_declared), name


def _reads(declared: Any, frame: Any) -> bool:
    try:
        return bool(declared(orjson.dumps(frame)))
    except MISFITS:
        return False


def mutations(value: Any, put: Any) -> list[Any]:
    """Return copies of a JSON value, each with one member at any depth replaced or, if `put` is `del`, left out."""
    members = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    deeper = [_with(value, key, copy) for key, inner in members for copy in mutations(inner, put)]
    return deeper + [_without(value, key) if put == "del" else _with(value, key, put) for key, _ in members]


def _without(value: Any, key: Any) -> Any:
    copy = dict(value) if isinstance(value, dict) else list(value)
    del copy[key]
    return copy


def _with(value: Any, key: Any, new: Any) -> Any:
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = new
    return copy


BAD: list[Any] = ["del", None, "", "NaN", "-1", "0", "1e999", -1, 0, True, [], {}, 10**400, 2**62, "1e400", "nonsense"]


# Spellings of numbers that two parsers may read differently.
NUMBERS: list[Any] = [
    "1e5", 1e5, 1.0, "1.0", " 1", "1 ", "1_0", "+5", ".5", "5.", "007", "inf", "nan", "Infinity", "-0", -0.0, "0.0", 5e-324, "5e-324",
    "1e-400", "\u0661\u0662", "0x10", "true", False, 2**53, 2**53 - 1, "9007199254740993", 4_100_000_000_000, 1.7976931348623157e308,
    0.1 + 0.2, "0.1000000000000000055511151231257827", [["1", "2"]], [["1", "2", "3"]], [["1", None]], ["1", "2"], "delta",
]  # fmt: skip


@pytest.mark.parametrize("put", BAD, ids=lambda bad: repr(bad)[:12])
@pytest.mark.parametrize(("adapter", "sample"), samples("frames"))
def test_a_frame_with_one_bad_member_never_makes_a_bad_tick(adapter: Adapter, sample: dict[str, Any], put: Any) -> None:
    for index, frame in enumerate(sample["frames"]):
        for broken in mutations(frame, put):
            frames = [*sample["frames"][:index], broken, *sample["frames"][index + 1 :]]
            events: list[Event] = []
            for one in frames:
                try:
                    events += read(adapter.parse, json.dumps(one).encode())
                except FrameError:
                    continue
            tick = tick_of(adapter, sample, events)
            if tick is not None:
                assert_sane(tick)


# The path to several elements of one kind in an answer or a frame, by adapter and sample.
BATCHES = {
    ("ingest-binance", "listing"): ("answer", "symbols"),
    ("ingest-bybit", "listing"): ("answer", "result", "list"),
    ("ingest-bybit", "ticker"): ("answer", "result", "list"),
    ("ingest-coinbase", "listing"): ("answer",),
    ("ingest-cryptocom", "listing"): ("answer", "result", "data"),
    ("ingest-cryptocom", "ticker"): ("answer", "result", "data"),
    ("ingest-okx", "listing"): ("answer", "data"),
    ("ingest-okx", "ticker"): ("answer", "data"),
    ("ingest-okx", "stream"): ("frames", "data"),
    ("terse-exchange", "listing"): ("answer",),
    ("toy-exchange", "listing"): ("answer",),
}


def whole_ticker(adapter: Adapter) -> Callable[[bytes], Sequence[Event]]:
    """Return the function that reads a REST ticker of one answer."""
    return lambda answer: adapter.parse_ticker("BTC-USDT", [answer])


def batches() -> list[Any]:
    """Return each batch: its parser, its good elements, and a function that puts elements into their envelope."""
    found = []
    for (folder, stem), (member, *path) in BATCHES.items():
        adapter = ADAPTERS[folder]
        (path_of,) = (one for one in FOLDERS if one.name == folder)
        sample = json.loads((path_of / f"frames/{stem}.json").read_text())
        envelope = sample[member] if member == "answer" else next(one for one in sample[member] if path[0] in one)
        parse = {"listing": adapter.parse_listing, "ticker": whole_ticker(adapter), "stream": adapter.parse}[stem]
        found.append(pytest.param(parse, envelope, path, id=f"{folder}/{stem}"))
    return found


def elements_of(envelope: Any, path: list[str]) -> Any:
    for name in path:
        envelope = envelope[name]
    return envelope


def in_envelope(envelope: Any, path: list[str], elements: list[Any]) -> bytes:
    if not path:
        return json.dumps(elements).encode()
    copy: Any = json.loads(json.dumps(envelope))
    elements_of(copy, path[:-1])[path[-1]] = elements
    return json.dumps(copy).encode()


ODD: list[Any] = ["del", None, "", "NaN", "-1", 0, True, [], {}, 10**30, 4_100_000_000_000, "4100000000000000", [None]]


@pytest.mark.parametrize(("parse", "envelope", "path"), batches())
def test_an_odd_element_leaves_the_others_of_its_batch(parse: Any, envelope: Any, path: list[str]) -> None:
    good = elements_of(envelope, path)[0]
    (expected,) = read(parse, in_envelope(envelope, path, [good]))
    odd = [*(one for put in ODD for one in mutations(good, put)), None, "", 7, True, [], {}, [None], {"a": 1}]
    for element in odd:
        for elements in ([element, good], [good, element]):
            batch = read(parse, in_envelope(envelope, path, elements))
            assert expected in batch, f"{element!r:.200}"
            assert len(batch) + len(getattr(batch, "skipped", ())) <= 2
    for element in (None, "", 7, True, [], {}, [None], {"a": 1}):
        batch = read(parse, in_envelope(envelope, path, [good, element, element]))
        assert (list(batch), len(batch.skipped)) == ([expected], 2), f"skipped elements are counted: {element!r}"


BYBIT_BOOK = (
    '{"topic":"orderbook.1.BTCUSDT","ts":1786538729900,"type":"%s","data":{"s":"BTCUSDT","b":%s,"a":%s,"u":72212458,"seq":9}}'
)
BYBIT_LISTING = (
    '{"retCode":0,"result":{"list":[{"symbol":"ETHUSDT","baseCoin":"ETH","quoteCoin":"USDT"},'
    '{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","status":"Trading"}]}}'
)
OKX_TICKERS = '{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[%s]}'
OKX_GOOD = '{"instId":"BTC-USDT","last":"64028.6","ts":"1786538789464"}'


@pytest.mark.parametrize(
    ("levels", "best", "kept", "odd"),
    [
        pytest.param('[["27994.60","0"],["27991.70","0.777"]]', 27991.7, False, 0, id="the deletion first"),
        pytest.param('[["27991.70","0.777"],["27994.60","0"]]', 27991.7, False, 0, id="the deletion last"),
        pytest.param('[["27994.60","0"]]', None, False, 0, id="a deletion alone"),
        pytest.param("[]", None, True, 0, id="nothing is said"),
        pytest.param('[["x","1"],["27991.70","1"]]', 27991.7, False, 1, id="an odd level beside a good one"),
        pytest.param('[["x","1"]]', None, True, 1, id="an odd level alone"),
        pytest.param('[["27991.70"],null,7,"ab",["1","NaN"]]', None, True, 5, id="malformed levels"),
    ],
)
def test_bybit_levels(levels: str, best: float | None, kept: bool, odd: int) -> None:
    events = read(ADAPTERS["ingest-bybit"].parse, (BYBIT_BOOK % ("delta", levels, '[["27999.90","1"]]')).encode())
    (quote,) = events
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.bid_kept, quote.ask, quote.ask_kept) == (best, kept, 27999.9, False)
    assert len(getattr(events, "skipped", ())) == odd


def test_a_bybit_listing_with_an_entry_without_a_status() -> None:
    listing = read(ADAPTERS["ingest-bybit"].parse_listing, BYBIT_LISTING.encode())
    assert [one.symbol for one in listing] == ["BTC-USDT"]
    assert [one.native for one in listing.skipped] == ["ETHUSDT"]


def test_an_okx_frame_with_a_good_and_an_odd_ticker() -> None:
    for frame in (OKX_TICKERS % f'{OKX_GOOD},{{"instId":"BTC-USDT"}}', OKX_TICKERS % f"null,{OKX_GOOD}"):
        (event,) = read(ADAPTERS["ingest-okx"].parse, frame.encode())
        assert isinstance(event, Day)
        assert event.price == 64028.6


@pytest.mark.parametrize("type_of", ['"e":"bookTicker",', '"e":"bookTicker","E":1568014460893,"T":1568014460891,', ""])
def test_a_binance_quote_with_and_without_a_type(type_of: str) -> None:
    frame = '{"stream":"btcusdt@bookTicker","data":{' + type_of + '"u":9,"s":"BTCUSDT","b":"1.5","B":"1","a":"2.5","A":"1"}}'
    assert list(read(ADAPTERS["ingest-binance"].parse, frame.encode())) == [Quote("BTCUSDT", 1.5, 2.5, (9, 0))]


@pytest.mark.parametrize("trade_id", ["", '"L":null,', '"L":"x",', '"L":-1,', '"L":7.5,'])
def test_a_binance_ticker_without_a_trade_id_is_a_ticker(trade_id: str) -> None:
    frame = '{"e":"24hrTicker",' + trade_id + '"E":1653812650349,"s":"BTCUSDT","c":"64000.5","o":"63000"}'
    (event,) = read(ADAPTERS["ingest-binance"].parse, frame.encode())
    assert isinstance(event, Day)
    assert (event.price, event.trade_id) == (64000.5, -1 if "-1" in trade_id else None)


@pytest.mark.parametrize("factor", [1000, 1_000_000])
@pytest.mark.parametrize(
    ("exchange", "frame"),
    [
        ("ingest-binance", '{"e":"24hrTicker","E":TIME,"s":"BTCUSDT","c":"64000.5","L":1}'),
        ("ingest-binance", '{"e":"trade","E":TIME,"s":"BTCUSDT","p":"64000.5","t":1}'),
        ("ingest-bybit", '{"topic":"tickers.BTCUSDT","ts":TIME,"cs":1,"data":{"symbol":"BTCUSDT","lastPrice":"64000.5"}}'),
        ("ingest-bybit", (BYBIT_BOOK % ("snapshot", "[]", "[]")).replace("1786538729900", "TIME")),
        ("ingest-okx", OKX_TICKERS % OKX_GOOD.replace("1786538789464", "TIME")),
    ],
)
def test_times_in_another_unit_are_no_times(exchange: str, frame: str, factor: int) -> None:
    def events(time: int) -> Any:
        return read(ADAPTERS[exchange].parse, frame.replace("TIME", str(time)).encode())

    assert len(events(1_786_538_789_464)) == 1
    assert len(events(4_099_999_999_999)) == 1
    for wrong in (4_100_000_000_000, 1_786_538_789_464 * factor):
        with contextlib.suppress(FrameError):
            batch = events(wrong)
            assert not batch
            assert batch.skipped


def assert_sane(tick: Tick) -> None:
    assert decode_tick(encode_tick(tick, 1)).price == tick.price, "and other parts can decode it"
    assert math.isfinite(tick.price)
    assert tick.price > 0
    for figure in (tick.bid, tick.ask, tick.open24h, tick.high24h, tick.low24h, tick.volume24h, tick.quote_volume24h):
        assert figure is None or (math.isfinite(figure) and figure >= 0)


@each_adapter
def test_requests_name_all_topics_and_their_number(adapter: Adapter) -> None:
    names = [name for base in ("BTC", "ETH") for name in adapter.topics(adapter.native(Symbol(f"{base}-USDT")))]
    for write in (adapter.subscribe, adapter.unsubscribe):
        text = write(names, 417)
        assert isinstance(json.loads(text), dict)
        assert "417" in text or not adapter.echoes_request_id
        assert all(name.rpartition(":")[2] in text for name in names)
        assert len(text) < 64 * 1024
    assert adapter.subscribe(names, 1) != adapter.unsubscribe(names, 1)


@each_adapter
def test_topics_belong_to_one_symbol_each(adapter: Adapter) -> None:
    natives = [adapter.native(Symbol(f"{base}-{quote}")) for base in ("BTC", "ETH", "BT") for quote in ("USDT", "USDC", "BTC")]
    all_topics = [topic for native in natives for topic in adapter.topics(native)]
    assert len(set(all_topics)) == len(all_topics)
    assert len(adapter.topics(natives[0])) <= adapter.topics_per_request


@each_adapter
def test_states_its_limits(adapter: Adapter) -> None:
    assert adapter.rates
    assert all(rate.messages > 0 and rate.window_s > 0 for rate in adapter.rates)
    assert adapter.silence_s > 0
    assert 0 < adapter.pong_timeout_s < adapter.ping_interval_s
    assert adapter.times_of in get_args(get_type_hints(Adapter)["times_of"])
    assert adapter.first_request_s is None or adapter.first_request_s > 0
    assert all(path.startswith("/") for path in (*adapter.ticker_paths("X"), adapter.listing_path, adapter.clock_path))
    assert len({urlsplit(url).netloc for url in adapter.rest_urls}) == len(adapter.rest_urls)
    assert all(url.startswith("wss://") for url in adapter.ws_urls)
    assert all(url.startswith("https://") for url in adapter.rest_urls)


@pytest.mark.parametrize(
    ("exchange", "frame", "events"),
    [
        pytest.param(
            "ingest-binance",
            '{"error":{"code":4,"msg":"Too many subscriptions"},"id":19}',
            [Refused("19", None, "later", "4: Too many subscriptions")],
            id="binance nested error",
        ),
        pytest.param(
            "ingest-binance",
            '{"code":2,"msg":"Invalid request: missing field `method`","id":3}',
            [Refused("3", None, "unknown", "2: Invalid request: missing field `method`")],
            id="binance flat error",
        ),
        pytest.param(
            "ingest-bybit",
            '{"success":false,"ret_msg":"Invalid symbol :[tickers.NOPEUSDT]","conn_id":"x","req_id":"2","op":"subscribe"}',
            [Refused("2", "tickers.NOPEUSDT", "unknown", "Invalid symbol :[tickers.NOPEUSDT]")],
            id="bybit unknown symbol",
        ),
        pytest.param(
            "ingest-bybit",
            '{"success":false,"ret_msg":"error:already subscribed,topic:tickers.BTCUSDT","conn_id":"x","req_id":"2","op":"subscribe"}',
            [Refused("2", "tickers.BTCUSDT", "already", "error:already subscribed,topic:tickers.BTCUSDT")],
            id="bybit already subscribed",
        ),
        pytest.param(
            "ingest-bybit",
            '{"success":false,"ret_msg":"args size \\u003e10","conn_id":"x","op":"subscribe"}',
            [Refused(None, None, "unknown", "args size >10")],
            id="bybit too many arguments",
        ),
        pytest.param("ingest-bybit", '{"success":true,"ret_msg":"pong","conn_id":"x","op":"ping"}', [Pong()], id="bybit pong"),
        pytest.param(
            "ingest-okx",
            '{"event":"error","code":"60018","msg":"Wrong URL or channel:tickers,instId:NOPE-USDT doesn\'t exist. Please use '
            'the correct URL, channel and parameters referring to API document.","connId":"2b5dc6ac"}',
            [
                Refused(
                    None,
                    "tickers:NOPE-USDT",
                    "unknown",
                    "60018: Wrong URL or channel:tickers,instId:NOPE-USDT doesn't exist. Please use the correct URL, channel and "
                    "parameters referring to API document.",
                )
            ],
            id="okx unknown instrument",
        ),
        pytest.param(
            "ingest-okx",
            '{"event":"error","code":"60014","msg":"Requests too frequent","connId":"x"}',
            [Refused(None, None, "later", "60014: Requests too frequent")],
            id="okx too frequent",
        ),
        pytest.param("ingest-okx", "pong", [Pong()], id="okx pong"),
        pytest.param(
            "ingest-okx",
            '{"event":"subscribe","arg":{"channel":"tickers","instId":"BTC-USDT"}}',
            [Acknowledged(None, "tickers:BTC-USDT")],
            id="okx acknowledgement without a number",
        ),
        pytest.param(
            "terse-exchange",
            '{"type":"subscriptions","to":["BTC-USD","ETH-USD"]}',
            [Subscribed(frozenset({"BTC-USD", "ETH-USD"}))],
            id="all live topics",
        ),
        pytest.param(
            "terse-exchange",
            '{"type":"error","to":"NOPE-USD","why":"unknown"}',
            [Refused(None, "NOPE-USD", "unknown", "unknown")],
            id="refusal without a number",
        ),
        pytest.param("terse-exchange", '{"type":"heartbeat"}', [Alive()], id="a socket's heartbeat"),
        pytest.param(
            "terse-exchange", '{"type":"heartbeat","symbol":"A","match":7}', [Alive("A", 7)], id="a symbol's heartbeat"
        ),
        pytest.param("terse-exchange", '{"type":"closed","why":"maintenance"}', [Halted("maintenance")], id="closed"),
        pytest.param("terse-exchange", '{"type":"closed","why":"news","symbol":"A"}', [Halted("news", "A")], id="halted"),
        pytest.param("terse-exchange", '{"type":"ping","id":5}', [Reply('{"type":"pong","id":5}')], id="a ping to answer"),
    ],
)
def test_answers(exchange: str, frame: str, events: list[Event]) -> None:
    assert list(read(ADAPTERS[exchange].parse, frame.encode())) == events


@pytest.mark.parametrize(
    ("exchange", "frame"),
    [
        pytest.param("ingest-binance", '{"e":"serverShutdown","E":1770123456789}', id="binance raw"),
        pytest.param(
            "ingest-binance",
            '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
            id="binance combined",
        ),
        pytest.param(
            "ingest-okx",
            '{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please reconnect.",'
            '"connId":"x"}',
            id="okx",
        ),
    ],
)
def test_announced_ends(exchange: str, frame: str) -> None:
    (event,) = read(ADAPTERS[exchange].parse, frame.encode())
    assert type(event).__name__ == "GoingAway"


def test_kinds_of_market_events_are_told_apart() -> None:
    assert (Trade, Quote, Day) == MARKET_EVENTS
