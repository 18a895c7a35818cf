"""Publishes ticks like three ingests, with the bus's own script, evenly over time, symbols and exchanges.

    python feeder.py REDIS_URL SYMBOL,SYMBOL...

Every two milliseconds it publishes all ticks that are due in one command. It reads commands from stdin and answers on stdout,
a line each:

    rate R K  publish R ticks a second from now on (0: none) of the first K symbols
    report    print the numbers of published and of overdue ticks, and the processor time, as JSON
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence

import uvloop

from market_pulse.bus import IngestBus
from market_pulse.messages import Symbol, Tick, parse_symbols
from market_pulse.process.clock import now_ms

EXCHANGES = ("binance", "bybit", "okx")
TURN_S = 0.002
LARGEST_BATCH = 500


class Feeder:
    def __init__(self, symbols: Sequence[Symbol]) -> None:
        self._symbols = symbols
        self._unread = b""
        self.published = 0
        self.set_rate(0, 1)

    def set_rate(self, rate: float, symbols: int) -> None:
        self._rate, self._used = rate, symbols
        self._since_s, self._before = time.monotonic(), self.published

    def overdue(self) -> int:
        """Return how many ticks should have been published by now, but were not."""
        return int((time.monotonic() - self._since_s) * self._rate) - (self.published - self._before)

    def due(self) -> list[Tick]:
        time_ms = now_ms()
        return [self._tick(self.published + n, time_ms) for n in range(min(self.overdue(), LARGEST_BATCH))]

    def read_commands(self) -> None:
        part = os.read(sys.stdin.fileno(), 65536)
        if not part:  # the process that started us has ended
            sys.exit()
        *lines, self._unread = (self._unread + part).split(b"\n")
        for line in lines:
            match line.decode().split():
                case ["rate", rate, symbols]:
                    self.set_rate(float(rate), int(symbols))
                    answer = {}
                case ["report"]:
                    answer = {"published": self.published, "overdue": self.overdue(), "cpu_s": time.process_time()}
                case _:
                    sys.exit(f"unknown command {line!r}")
            print(json.dumps(answer), flush=True)

    def _tick(self, number: int, time_ms: int) -> Tick:
        turn, which = divmod(number, self._used)
        price = 100.0 + which + turn % 7 * 0.01
        return Tick(
            exchange=EXCHANGES[turn % 3],
            symbol=self._symbols[which],
            price=price,
            exchange_time_ms=time_ms,
            received_time_ms=time_ms,
            dp=2,
            bid=price - 0.01,
            ask=price + 0.01,
            open24h=98.5,
            high24h=104.25,
            low24h=97.75,
            volume24h=31_244.87112,
            quote_volume24h=3_124_487.112,
            order=(number, time_ms),
        )


async def main(redis_url: str, symbols: Sequence[Symbol]) -> None:
    feeder = Feeder(symbols)
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), feeder.read_commands)
    async with IngestBus.open(redis_url) as bus:
        while True:
            if ticks := feeder.due():
                feeder.published += len(ticks)
                await bus.publish_ticks(ticks)
            if feeder.overdue() < LARGEST_BATCH:
                await asyncio.sleep(TURN_S)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], parse_symbols(sys.argv[2])))
