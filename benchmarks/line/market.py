"""A market whose tickers move as real ones do, and a program that publishes them.

    python market.py redis|http PORT FILE SYMBOL...

Each symbol's price is a random walk, and each of three exchanges follows it at a distance of its own. Their ticks go through
the aggregator's own state of a symbol, so that a ticker has its figures, its rounding and its bytes. Two runs with the same
symbols make the same prices.

A command is a line on stdin, and its answer a line of JSON on stdout:

    rate R    publish R tickers a second from now on, of each symbol in turn
    report    how many tickers were published, and how many more should have been

FILE gets each published ticker, a line each. It is complete when `report` is answered.
"""

import asyncio
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path

from aggregator.market import SymbolState
from aggregator.parameters import Parameters
from market_pulse.kinds import TICKER
from market_pulse.messages import Symbol, Tick, encode
from market_pulse.process.clock import now_ms

EXCHANGES = ("binance", "bybit", "okx")
PUBLISHER = "aggregator-5f6d:1"
SHARES = (0.62, 0.21, 0.17)  # of the exchanges, in the trade of a day
PRICES = {"BTC": 64_012.0, "ETH": 3_120.0, "SOL": 148.0, "BNB": 585.0}
STEP_BPS = 0.25  # the standard deviation of a price's change from one ticker to the next
OFF_BPS = 0.5  # that of an exchange's distance from the price
TRADE = 200.0  # quote units, on one exchange from one ticker to the next, on average
LAGS_MS = dict(zip(EXCHANGES, (5, 18, 41), strict=True))  # of the exchanges' times behind ours
SHORTEST_WAIT_S = 0.001


class Walk:
    """One symbol's random walk, and the state that the aggregator keeps of it."""

    def __init__(self, symbol: Symbol) -> None:
        self.symbol = symbol
        self._random = random.Random(symbol)
        base = symbol.partition("-")[0]
        self._middle = PRICES.get(base) or 10 ** self._random.uniform(-1, 2.5)
        self._dp = 2 if self._middle >= 100 else 4 if self._middle >= 1 else 5
        self._open = {exchange: self._rounded(self._middle * self._random.uniform(0.97, 1.03)) for exchange in EXCHANGES}
        self._highest, self._lowest = (dict.fromkeys(EXCHANGES, self._rounded(self._middle * off)) for off in (1.035, 0.965))
        day = 2e9 / (1 + len(base))  # of turnover, in quote units
        self._turnover = {exchange: share * day for exchange, share in zip(EXCHANGES, SHARES, strict=True)}
        self._volume = {exchange: turnover / self._middle for exchange, turnover in self._turnover.items()}
        self._state = SymbolState(symbol)
        self._parameters = Parameters()

    def next(self, seq: int, time_ms: int) -> bytes:
        """Let the market move on to a moment, Unix ms, and return the ticker of then, as it is on the bus."""
        self._middle *= math.exp(self._random.gauss(0, STEP_BPS / 1e4))
        # At some hundred events a second of each symbol and exchange, all three have news for each ticker.
        for exchange in EXCHANGES:
            self._state.take(self._tick(exchange, time_ms), self._parameters)
        self._state.seq = seq
        ticker = self._state.make_ticker(time_ms, self._parameters)
        ticker.publisher = PUBLISHER
        self._state.last = ticker
        return encode(ticker)

    def _tick(self, exchange: str, time_ms: int) -> Tick:
        price = self._rounded(self._middle * (1 + self._random.gauss(0, OFF_BPS / 1e4)))
        traded = round(self._random.expovariate(1 / TRADE) / price, 6)
        self._volume[exchange] += traded
        self._turnover[exchange] += traded * price
        self._highest[exchange] = max(self._highest[exchange], price)
        self._lowest[exchange] = min(self._lowest[exchange], price)
        tick = Tick(exchange=exchange, symbol=self.symbol, price=price, received_time_ms=time_ms - self._random.randint(0, 3))
        tick.bid, tick.ask = (self._rounded(price + side * 10**-self._dp) for side in (-1, 1))
        tick.open24h, tick.high24h, tick.low24h = self._open[exchange], self._highest[exchange], self._lowest[exchange]
        tick.volume24h, tick.quote_volume24h = round(self._volume[exchange], 6), round(self._turnover[exchange], 6)
        tick.dp = self._dp
        tick.exchange_time_ms = tick.received_time_ms - LAGS_MS[exchange]
        tick.published_time_ms = tick.received_time_ms
        return tick

    def _rounded(self, price: float) -> float:
        return round(price, self._dp)


def tickers(symbols: Sequence[Symbol], first_seq: int, clock_ms: Callable[[], int]) -> Iterator[tuple[Symbol, bytes]]:
    """Make tickers without end, of each symbol in turn.

    Args:
        symbols: the symbols.
        first_seq: the number of each symbol's first ticker. The next ones have the next numbers.
        clock_ms: returns the time of the next ticker, Unix milliseconds.
    """
    walks = [Walk(symbol) for symbol in symbols]
    for number, walk in enumerate(cycle(walks)):
        yield walk.symbol, walk.next(first_seq + number // len(walks), clock_ms())


def to_redis(symbol: Symbol, ticker: bytes) -> bytes:
    channel = TICKER.channel(symbol).encode()
    return b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(channel), channel, len(ticker), ticker)


def by_http(symbol: Symbol, ticker: bytes) -> bytes:
    head = f"POST /publish/{symbol} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(ticker)}\r\n\r\n"
    return head.encode() + ticker


class Publisher:
    """Publishes at a rate over one connection, and keeps what it published."""

    def __init__(self, way: str, symbols: Sequence[Symbol], file: Path, writer: asyncio.StreamWriter) -> None:
        self._tickers = tickers(symbols, now_ms(), now_ms)  # so that later runs have higher numbers
        self._frame = {"redis": to_redis, "http": by_http}[way]
        self._file = file.open("wb")
        self._writer = writer
        self._rate, self._began_s, self._due_from = 0.0, time.monotonic(), 0
        self.published = 0

    def set_rate(self, rate: float) -> None:
        self._rate, self._began_s, self._due_from = rate, time.monotonic(), self.published

    def overdue(self) -> int:
        """Return how many more tickers should have been published by now."""
        return self._due_from + int((time.monotonic() - self._began_s) * self._rate) - self.published if self._rate else 0

    async def run(self) -> None:
        while True:
            for _ in range(self.overdue()):
                symbol, ticker = next(self._tickers)
                self._writer.write(self._frame(symbol, ticker))
                self._file.write(ticker + b"\n")
                self.published += 1
            await self._writer.drain()
            await asyncio.sleep(SHORTEST_WAIT_S)

    def answer(self, command: str) -> dict[str, int]:
        name, *values = command.split()
        if name == "rate":
            self.set_rate(float(values[0]))
            return {}
        self._file.flush()
        return {"published": self.published, "overdue": self.overdue()}


async def drop_answers(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass
    raise SystemExit("the server has closed the connection")


async def obey(publisher: Publisher) -> None:
    """Carry out commands until stdin ends."""
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        print(json.dumps(publisher.answer(line.decode())), flush=True)


async def main(way: str, port: str, file: str, *names: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    publisher = Publisher(way, [Symbol(name) for name in names], Path(file), writer)
    jobs = {asyncio.create_task(job) for job in (publisher.run(), drop_answers(reader), obey(publisher))}
    done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
    for job in jobs - done:
        job.cancel()
    done.pop().result()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
