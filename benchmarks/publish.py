"""The processor time of publishing one tick, in three ways: `bus`, `client` and `floor`.

    python benchmarks/bench.py publish [--rounds 5] [--ticks 2000]

All three run the same Lua script on the same server, a Valkey of the benchmark's own, one call after the other. `bus` is the
project's own code. `client` is the Redis library's general way (pool, retries, telemetry). `floor` is the least possible: it
writes the command to a connection and reads the answer.
"""

import argparse
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files
from itertools import count
from typing import Any

import uvloop

import report
import system  # noqa: F401 - makes the tests' support importable
from market_pulse import kinds
from market_pulse.bus import keys
from market_pulse.messages import Symbol, Tick, encode_tick
from market_pulse.process.clock import now_ms
from support.redis_server import redis_server
from support.whole_bus import WholeBus

TICK = Tick(
    exchange="okx", symbol=Symbol("BTC-USDT"), price=64000.5, bid=64000.4, ask=64000.6, exchange_time_ms=1, received_time_ms=1
)
_times = count()
CHANNEL = kinds.TICK.channel(TICK.exchange, TICK.symbol)


def next_tick() -> Tick:
    """Return the tick with a higher order than before, so that it is newer, as the ticks of a single ingest are."""
    TICK.order = (-1, -1, -1, 1786538789464 + next(_times), 0)
    return TICK


def main(arguments: list[str]) -> None:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("bench.py publish", description=__doc__, formatter_class=plain)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ticks", type=int, default=2000, help="ticks of each way in each round")
    options = parser.parse_args(arguments)
    print(report.packages("redis", "hiredis", "orjson"))
    costs = uvloop.run(measure(options.rounds, options.ticks))
    rows = [(name, report.spread(figures), report.ratio(figures, costs["floor"])) for name, figures in costs.items()]
    report.table("Publishing one tick", ("way", "processor time per tick, us", "ratio to the floor"), rows)


async def measure(rounds: int, ticks: int) -> dict[str, list[float]]:
    """Return each way's processor time per tick in microseconds, one figure a round."""
    async with redis_server() as server, WholeBus.open(server.url) as bus:
        script = bus.client.register_script((files("market_pulse.bus") / "publish_ticks.lua").read_text())
        pool: Any = bus.client.connection_pool
        connection = pool.make_connection()
        await connection.connect()
        sha = await bus.client.script_load((files("market_pulse.bus") / "publish_ticks.lua").read_text())

        async def through_client() -> None:
            await script([keys.last(CHANNEL)], [kinds.TICK.expiry_s, CHANNEL, encode_tick(next_tick(), now_ms())])

        async def floor() -> None:
            message = encode_tick(next_tick(), now_ms())
            arguments = (1, keys.last(CHANNEL), kinds.TICK.expiry_s, CHANNEL, message)
            await connection.send_command("EVALSHA", sha, *arguments, check_health=False)
            await connection.read_response()

        ways: dict[str, Callable[[], Awaitable[object]]] = {
            "bus": lambda: bus.publish_ticks([next_tick()]),
            "client": through_client,
            "floor": floor,
        }
        costs: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                before = time.process_time()
                for _ in range(ticks):
                    await way()
                costs[name].append((time.process_time() - before) / ticks * 1e6)
        await connection.disconnect()
    return costs
