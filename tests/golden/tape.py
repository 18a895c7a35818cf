"""The tape's format: one row an event, stored column by column so that it stays small.

Times are Unix milliseconds. A tick's prices are kept as whole numbers of its source's tick size, so they come back exactly.
"""

import json
import lzma
import struct
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from market_pulse.messages import Symbol, Tick

HERE = Path(__file__).parent
TAPE = HERE / "tape.xz"
START_MS = 1_790_000_000_000

TICK, AWAY, OPEN, RESTART = range(4)
"""Kinds of events: a tick; an exchange's feed was lost, or opened; the aggregator restarted after `value` ms away."""

LAG_UNKNOWN, ENDED, NO_EXCHANGE_TIME, NO_BID, NO_ASK, IN_MICROSECONDS = (1 << bit for bit in range(6))
"""A tick's flags. The last: its exchange time is in microseconds, as at some exchanges; in our ticks that is an error."""

COLUMNS = ("kind", "source", "step_ms", "transit_ms", "lag_ms", "price", "bid", "ask", "figures", "flags", "value")
PER_SOURCE = frozenset({"price", "figures"})  # stored as differences from the same source's row before
NOTHING = -1
"""Stands for an unknown figure."""


class Row(NamedTuple):
    """One event. `price` is in tick sizes, and so are `bid` and `ask`, as distances from it.

    `figures` is the number of a row of 24 h figures.
    """

    kind: int
    source: int
    step_ms: int
    transit_ms: int = 0
    lag_ms: int = 0
    price: int = 0
    bid: int = 0
    ask: int = 0
    figures: int = 0
    flags: int = 0
    value: int = 0


class Made(NamedTuple):
    """One exchange's market of one symbol. Its prices have `dp` decimals; `tells_dp`: its ticks state them."""

    exchange: str
    symbol: str
    dp: int
    tells_dp: bool


@dataclass(frozen=True, slots=True)
class Event:
    """An event at `time_ms`: a tick, or a change of the feed of `exchange` or of the aggregator."""

    kind: int
    time_ms: int
    tick: Tick | None = None
    exchange: str = ""
    value: int = 0


def write_tape(sources: Sequence[Made], figures: Sequence[Sequence[int]], rows: Sequence[Row], file: Path = TAPE) -> None:
    """Write a tape. A row of `figures` is open, high and low in tick sizes, volume, and turnover in thousands."""
    head = json.dumps({"sources": sources, "rows": len(rows), "figures": len(figures)}).encode()
    parts = [struct.pack("<I", len(head)), head]
    last: dict[tuple[str, int], int] = {}
    for at, name in enumerate(COLUMNS):
        column = array("i")
        for row in rows:
            value = row[at]
            if name in PER_SOURCE and row.kind == TICK:
                before = last.get((name, row.source), 0)
                last[name, row.source] = value
                value -= before
            column.append(value)
        parts.append(_planes(column))
    parts += [_planes(array("i", column)) for column in zip(*figures, strict=True)]
    file.write_bytes(lzma.compress(b"".join(parts), preset=9 | lzma.PRESET_EXTREME))


def read_tape(file: Path = TAPE) -> Iterator[Event]:
    """Read a tape's events in their order."""
    data = lzma.decompress(file.read_bytes())
    (length,) = struct.unpack_from("<I", data)
    head = json.loads(data[4 : 4 + length])
    sources = [Made(*source) for source in head["sources"]]
    at = 4 + length
    columns = []
    for count in [head["rows"]] * len(COLUMNS) + [head["figures"]] * 5:
        columns.append(_from_planes(data[at : at + 4 * count]))
        at += 4 * count
    figures = list(zip(*columns[len(COLUMNS) :], strict=True))
    time_ms = START_MS
    last: dict[int, tuple[int, int]] = {}
    for row in map(Row._make, zip(*columns[: len(COLUMNS)], strict=True)):
        time_ms += row.step_ms
        source = sources[row.source]
        if row.kind != TICK:
            yield Event(row.kind, time_ms, exchange=source.exchange, value=row.value)
            continue
        price, nth = last.get(row.source, (0, 0))
        last[row.source] = row.price + price, row.figures + nth
        yield Event(TICK, time_ms, _tick(source, row, last[row.source][0], figures[last[row.source][1]], time_ms))


_TICK_FIELDS = Tick.__annotations__.keys()
"""The fields of a tick in the revision that runs. An older one lacks some of them."""


def _tick(source: Made, row: Row, price: int, figures: Sequence[int], time_ms: int) -> Tick:
    received_ms = time_ms - row.transit_ms
    exchange_ms = received_ms - row.lag_ms
    flags = row.flags
    unit = 10.0**source.dp

    def scaled(value: int, by: float) -> float | None:
        return None if value == NOTHING else value / by

    others: Mapping[str, Any] = {"lag_unknown": bool(flags & LAG_UNKNOWN), "ended": "delisted" if flags & ENDED else None}
    return Tick(
        exchange=source.exchange,
        symbol=Symbol(source.symbol),
        price=price / unit,
        exchange_time_ms=None if flags & NO_EXCHANGE_TIME else exchange_ms * (1000 if flags & IN_MICROSECONDS else 1),
        received_time_ms=received_ms,
        published_time_ms=received_ms,
        dp=source.dp if source.tells_dp else None,
        bid=None if flags & NO_BID else (price - row.bid) / unit,
        ask=None if flags & NO_ASK else (price + row.ask) / unit,
        open24h=scaled(figures[0], unit),
        high24h=scaled(figures[1], unit),
        low24h=scaled(figures[2], unit),
        volume24h=scaled(figures[3], 1),
        quote_volume24h=scaled(figures[4], 0.001),
        **{name: value for name, value in others.items() if name in _TICK_FIELDS},
    )


def _planes(column: "array[int]") -> bytes:
    """Return all lowest bytes, then all second ones. Bytes that hardly change lie together, so they compress well."""
    data = column.tobytes()
    return b"".join(data[nth::4] for nth in range(4))


def _from_planes(data: bytes) -> "array[int]":
    count = len(data) // 4
    mixed = bytearray(len(data))
    for nth in range(4):
        mixed[nth::4] = data[nth * count : (nth + 1) * count]
    column = array("i")
    column.frombytes(bytes(mixed))
    return column
