"""The least work an aggregator can do: parse each tick, and republish the newest tick of its symbol unchanged.

It has the aggregator's subscription, schedule, batches and script. Like a ticker, a message contains the symbol's other
sources too, so it is about as long. It has no order, no price, no rounding and no metrics. With `--bare` it does not use our
decoder either: a tick is any JSON object with a symbol and an exchange.
"""

import asyncio
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable

import orjson

from aggregator.publisher import HEARTBEAT_S, MAX_BATCH
from aggregator.schedule import Schedule
from market_pulse import kinds
from market_pulse.bus import AggregatorBus, keys
from market_pulse.messages import Symbol, decode_tick
from market_pulse.process.lifecycle import run

MAX_RATE_HZ = 50


def parse_tick(data: bytes) -> tuple[Symbol, str]:
    tick = decode_tick(data)
    return tick.symbol, tick.exchange


def parse_json(data: bytes) -> tuple[Symbol, str]:
    tick = orjson.loads(data)
    return Symbol(tick["symbol"]), tick["exchange"]


async def main(parse: Callable[[bytes], tuple[Symbol, str]]) -> None:
    schedule = Schedule(MAX_RATE_HZ, HEARTBEAT_S)
    newest: defaultdict[Symbol, dict[str, bytes]] = defaultdict(dict)
    wake = asyncio.Event()

    def take(_: str, data: bytes) -> None:
        symbol, exchange = parse(data)
        sources = newest[symbol]
        sources.pop(exchange, None)  # so that the newest comes last
        sources[exchange] = data
        if schedule.touch(symbol, time.monotonic()):
            wake.set()

    async def subscribed(_: bool) -> None:
        print("ready", flush=True)

    async with AggregatorBus.open(os.environ["REDIS_URL"]) as bus, asyncio.TaskGroup() as tasks:
        publish = bus._publish_tickers  # noqa: SLF001 - the bus itself only takes tickers
        subscriber = bus.subscriber(take, subscribed)
        await subscriber.subscribe_patterns(kinds.TICK.pattern)
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
            names = [keys.EPOCH, keys.MEMBERS]
            args: list[str | bytes | int] = [kinds.TICKER.expiry_s, ""]
            for symbol in schedule.due(time.monotonic(), MAX_BATCH):
                channel = kinds.TICKER.channel(symbol)
                names += keys.sequence(symbol), keys.last(channel)
                *others, last = newest[symbol].values()
                args += channel, b'{"seq":', b',%b,"sources":[%b]}' % (last[1:-1], b",".join(others)), 0
            await publish(names, args)


if __name__ == "__main__":
    run(main(parse_json if "--bare" in sys.argv else parse_tick))
