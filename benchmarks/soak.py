"""Minutes of the whole system under faults at random, watched: memory of each part, logs, and what clients are told.

    python benchmarks/bench.py soak [--minutes 10] [--seed 1]

Every few seconds an exchange is muted, cut, refused, frozen, garbled, delayed or announces its end, alone or with others, and
is healed again. Meanwhile streams are read and checked: numbers never go back, no old price is called fresh, prices stay
within what the exchanges say. At the end all faults are healed, and every price must be of three sources again.
"""

import argparse
import asyncio
import contextlib
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import report
import system  # noqa: F401 - makes the tests' support importable
from support.stack import EXCHANGES, Stack, events, running_stack
from support.waiting import until

FAULTS: list[dict[str, Any]] = [
    {"kind": "mute"},
    {"kind": "half_open"},
    {"kind": "cut"},
    {"kind": "refuse", "status": 503},
    {"kind": "refuse", "status": 451},
    {"kind": "refuse", "status": 429, "retry_after_s": 3},
    {"kind": "garbage", "share": 0.3},
    {"kind": "empty"},
    {"kind": "no_open"},
    {"kind": "duplicate"},
    {"kind": "late", "ms": 3000, "share": 0.5},
    {"kind": "clock", "ms": -7000},
    {"kind": "clock", "ms": 7000},
    {"kind": "spike", "symbol": "BTC-USDT", "factor": 1.2},
    {"kind": "delist", "symbol": "SOL-USDT"},
    {"kind": "burst", "n": 500, "stall_s": 2},
]
ENDS: dict[str, list[dict[str, Any]]] = {
    "binance": [{"kind": "server_shutdown"}],
    "okx": [{"kind": "notice_64008", "close_after_s": 10}],
}
SAMPLE_S = 5.0


def resident_mb(stack: Stack) -> dict[str, float]:
    sizes = {}
    for name, part in stack.parts.items():
        assert part.process is not None
        pages = int(Path(f"/proc/{part.process.pid}/statm").read_text().split()[1])
        sizes[name] = pages * 4096 / 2**20
    return sizes


class Watcher:
    """Reads streams and checks every ticker; keeps what was wrong."""

    def __init__(self) -> None:
        self.qualities: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._seq: dict[str, int] = {}

    async def watch(self, stack: Stack, path: str) -> None:
        while True:
            with contextlib.suppress(Exception):  # a stream that ends is opened again, as a browser does
                async with events(stack, path) as stream:
                    while True:
                        message = await stream.next()
                        if message["type"] == "ticker":
                            self._check(message["data"])
            await asyncio.sleep(0.5)

    def _check(self, ticker: dict[str, Any]) -> None:
        symbol, quality = ticker["symbol"], ticker["quality"]
        self.qualities[quality] += 1
        if ticker["seq"] < self._seq.get(symbol, 0):
            self.wrong.append(f"{symbol}: number {ticker['seq']} after {self._seq[symbol]}")
        self._seq[symbol] = ticker["seq"]
        if (ticker["price"] is None) is not (quality == "down"):
            self.wrong.append(f"{symbol}: price {ticker['price']} with quality {quality}")
        if quality in {"ok", "single", "disputed"}:
            used = [source for source in ticker["sources"] if source["weight"] > 0]
            if any(source["ageMs"] >= 60_000 for source in used):
                self.wrong.append(f"{symbol}: a source older than 60 s carries weight")
            low, high = (pick(source["price"] for source in used) for pick in (min, max))
            if not low * 0.9999 <= ticker["price"] <= high * 1.0001:
                self.wrong.append(f"{symbol}: price {ticker['price']} outside {low} to {high}")


async def trouble(stack: Stack, seconds: float, dice: random.Random, say: Callable[[str], None]) -> int:
    """Inject and heal at random for a time. Returns how many faults there were."""
    count = 0
    end_s = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end_s:
        for exchange in dice.sample(EXCHANGES, dice.choice((1, 1, 1, 2, 3))):
            fault = dice.choice([*FAULTS, *ENDS.get(exchange, [])])
            say(f"{exchange}: {fault}")
            await stack.fault(exchange, **fault)
            count += 1
        await asyncio.sleep(dice.uniform(3, 20))
        await stack.heal()
        await asyncio.sleep(dice.uniform(1, 8))
    return count


async def sample(stack: Stack, samples: list[dict[str, float]]) -> None:
    while True:
        samples.append(resident_mb(stack))
        await asyncio.sleep(SAMPLE_S)


def main(arguments: list[str]) -> None:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("bench.py soak", description=__doc__, formatter_class=plain)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="print each fault")
    options = parser.parse_args(arguments)
    asyncio.run(run(options.minutes, options.seed, print if options.verbose else lambda _: None))


async def run(minutes: float, seed: int, say: Callable[[str], None]) -> None:
    """Trouble the whole system for some minutes, then show what was seen."""
    samples: list[dict[str, float]] = []
    watcher = Watcher()
    with tempfile.TemporaryDirectory() as folder:
        async with running_stack(Path(folder)) as stack:
            jobs = [
                asyncio.create_task(job)
                for job in (
                    watcher.watch(stack, "/api/realtime?symbols=BTC,ETH,SOL,BNB"),
                    watcher.watch(stack, "/api/realtime/DOGE"),
                    sample(stack, samples),
                )
            ]
            faults = await trouble(stack, minutes * 60, random.Random(seed), say)
            await stack.heal()
            await until(stack.ready, 120)
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        # running_stack has checked by now that every part ended well and that no log holds an exception
    print(f"{minutes:.0f} minutes, seed {seed}: {faults} faults, all healed; tickers {dict(watcher.qualities)}")
    quarter = len(samples) // 4
    rows = []
    for name in samples[0]:
        early = mean(one[name] for one in samples[quarter : 2 * quarter])
        late = mean(one[name] for one in samples[-quarter:])
        rows.append((name, early, late, f"{late - early:+.1f}"))
    report.table("Memory", ("part", "MB in the second quarter", "MB in the last quarter", "change"), rows)
    print("\n".join(watcher.wrong[:20]) or "nothing wrong in any ticker")
    if watcher.wrong:
        raise SystemExit(1)
