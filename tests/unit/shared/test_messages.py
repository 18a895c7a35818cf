"""Messages survive encoding and decoding, and malformed bytes are refused as a whole."""

import re
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from market_pulse import messages
from market_pulse.messages import FeedStatus, Point, Source, Symbol, Ticker
from market_pulse.messages import Tick as TickValue

FIGURE = st.floats(allow_nan=False, allow_infinity=False)
MAYBE = st.none() | FIGURE
TIME_MS = st.integers(0, 2**52)
SYMBOL = st.sampled_from([Symbol("BTC-USDT"), Symbol("币安-USDT")])

TICKS = st.builds(
    TickValue,
    exchange=st.sampled_from(["binance", "okx"]),
    symbol=SYMBOL,
    price=st.floats(min_value=1e-12, max_value=1e12),
    bid=MAYBE,
    ask=MAYBE,
    open24h=MAYBE,
    high24h=MAYBE,
    low24h=MAYBE,
    volume24h=MAYBE,
    quote_volume24h=MAYBE,
    dp=st.none() | st.integers(0, 18),
    exchange_time_ms=st.none() | TIME_MS,
    received_time_ms=TIME_MS,
    published_time_ms=TIME_MS,
    lag_unknown=st.booleans(),
    ended=st.none() | st.just("delisted"),
    order=st.lists(st.integers(-1, 2**53) | st.floats(0, 2**53), max_size=5).map(tuple),
)
TICKERS = st.builds(
    Ticker,
    symbol=SYMBOL,
    seq=st.integers(1, 2**53 - 1),
    price=MAYBE,
    dp=st.integers(0, 18),
    bid=MAYBE,
    ask=MAYBE,
    change24h=MAYBE,
    change_percent24h=MAYBE,
    open24h=MAYBE,
    high24h=MAYBE,
    low24h=MAYBE,
    volume24h=MAYBE,
    quote_volume24h=MAYBE,
    quality=st.sampled_from(["ok", "single", "disputed", "stale", "down"]),
    confidence=MAYBE,
    spread_bps=MAYBE,
    sources_used=st.integers(0, 3),
    sources_total=st.integers(0, 3),
    sources=st.lists(
        st.builds(
            Source,
            exchange=st.just("okx"),
            price=FIGURE,
            used_price=MAYBE,
            weight=st.floats(0, 1),
            age_ms=TIME_MS,
            state=st.sampled_from(["used", "fading", "excluded", "lagging", "stale"]),
            reason=st.none() | st.just("silent for 61 s"),
        ),
        max_size=3,
    ).map(tuple),
    exchange_time_ms=st.none() | TIME_MS,
    received_time_ms=st.none() | TIME_MS,
    aggregated_time_ms=TIME_MS,
    publisher=st.none() | st.text(min_size=1, max_size=50),
    agreed_price=MAYBE,
    agreed_time_ms=st.none() | TIME_MS,
    priced_time_ms=st.none() | TIME_MS,
)
STATUSES = st.builds(
    FeedStatus,
    exchange=st.just("bybit"),
    state=st.sampled_from(["connecting", "connected", "degraded", "reconnecting", "blocked", "down"]),
    reason=st.none() | st.text(max_size=20),
    since_ms=TIME_MS,
    symbols=st.integers(0, 500),
    last_tick_time_ms=st.none() | TIME_MS,
    reconnects=st.integers(0, 10),
    instance=st.just("host:1"),
    simulated=st.booleans(),
    turned_away=st.lists(
        st.sampled_from([Symbol("DOGE-USDT"), Symbol("币安人生-USDT"), Symbol("1INCH-BTC")]), max_size=100
    ).map(tuple),
    turned_away_count=st.integers(100, 10_000),
)

PRICE = st.floats(min_value=1e-30, max_value=1e30)
POINTS = st.builds(
    Point, time_ms=TIME_MS, price=PRICE, sources=st.dictionaries(st.sampled_from(["binance", "okx", "币安"]), PRICE)
)


@given(TICKS)
def test_tick_round_trip(tick: TickValue) -> None:
    assert tick.published_time_ms is not None
    data = messages.encode_tick(tick, tick.published_time_ms)
    assert messages.decode_tick(data) == tick
    assert orjson.loads(data)["order"] == list(tick.order)


@given(TICKERS)
def test_ticker_round_trip(ticker: Ticker) -> None:
    assert messages.decode_ticker(messages.encode(ticker)) == ticker


@given(STATUSES)
def test_status_round_trip(status: FeedStatus) -> None:
    assert messages.decode_status(messages.encode(status)) == status


