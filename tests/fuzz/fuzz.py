"""Fuzzes every parser of foreign bytes, guided by the code that an input reaches: `make fuzz TARGET=okx RUNS=1000000`.

A parser must return a result or raise its own error. Anything else ends the run and prints the input. Half of the inputs are
real messages with one value replaced, so that they pass the first checks. The fuzzer generates the other half.
"""

import contextlib
import json
import random
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports():
    from gateway.api.candles import Of, Past
    from gateway.api.event_stream import read_query
    from gateway.api.problems import ProblemError
    from gateway.stream.candles import read_candle
    from market_pulse import messages, tickers
    from market_pulse.exchange.adapter import MARKET_EVENTS, Listed, Told, read
    from market_pulse.exchange.errors import FrameError
    from market_pulse.exchange.merge import Merge
    from market_pulse.messages import Candle, Interval, Symbol, Tick, parse_symbols

    NAMES = sorted(folder.name.removeprefix("ingest-") for folder in (Path(__file__).parents[2] / "services").glob("ingest-*"))
    ADAPTERS = {name: import_module(f"ingest_{name}.adapter").ADAPTER for name in NAMES}

from support.played_candles import candle_bytes
from support.samples import NOW_MS, status_bytes, ticker_bytes
from support.two_ways import is_as_declared

ROOT = Path(__file__).parents[2]
TICK = Tick(
    exchange="okx", symbol=Symbol("BTC-USDT"), price=1.5, exchange_time_ms=NOW_MS, received_time_ms=NOW_MS, order=(1, 2)
)
CANDLES_OF = Of(Symbol("BTC-USDT"), Interval.MINUTE)
HOSTILE: list[Any] = [
    None, "", "NaN", "nan", "-0", "1e999", -1, 0, True, [], {}, [[]], 10**400, 2**63, 1e308, "1e400", "\ud800", "x" * 5000, "BTC-USDT",
]  # fmt: skip


def feed(name: str) -> Callable[[bytes], None]:
    """Take an exchange's frames and answers through events, merged state and tick to bus messages, and decode these again."""
    adapter = ADAPTERS[name]
    listed = Listed(Symbol("BTC-USDT"), adapter.native(Symbol("BTC-USDT")), 2)
    histories = [partial(adapter.candles.parse, interval) for interval in Interval]

    def publish(candle: Candle) -> None:
        candle.exchange, candle.symbol, candle.received_time_ms = name, listed.symbol, NOW_MS
        assert messages.decode_candle(messages.encode(candle)) == candle
        messages.decode_bar(messages.encode_bar(messages.bar_of(candle)))

    def take(data: bytes) -> None:
        for endpoint in (adapter, *adapter.further):
            is_as_declared(endpoint, data)
        merge = Merge(name)
        for parse in (adapter.parse, lambda one: adapter.parse_ticker("X", [one, one]), adapter.parse_listing, *histories):
            try:
                answer = read(parse, data)
            except FrameError:
                continue
            for event in answer:
                if isinstance(event, MARKET_EVENTS):
                    merge.apply(event, NOW_MS)
                elif isinstance(event, Told | Candle):
                    publish(event.message if isinstance(event, Told) else event)
        tick = merge.tick(listed)
        if tick is not None:
            messages.decode_tick(messages.encode_tick(tick, NOW_MS))

    return take


def bus(data: bytes) -> None:
    """Decode a message that a compromised part, or anybody with its password, may publish on the bus."""
    for decode in (messages.decode_tick, messages.decode_ticker, messages.decode_status, messages.decode_candle):
        try:
            decode(data)
        except messages.CodecError:
            continue
    with contextlib.suppress(messages.CodecError):
        candle = read_candle(Interval.MINUTE, None, "BTC-USDT", data, NOW_MS, live=True)
        assert candle.supersedes(candle)
        json.loads(Past(CANDLES_OF, [messages.bar_of(messages.decode_candle(candle.data))]).objects(0, 1))
    try:
        latest = tickers.read_ticker("BTC-USDT", data, NOW_MS, live=True)
    except messages.CodecError:
        return
    for age_ms in (0, tickers.STALE_AFTER_MS, tickers.DOWN_AFTER_MS):
        tickers.as_of(latest, NOW_MS + age_ms)


def request(data: bytes) -> None:
    """Read a request of a browser or of an attacker."""
    path, _, query = data.partition(b"?")
    with contextlib.suppress(ProblemError):
        read_query(query, path.decode(errors="replace") or None)
    try:
        symbols = parse_symbols(data.decode(errors="replace"))
    except ValueError:
        return
    assert all(symbol.replace("-", "").isalnum() for symbol in symbols), (
        "letters may be of any script, since exchanges list such symbols"
    )
    assert parse_symbols(",".join(symbols)) == symbols


TARGETS: dict[str, Callable[[bytes], None]] = {**{name: feed(name) for name in ADAPTERS}, "bus": bus, "request": request}


def samples(target: str) -> Iterator[bytes]:
    """Yield real messages for a target."""
    for path in sorted((ROOT / f"services/ingest-{target}/frames").glob("*.json")):
        sample = json.loads(path.read_text())
        yield from (
            json.dumps(message, separators=(",", ":")).encode()
            for message in [*sample.get("frames", []), sample.get("answer", {})]
        )
    if target == "bus":
        yield from (messages.encode_tick(TICK, NOW_MS), ticker_bytes(), status_bytes(), candle_bytes(0))
    if target == "request":
        yield from (b"BTC", b"btc-usdt,ETH", b"?symbols=BTC,ETH&max_hz=2", b"DOGE?max_hz=1e400")


def with_one_replaced(value: Any, draw: random.Random) -> Any:
    """Return a JSON value with one member, at any depth, left out or replaced."""
    members = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    if not members or draw.random() < 0.2:
        return draw.choice(HOSTILE)
    key, inner = draw.choice(members)
    copy = dict(value) if isinstance(value, dict) else list(value)
    if draw.random() < 0.1:
        del copy[key]
    else:
        copy[key] = with_one_replaced(inner, draw)
    return copy


def main(target: str, runs: str) -> None:
    """Fuzz a target with `runs` inputs."""
    real = list(samples(target))

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        draw = random.Random(seed)
        if draw.random() < 0.5:
            return bytes(atheris.Mutate(data, most))
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            message = draw.choice(real)
        if isinstance(message, bytes):
            return message[:most]
        return json.dumps(with_one_replaced(message, draw), separators=(",", ":")).encode(errors="surrogatepass")[:most]

    atheris.Setup(
        [sys.argv[0], f"-runs={runs}", "-max_len=8192", "-print_final_stats=1"], TARGETS[target], custom_mutator=mutate
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
