"""The least that an aggregator can do: parse each tick, and republish its symbol's newest one, in the same way.

Same subscription, schedule, batches and script as the aggregator, but no order, no price, no rounding, no metrics. With
`--bare` not even the codec: a tick is any JSON object with a symbol.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable

import orjson
import uvloop

from aggregator.publisher import HEARTBEAT_S, MAX_BATCH
from aggregator.schedule import Schedule
from market_pulse import channels
from market_pulse.bus import LAST_TICKER_EXPIRY_S, open_bus
from market_pulse.codec import decode_tick
from market_pulse.model import Symbol
from market_pulse.subscriber import Subscriber

MAX_RATE_HZ = 50


def parse_tick(data: bytes) -> Symbol:
    return decode_tick(data).symbol


def parse_json(data: bytes) -> Symbol:
    return Symbol(orjson.loads(data)["symbol"])


async def main(parse: Callable[[bytes], Symbol]) -> None:
    schedule = Schedule(1 / MAX_RATE_HZ, HEARTBEAT_S)
    newest: dict[Symbol, bytes] = {}
    wake = asyncio.Event()

    def take(_: str, data: bytes) -> None:
        symbol = parse(data)
        newest[symbol] = data
        if schedule.touch(symbol, time.monotonic()):
            wake.set()

    async def subscribed(_: bool) -> None:
        print("ready", flush=True)

    async with open_bus(os.environ["REDIS_URL"]) as bus, asyncio.TaskGroup() as tasks:
        publish = bus._publish_tickers  # noqa: SLF001 - the bus itself only takes tickers
        subscriber = Subscriber(bus.client, take, subscribed)
        await subscriber.subscribe_patterns(channels.ALL_TICKS)
        tasks.create_task(subscriber.run())
        loop = asyncio.get_running_loop()
        while True:
            wake.clear()
            due_s = schedule.next_s()
            wait_s = 1.0 if due_s is None else due_s - time.monotonic()
            if wait_s > 0:
                timer = loop.call_later(max(wait_s, 0.001), wake.set)
                await wake.wait()
                timer.cancel()
                continue
            keys: list[str] = []
            args: list[str | bytes | int] = [LAST_TICKER_EXPIRY_S]
            for symbol in schedule.due(time.monotonic(), MAX_BATCH):
                channel = channels.ticker(symbol)
                keys += channels.sequence(symbol), channels.last(channel)
                args += channel, newest[symbol][:-1] + b',"seq":', b"}", 0
            await publish(keys, args)


if __name__ == "__main__":
    uvloop.run(main(parse_json if "--bare" in sys.argv else parse_tick))
