"""Records messages of the bus as Parquet files, which pandas, polars, DuckDB and others read.

A recording is a folder with a folder for each type of message: `tick`, `ticker`, `candle` and so on. In it are numbered files,
each complete in itself. So a recording can be read while it goes on. If the recorder is killed, only the rows are lost that had
not been written yet: those of the last WRITE_EACH_S seconds at most.

The columns are `recordedTime` (our clock, Unix ms), `channel`, and the message's fields, as docs/asyncapi.yaml describes them.

This module needs the packages of the extra `parquet`. Importing it without them raises ImportError.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
from arro3.core import DataType, Field, Schema
from arro3.io import read_json, write_parquet
from msgspec import inspect

from market_pulse.kinds import KINDS, kind_of
from market_pulse.messages import CodecError, Decoder
from market_pulse.process.clock import now_ms

from .bus_tail import messages
from .output import Output
from .tape import report

WRITE_EACH_S = 60.0
MOST_BYTES = 8 * 1024 * 1024
"""Of each type, so much JSON waits at most before it is written."""


class Recording:
    """The rows that wait, by type of message. Time is an argument: seconds by a monotonic clock."""

    def __init__(self, folder: Path) -> None:
        """Make the folder.

        Raises:
            OSError: the folder exists, or cannot be made.
        """
        folder.mkdir(parents=True)
        self._folder = folder
        self._types = {kind.message: kind.message.__name__.lower() for kind in KINDS}
        self._decode: dict[type, Callable[[bytes], Any]] = {kind: Decoder(kind).decode for kind in self._types}
        self._schemas = {kind: _schema(kind) for kind in self._types}
        self._waiting: dict[type, list[bytes]] = {kind: [] for kind in self._types}
        self._bytes = dict.fromkeys(self._types, 0)
        self._since_s: dict[type, float] = {}
        self._files = dict.fromkeys(self._types, 0)
        self.written = 0

    def add(self, channel: str, data: bytes, time_ms: int, now_s: float) -> None:
        """Add a message.

        Raises:
            CodecError: the message is not of the channel's kind.
        """
        kind = kind_of(channel)
        if kind is None:
            raise CodecError(f"{channel[:100]} is no channel")
        self._decode[kind.message](data)
        row = b'{"recordedTime":%d,"channel":%b,' % (time_ms, orjson.dumps(channel)) + data.strip()[1:].replace(b"\n", b" ")
        self._waiting[kind.message].append(row)
        self._bytes[kind.message] += len(row)
        self._since_s.setdefault(kind.message, now_s)

    def due(self, now_s: float) -> list[type]:
        """Return the types of which enough rows wait, or have waited for long enough."""
        return [
            kind
            for kind, since_s in self._since_s.items()
            if self._bytes[kind] >= MOST_BYTES or now_s >= since_s + WRITE_EACH_S
        ]

    def waiting(self) -> list[type]:
        """Return the types of which any rows wait."""
        return list(self._since_s)

    def begin(self, kind: type) -> Callable[[], None]:
        """Take the rows of a type that wait. Return a function that writes them, which may be called in a thread.

        The function raises OSError if the file cannot be written.
        """
        rows, self._waiting[kind] = self._waiting[kind], []
        self._bytes[kind] = 0
        del self._since_s[kind]
        self._files[kind] += 1
        self.written += len(rows)
        file = self._folder / self._types[kind] / f"{self._files[kind]:06}.parquet"
        return lambda: _write(rows, self._schemas[kind], file)


async def record(redis_url: str, folder: Path, output: Output, seconds: float) -> bool:
    """Write the published messages to a new folder, for `seconds` or, if 0, until cancelled. Returns whether there were any.

    Raises:
        BusError: Redis cannot be reached.
        OSError: the folder exists, or a file cannot be written.
    """
    recording = Recording(folder)
    missed = gaps = skipped = 0
    clock = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(seconds or None):
            async with aclosing(messages(redis_url, [kind.pattern for kind in KINDS])) as incoming:
                async for channel, data, lost in incoming:
                    missed += max(lost, 0)
                    gaps += lost < 0  # an unknown number was lost
                    try:
                        recording.add(channel, data, now_ms(), clock())
                    except CodecError:
                        skipped += 1
                    for kind in recording.due(clock()):
                        await asyncio.to_thread(recording.begin(kind))
    except TimeoutError:
        pass
    finally:
        for kind in recording.waiting():
            recording.begin(kind)()
        facts = {"messages": recording.written, "missed": missed, "gaps": gaps, "skipped": skipped, "file": str(folder)}
        report(output, facts)
    return recording.written > 0


def _write(rows: Sequence[bytes], schema: Any, file: Path) -> None:
    written = BytesIO()  # because on a full disk arro3 would panic instead of raising an OSError
    write_parquet(read_json(BytesIO(b"\n".join(rows)), schema), written, compression="zstd(3)", skip_arrow_metadata=True)
    file.parent.mkdir(exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_bytes(written.getbuffer())
    unfinished.rename(file)


def _schema(message: type) -> Any:
    """Return the Arrow schema of a message's rows."""
    added = [Field("recordedTime", DataType.int64()), Field("channel", DataType.string())]
    return Schema([*added, *_fields(inspect.type_info(message))])


def _fields(struct: inspect.Type) -> list[Any]:
    if not isinstance(struct, inspect.StructType):
        raise TypeError(f"{struct} has no fields")
    return [Field(field.encode_name, _column(field.type), nullable=True) for field in struct.fields]


def _column(value: inspect.Type) -> Any:
    """Return the Arrow type for a field's type in JSON."""
    plain: Mapping[type, Callable[[], Any]] = {
        inspect.IntType: DataType.int64,
        inspect.FloatType: DataType.float64,
        inspect.BoolType: DataType.bool,
        inspect.StrType: DataType.string,
        inspect.EnumType: DataType.string,
        inspect.LiteralType: DataType.string,
    }
    match value:
        case inspect.Metadata(type=inner):
            return _column(inner)
        case inspect.UnionType(types=types):
            [known] = [one for one in types if not isinstance(one, inspect.NoneType)]
            return _column(known)
        case inspect.StructType():
            return DataType.struct(_fields(value))
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return DataType.list(Field("item", _column(item), nullable=True))
    return plain[type(value)]()
