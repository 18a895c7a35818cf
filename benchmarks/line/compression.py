"""What compression pays: ways to compress a group's streams, all on the same pieces."""

import os
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import orjson

import report
from fanout import cores
from fanout.run import Run
from gateway.stream import sse
from gateway.stream.body import LEVEL, MEMORY_LEVEL, WINDOW_BITS, Body, Windows
from gateway.stream.fields import Fields, cut_down, wish_for
from gateway.stream.group import Group, Stream, Wish
from market_pulse.kinds import TICKER
from market_pulse.messages import Symbol

from .market import tickers
from .visits import HOOK_ONE, PAGE_FOUR, PLAIN, RENEWED_PER_S, TICKERS_HZ, Visit

STREAMS = 1000
MANY = 500  # compressors, of which the memory is measured
START_MS = 1_790_000_000_000


class Nowhere:
    """A closing sink: the pieces are made and counted, and nothing is written. A write would be a fault of the benchmark."""

    def is_closing(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A way's cost for one event of one stream, in a group of STREAMS. `memory_kb` is for each stream."""

    bytes: float
    cpu_us: float
    memory_kb: float = 0.0


@dataclass(frozen=True)
class Pieces:
    """The texts that a stream is sent at even distances, and how many events they have in all."""

    texts: Sequence[bytes]
    events: int
    step_s: float


def pieces(visit: Visit, seconds: float) -> Pieces:
    """Make the pieces that a visit's stream gets in some seconds of the market."""
    symbols = visit.market[: visit.symbols]
    clock_ms = count(START_MS * TICKERS_HZ * len(symbols), 1000)  # in parts of a millisecond, to be divided below
    market = tickers(symbols, 1, lambda: next(clock_ms) // (TICKERS_HZ * len(symbols)))
    rate_hz = visit.max_hz or TICKERS_HZ * len(symbols)
    texts, events = [], 0
    for _ in range(round(seconds * rate_hz)):
        newest = dict(next(market) for _ in range(round(TICKERS_HZ * len(symbols) / rate_hz)))
        fields = None if visit.fields is None else wish_for(visit.fields)
        texts.append(b"".join(_event(symbol, ticker, fields) for symbol, ticker in newest.items()))
        events += len(newest)
    return Pieces(texts, events, 1 / rate_hz)


def _event(symbol: Symbol, ticker: bytes, fields: Fields) -> bytes:
    return sse.state_event(TICKER.name, symbol, orjson.loads(ticker)["seq"], cut_down(ticker, fields))


def measure(run: Run) -> None:
    """Compress the pieces of some visits in each way, and print a table."""
    seconds = 20.0 if run.quick else 60.0
    ways: dict[str, Callable[[Pieces], Cost]] = {
        "not compressed": _plain,
        f"a state for each stream (level {LEVEL}, {1 << WINDOW_BITS - 10} KiB window)": lambda one: _own_state(
            one, LEVEL, WINDOW_BITS, MEMORY_LEVEL
        ),
        "a state for each stream, zlib's own parameters": lambda one: _own_state(one, 6, 15, 8),
        "shared, each piece anew": _anew,
        "shared, nobody comes or goes": lambda one: _as_the_gateway(one, 0.0),
        f"shared, {RENEWED_PER_S:.0f} streams come and go a second": lambda one: _as_the_gateway(one, RENEWED_PER_S),
    }
    for visit in (PLAIN, HOOK_ONE, PAGE_FOUR):
        recorded = pieces(visit, seconds)
        found: dict[str, list[Cost]] = {name: [] for name in ways}
        for _ in range(run.rounds):
            for name, way in ways.items():
                found[name].append(way(recorded))
        plain = [one.bytes for one in found["not compressed"]]
        report.table(
            f"Compression: {visit.name}, {len(recorded.texts) / seconds:g} pieces a second, a group of {STREAMS:,} streams",
            ("way", "bytes per event", "times less", "us per event and stream", "KiB per stream"),
            [
                (
                    name,
                    report.spread([one.bytes for one in costs]),
                    report.ratio(plain, [one.bytes for one in costs]),
                    report.spread([one.cpu_us for one in costs]),
                    report.spread([one.memory_kb for one in costs]),
                )
                for name, costs in found.items()
            ],
        )


def _plain(recorded: Pieces) -> Cost:
    body = Body(Windows(), chunked=True, compressed=False)
    return Cost(bytes=sum(len(body.shared(text)) for text in recorded.texts) / recorded.events, cpu_us=0.0)


def _own_state(recorded: Pieces, level: int, window_bits: int, memory_level: int) -> Cost:
    """Give each stream a compressor. One is measured, because all do the same; the memory is that of many."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -window_bits, memory_level)
    began_s, size = time.thread_time(), 0
    for text in recorded.texts:
        size += len(sse.chunk(_flushed(compressor, text)))
    used_s = time.thread_time() - began_s
    memory_kb = _state_kb(recorded, level, window_bits, memory_level)
    return Cost(bytes=size / recorded.events, cpu_us=used_s / recorded.events * 1e6, memory_kb=memory_kb)


def _state_kb(recorded: Pieces, level: int, window_bits: int, memory_level: int) -> float:
    """Return the resident memory of a compressor that has compressed some pieces, in KiB."""
    before_kb = cores.resident_kb([os.getpid()])
    many = [zlib.compressobj(level, zlib.DEFLATED, -window_bits, memory_level) for _ in range(MANY)]
    for one in many:
        for text in recorded.texts[:20]:
            _flushed(one, text)
    return (cores.resident_kb([os.getpid()]) - before_kb) / MANY


def _flushed(compressor: "zlib._Compress", text: bytes) -> bytes:
    return compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)


def _anew(recorded: Pieces) -> Cost:
    """Let each piece refer back to nothing, so that any stream can take it."""
    body = Body(Windows(), chunked=True, compressed=True)
    began_s, size = time.thread_time(), 0
    for text in recorded.texts:
        body.start_anew()
        size += len(body.shared(text))
    used_s = time.thread_time() - began_s + _checksums_s(recorded) * STREAMS
    return Cost(bytes=size / recorded.events, cpu_us=used_s / recorded.events / STREAMS * 1e6)


def _as_the_gateway(recorded: Pieces, renewed_per_s: float) -> Cost:
    """Keep the streams in one of the gateway's groups. Those that come are apart from the others for a while."""
    windows = Windows()
    group = Group(Wish((), compressed=True), windows)
    present = deque(_stream(group) for _ in range(STREAMS))
    for stream in present:
        group.admit(stream)
    used_s, size, kept, coming = 0.0, 0, 0, 0.0
    for number, text in enumerate(recorded.texts):
        coming += renewed_per_s * recorded.step_s
        for _ in range(int(coming)):
            group.remove(present.popleft())
            present.append(_stream(group))
            group.admit(present[-1])
        coming %= 1
        began_s = time.thread_time()
        group.settle(number * recorded.step_s)
        lots = [(group.streams, group.body), (group.apart, group.apart_body)]
        size += sum(len(streams) * len(body.shared(text)) for streams, body in lots if streams)
        used_s += time.thread_time() - began_s
        kept = max(kept, windows.kept)
    used_s += _checksums_s(recorded) * STREAMS
    each_kb = _state_kb(recorded, LEVEL, WINDOW_BITS, MEMORY_LEVEL)
    return Cost(
        bytes=size / STREAMS / recorded.events,
        cpu_us=used_s / recorded.events / STREAMS * 1e6,
        memory_kb=kept * each_kb / STREAMS,
    )


def _stream(group: Group) -> Stream:
    return Stream(Nowhere(), group, opened_at=0.0, expires_at=0.0)


def _checksums_s(recorded: Pieces) -> float:
    """Return the time in which one stream adds all pieces to its checksum, which each compressed stream does for itself."""
    stream = _stream(Group(Wish((), compressed=True), Windows()))
    began_s = time.thread_time()
    for text in recorded.texts:
        stream.sum_up(text)
    return time.thread_time() - began_s