@given(POINTS)
def test_point_round_trip(point: Point) -> None:
    """The way leads through the bytes that a Redis stream returns."""
    [[entry_id, *fields]] = orjson.loads(messages.encode_points([point]))
    data = [field.encode() for field in fields]
    assert messages.decode_point(entry_id.encode(), dict(zip(data[::2], data[1::2], strict=True))) == point


@given(TICKERS)
def test_ticker_is_one_version_1_object_with_its_sequence_number(ticker: Ticker) -> None:
    head, tail = messages.encode_ticker_around_seq(ticker)
    message = orjson.loads(head + b"77" + tail)
    assert (message["v"], message["seq"], message["symbol"]) == (1, 77, ticker.symbol)


READERS: dict[str, tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    "tick": (messages.decode_tick, lambda tick: messages.encode_tick(tick, tick.published_time_ms)),
    "ticker": (messages.decode_ticker, messages.encode),
    "status": (messages.decode_status, messages.encode),
}
WRITTEN = {
    "tick": TICKS.map(lambda tick: messages.encode_tick(tick, 0)),
    "ticker": TICKERS.map(messages.encode),
    "status": STATUSES.map(messages.encode),
}
NUMBERS = ["0", "-1", "1.0", "2.5", "-0.0", "1e3", "1e16", "1e300", "1e400", "NaN", "Infinity", "9007199254740993", "1" * 400]
TEXTS = ['""', '"5"', '"x"', '"\\ud800"', '"\xff"', '"\x01"', "01", "1.", "+1"]
OTHERS = ["null", "true", "false", "[]", "{}", "[1]", "[null]", "[{}]", '["BTC-USDT"]', '["btc-usdt"]', "[" * 1100 + "]" * 1100]
ODD = st.sampled_from([*NUMBERS, *TEXTS, *OTHERS])


@st.composite
def broken(draw: st.DrawFn, kind: str) -> bytes:
    """Draw a message of a kind with some of its members replaced, missing, added or repeated."""
    members = [[name, orjson.dumps(value).decode()] for name, value in orjson.loads(draw(WRITTEN[kind])).items()]
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(members) - 1))
        match draw(st.sampled_from(["replaced", "missing", "added", "twice"])):
            case "replaced":
                members[at][1] = draw(ODD)
            case "missing" if len(members) > 1:
                del members[at]
            case "added":
                members.insert(at, ["later", draw(ODD)])
            case _:
                members.append([members[at][0], draw(ODD)])
    text = "{" + ",".join(f'"{name}":{value}' for name, value in members) + "}"
    return text.encode("latin-1" if text.isascii() or ("\xff" in text and max(text) <= "\xff") else "utf-8")


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
def test_foreign_bytes_are_refused_or_read(kind: str, data: st.DataObject) -> None:
    """A decoded message encodes and decodes to itself, so it has no infinite number, no NaN and no wrong type."""
    decode, encode = READERS[kind]
    try:
        value = decode(data.draw(st.binary(max_size=64) | broken(kind)))
    except messages.CodecError:
        return
    stamped = replace(value, published_time_ms=value.published_time_ms or 0) if isinstance(value, TickValue) else value
    assert decode(encode(stamped)) == stamped


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
def test_others_may_write_whole_floats_and_nulls(kind: str, data: st.DataObject) -> None:
    """JSON has only one type of number, and a member that is null counts as missing."""
    written = data.draw(WRITTEN[kind])
    floats = {
        name: float(value) if type(value) is int and name != "v" else value for name, value in orjson.loads(written).items()
    }
    decode, _ = READERS[kind]
    assert decode(orjson.dumps(floats)) == decode(written)
    assert decode(orjson.dumps({name: value for name, value in floats.items() if value is not None})) == decode(written)


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
def test_a_later_release_may_add_fields_but_not_raise_the_version(kind: str, data: st.DataObject) -> None:
    written = data.draw(WRITTEN[kind])
    decode, _ = READERS[kind]
    assert decode(written[:-1] + b',"later":{"b":[1.50,null]}}') == decode(written)
    assert decode(written.replace(b'"v":1,', b"", 1)) == decode(written)
    for other in (b"2", b"0", b'"1"', b"true", b"1.5"):
        with pytest.raises(messages.CodecError, match=r"\$\.v|`v`"):
            decode(written.replace(b'"v":1', b'"v":' + other, 1))


