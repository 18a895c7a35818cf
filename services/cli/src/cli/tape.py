"""Records the messages of the ingests, and publishes a recording again with its times moved to now.

A recording has one JSON object a line. The first has the format, its version and the start time. Each other line is a
listing, `{"listing": exchange, "symbols": […]}`, or a published message,
`{"at": milliseconds since the start, "channel": …, "message": …}`.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

import orjson

from market_pulse.bus import BusError, IngestBus, Reader
from market_pulse.kinds import STATUS, TICK
from market_pulse.messages import Symbol
from market_pulse.process.clock import now_ms
from market_pulse.process.logs import get_logger

from .bus_tail import json_object, messages
from .output import Output

FORMAT = "market-pulse recording"
VERSION = 1
LISTINGS_AGAIN_S = 10.0
"""How often to look for new listings, since an ingest may have been away when the recording began."""
BATCH_MS = 5
"""Messages that lie within this time are published in one command."""
_TIMES = ("exchangeTime", "receivedTime", "publishedTime", "since", "lastTickTime")

log = get_logger()


class RecordingError(OSError):
    """The file is not a recording, or a line of it cannot be read. The message names the file and the line."""


async def record(redis_url: str, file: Path, output: Output, seconds: float) -> bool:
    """Write the published messages to a new file, for `seconds` or, if 0, until cancelled. Returns whether there were any.

    Raises:
        BusError: Redis cannot be reached.
        OSError: the file cannot be written, or exists.
    """
    written = missed = gaps = skipped = 0
    with file.open("xb") as tape:
        try:
            async with asyncio.timeout(seconds or None):
                started_ms = now_ms()
                tape.write(orjson.dumps({"format": FORMAT, "version": VERSION, "started": started_ms}) + b"\n")
                wanted = [TICK.pattern, STATUS.pattern]
                async with Reader.open(redis_url) as bus, aclosing(messages(redis_url, wanted)) as incoming:
                    listings = await bus.listings()
                    _write_listings(tape, listings)
                    looked_s = monotonic()
                    async for channel, data, lost in incoming:
                        if monotonic() - looked_s >= LISTINGS_AGAIN_S:
                            looked_s = monotonic()
                            with suppress(BusError):  # then the known listings stay
                                found = await bus.listings()
                                _write_listings(
                                    tape, {name: found[name] for name in found if found[name] != listings.get(name)}
                                )
                                listings = {**listings, **found}
                        missed += max(lost, 0)
                        gaps += lost < 0  # an unknown number was lost
                        message = json_object(data)
                        if message is None:  # not a JSON object: `replay` could not read such a line
                            skipped += 1
                            continue
                        line = {"at": now_ms() - started_ms, "channel": channel, "message": message}
                        tape.write(orjson.dumps(line) + b"\n")
                        written += 1
        except TimeoutError:
            pass
        finally:
            report(output, {"messages": written, "missed": missed, "gaps": gaps, "skipped": skipped, "file": str(file)})
    return written > 0


async def replay(redis_url: str, file: Path, speed: float, output: Output) -> bool:
    """Publish a recording, `speed` times as fast as it was recorded. The times in its messages are moved to now.

    Raises:
        BusError: Redis cannot be reached.
        RecordingError: the file is not a recording, or one of its lines cannot be read.
    """
    published = 0
    async with IngestBus.open(redis_url) as bus:
        started_s, started_ms, recorded_ms = monotonic(), now_ms(), 0
        batch: list[tuple[str, bytes]] = []
        batch_at = 0.0
        for line in _lines(file):
            match line:
                case {"format": str(), "started": int(recorded_ms)}:
                    continue
                case {"listing": str(exchange), "symbols": [*symbols]}:
                    await bus.publish_listing(exchange, map(Symbol, symbols))
                    continue
                case {"at": int() | float() as at, "channel": str(channel), "message": dict(message)}:
                    pass
                case _:
                    raise RecordingError(f"{file}: this line does not belong in a recording: {str(line)[:80]}")
            if batch and at - batch_at > BATCH_MS:
                published += await _publish(bus, batch)
            if not batch:
                batch_at = at
                await asyncio.sleep(started_s + at / 1000 / speed - monotonic())
            batch.append((channel, orjson.dumps(_moved(message, recorded_ms + at, started_ms + round(at / speed)))))
        published += await _publish(bus, batch)
    report(output, {"messages": published, "file": str(file)})
    return published > 0


def _write_listings(tape: BinaryIO, listings: Mapping[str, Iterable[Symbol]]) -> None:
    lines = ({"listing": exchange, "symbols": sorted(symbols)} for exchange, symbols in listings.items())
    tape.writelines(orjson.dumps(line) + b"\n" for line in lines)


def _lines(file: Path) -> Iterator[Any]:
    with file.open("rb") as tape:
        for number, line in enumerate(tape, 1):
            try:
                content = orjson.loads(line)
            except orjson.JSONDecodeError as wrong:
                if number > 1 and not line.endswith(b"\n"):  # the recording process was killed
                    log.warning("the last line is cut off and was skipped", file=str(file), line=number)
                    return
                raise RecordingError(f"{file}, line {number}: {wrong}") from wrong
            if number == 1 and not _is_beginning(content):
                raise RecordingError(f"{file} is not a recording of version {VERSION}")
            yield content


def _is_beginning(line: Any) -> bool:
    return isinstance(line, dict) and (line.get("format"), line.get("version")) == (FORMAT, VERSION)


async def _publish(bus: IngestBus, batch: list[tuple[str, bytes]]) -> int:
    await bus.publish(batch)
    count = len(batch)
    batch.clear()
    return count


def _moved(message: dict[str, Any], from_ms: float, to_ms: float) -> dict[str, Any]:
    """Return a message with each of its times shifted by `to_ms - from_ms`."""
    shift = round(to_ms - from_ms)
    moved = {name: message[name] + shift for name in _TIMES if isinstance(message.get(name), int)}
    return message | moved


def report(output: Output, facts: dict[str, Any]) -> None:
    """Print the figures of a recording."""
    if output.json:
        output.object(facts)
    else:
        output.console.print(", ".join(f"{value} {name}" if name != "file" else f"{value}" for name, value in facts.items()))