@pytest.mark.parametrize(
    ("decode", "text", "place"),
    [
        (messages.decode_tick, '{"exchange":"okx","symbol":"B-U","receivedTime":1,"price":"64000"}', "$.price"),
        (messages.decode_tick, '{"exchange":"okx","symbol":"B-U","receivedTime":1,"price":0}', "$.price"),
        (messages.decode_tick, '{"exchange":"okx","symbol":"B-U","receivedTime":1.5,"price":1}', "$.receivedTime"),
        (messages.decode_tick, '{"exchange":"okx","symbol":"B-U","price":1}', "receivedTime"),
        (
            messages.decode_ticker,
            '{"symbol":"B-U","seq":1,"dp":1,"quality":"ok","sourcesUsed":1,"sourcesTotal":1,"sources":[{"weight":"all"}]}',
            "$.sources[0].weight",
        ),
    ],
)  # fmt: skip
def test_a_refusal_names_the_place(decode: Callable[[bytes], object], text: str, place: str) -> None:
    with pytest.raises(messages.CodecError, match=re.escape(place)):
        decode(text.encode())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"price": None}, id="no price"),
        pytest.param({"price": 0}, id="price zero"),
        pytest.param({"price": -1.5}, id="price negative"),
        pytest.param({"price": "64000"}, id="price a text"),
        pytest.param({"price": True}, id="price a truth value"),
        pytest.param({"bid": "64000"}, id="bid a text"),
        pytest.param({"symbol": ""}, id="symbol empty"),
        pytest.param({"exchange": 7}, id="exchange a number"),
        pytest.param({"receivedTime": None}, id="no received time"),
        *(
            pytest.param({name: sign * (2**53 + 1)}, id=f"{name} {'beyond' if sign > 0 else 'before'} any time")
            for name in ("receivedTime", "exchangeTime", "publishedTime", "dp")
            for sign in (1, -1)
        ),
        pytest.param({"receivedTime": 1.5}, id="received time broken"),
    ],
)
def test_decode_tick_refuses(change: dict[str, object]) -> None:
    message = (
        orjson.loads(
            messages.encode_tick(TickValue(exchange="okx", symbol=Symbol("BTC-USDT"), price=1.0, received_time_ms=1), 1)
        )
        | change
    )
    with pytest.raises(messages.CodecError):
        messages.decode_tick(orjson.dumps(message))


@pytest.mark.parametrize("since", ["1e20", "-1e300", "9007199254740993", '"x"', "null"])
def test_a_status_with_a_time_that_is_none_is_refused(since: str) -> None:
    status = f'{{"exchange":"okx","state":"connected","symbols":1,"reconnects":0,"instance":"a","since":{since}}}'
    with pytest.raises(messages.CodecError):
        messages.decode_status(status.encode())


A_STATUS = FeedStatus(
    exchange="okx", state="connected", reason=None, since_ms=1, symbols=4, last_tick_time_ms=2, reconnects=0, instance="a:1"
)


def test_a_status_of_an_older_version_turns_nothing_away() -> None:
    message = orjson.loads(messages.encode(A_STATUS))
    del message["turnedAway"], message["turnedAwayCount"]
    assert messages.decode_status(orjson.dumps(message)) == A_STATUS


def test_a_status_with_a_hundred_of_the_longest_symbols_is_taken() -> None:
    names = tuple(Symbol(f"{'币' * 29}{number:03}-{'安' * 32}") for number in range(100))
    status = replace(A_STATUS, turned_away=names, turned_away_count=4_000)
    assert messages.decode_status(messages.encode(status)) == status


@pytest.mark.parametrize(
    "change",
    [
        {"turnedAway": [f"A{number}-USDT" for number in range(101)]},
        {"turnedAway": ["x" * 100]},
        {"turnedAway": ["btc-usdt"]},
        {"turnedAway": ["BTC-USDT", 7]},
        {"turnedAway": "BTC-USDT"},
        {"turnedAway": {"BTC-USDT": 1}},
        {"turnedAwayCount": "many"},
        {"turnedAwayCount": 1.5},
        {"turnedAwayCount": 2**60},
        {"reason": "x" * 2_000},
        {"more": "x" * 2_000, "turnedAway": [f"A{number}-USDT" for number in range(100)]},
    ],
    ids=" ".join,
)
def test_a_status_that_names_nonsense_or_too_much_is_refused(change: dict[str, object]) -> None:
    message = orjson.loads(messages.encode(A_STATUS)) | change
    with pytest.raises(messages.CodecError):
        messages.decode_status(orjson.dumps(message))


def test_a_status_never_names_more_than_it_counts() -> None:
    message = orjson.loads(messages.encode(A_STATUS)) | {"turnedAway": ["BTC-USDT"], "turnedAwayCount": -3}
    assert messages.decode_status(orjson.dumps(message)).turned_away_count == 1


def test_unknown_fields_and_missing_optional_ones_do_not_matter() -> None:
    tick = messages.decode_tick(b'{"v":1,"exchange":"okx","symbol":"BTC-USDT","price":5,"receivedTime":9,"later":{"x":1}}')
    assert (tick.price, tick.bid, tick.exchange_time_ms) == (5.0, None, None)
    assert (tick.lag_unknown, tick.ended) == (False, None)


@given(TICKS)
def test_a_tick_of_an_earlier_release_has_no_lag_unknown_and_no_end(tick: TickValue) -> None:
    message = orjson.loads(messages.encode_tick(tick, tick.published_time_ms or 0))
    del message["lagUnknown"], message["ended"]
    assert messages.decode_tick(orjson.dumps(message)) == replace(tick, lag_unknown=False, ended=None)


@pytest.mark.parametrize(
    ("member", "publisher"),
    [
        pytest.param(b"", None, id="older than the field"),
        pytest.param(b',"publisher":null', None, id="not said"),
        pytest.param(b',"publisher":"host:7:ab"', "host:7:ab", id="named"),
    ],
)
def test_a_ticker_need_not_name_its_publisher(member: bytes, publisher: str | None) -> None:
    ticker = b'{"symbol":"BTC-USDT","seq":1,"dp":2,"quality":"ok","sourcesUsed":0,"sourcesTotal":0,"aggregatedTime":1,"sources":[]%b}'
    assert messages.decode_ticker(ticker % member).publisher == publisher


@pytest.mark.parametrize("publisher", [b"7", b'""', b"[]"])
def test_a_publisher_that_is_no_name_is_refused(publisher: bytes) -> None:
    ticker = b'{"symbol":"BTC-USDT","seq":1,"dp":2,"quality":"ok","sourcesUsed":0,"sourcesTotal":0,"aggregatedTime":1,"sources":[],"publisher":%b}'
    with pytest.raises(messages.CodecError):
        messages.decode_ticker(ticker % publisher)


REMEMBERED = ("agreedPrice", "agreedTime", "pricedTime")


@given(TICKERS)
def test_a_ticker_of_an_earlier_release_remembers_nothing(ticker: Ticker) -> None:
    message = orjson.loads(messages.encode(ticker))
    for name in REMEMBERED:
        del message[name]
    forgetful = replace(ticker, agreed_price=None, agreed_time_ms=None, priced_time_ms=None)
    assert messages.decode_ticker(orjson.dumps(message)) == forgetful


@pytest.mark.parametrize("name", REMEMBERED)
@pytest.mark.parametrize("value", ["5", [], True, {}])
def test_what_a_ticker_remembers_is_a_number(name: str, value: object) -> None:
    ticker = (
        b'{"symbol":"BTC-USDT","seq":1,"dp":2,"quality":"ok","sourcesUsed":0,"sourcesTotal":0,"aggregatedTime":1,"sources":[]}'
    )
    with pytest.raises(messages.CodecError):
        messages.decode_ticker(orjson.dumps(orjson.loads(ticker) | {name: value}))


def test_a_ticker_with_a_wrong_source_is_refused() -> None:
    ticker = b'{"symbol":"BTC-USDT","seq":1,"dp":2,"quality":"ok","sourcesUsed":1,"sourcesTotal":1,"aggregatedTime":1,"sources":[%b]}'
    for source in (b"7", b"{}", b'{"exchange":"okx","price":"abc","weight":1,"ageMs":0,"state":"used"}'):
        with pytest.raises(messages.CodecError):
            messages.decode_ticker(ticker % source)


@pytest.mark.parametrize(
    ("entry_id", "fields"),
    [
        pytest.param(b"1000-0", {}, id="no price"),
        pytest.param(b"1000-0", {b"okx": b"1.5"}, id="only a source"),
        pytest.param(b"1000-0", {b"price": b"high"}, id="price a word"),
        pytest.param(b"1000-0", {b"price": b"0"}, id="price zero"),
        pytest.param(b"1000-0", {b"price": b"nan"}, id="price no number"),
        pytest.param(b"1000-0", {b"price": b"inf"}, id="price without end"),
        pytest.param(b"1000-0", {b"price": b"1", b"okx": b"-1"}, id="a source below zero"),
        pytest.param(b"1000-0", {b"price": b"1", b"\xff": b"1"}, id="a source that is no text"),
        pytest.param(b"1000-1", {b"price": b"1"}, id="a second one in the same millisecond"),
        pytest.param(b"18446744073709551615-0", {b"price": b"1"}, id="no time that JSON can hold"),
    ],
)
def test_decode_point_refuses(entry_id: bytes, fields: dict[bytes, bytes]) -> None:
    with pytest.raises(messages.CodecError):
        messages.decode_point(entry_id, fields)
