"""The traffic: ticks in the shape of real ones, and the two C programs that publish them and read the streams."""

import hashlib
import os
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from msgspec.structs import replace

from fanout.cores import pinned_to
from market_pulse import kinds
from market_pulse.messages import Source, Symbol, encode
from support.samples import ticker

HERE = Path(__file__).parents[1]
CACHE = HERE / ".cache"
FLAGS = ("-O2", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra")
PATIENCE_S = 15.0

BASES = (
    "BTC ETH SOL BNB XRP ADA DOGE TRX AVAX LINK DOT TON SHIB LTC BCH UNI NEAR ICP APT ETC XLM FIL ATOM HBAR ARB OP VET INJ MKR "
    "AAVE GRT ALGO QNT EGLD STX IMX SAND MANA AXS THETA XTZ EOS FLOW CHZ CRV SNX KAVA ZEC DASH COMP"
)
SYMBOLS = tuple(Symbol(f"{base}-USDT") for base in BASES.split())


class ToolError(Exception):
    """A program of the benchmark failed or did not answer in time, so there is no figure."""


def compiled(source: Path) -> Path:
    """Compile a C file, unless that was done before, and return the program.

    Raises:
        ToolError: gcc is missing, or it failed.
    """
    mark = hashlib.sha256(source.read_bytes() + " ".join(FLAGS).encode()).hexdigest()[:12]
    program = CACHE / f"{source.stem}-{mark}"
    if not program.exists():
        if shutil.which("gcc") is None:
            raise ToolError("gcc is needed to compile the load generator")
        CACHE.mkdir(exist_ok=True)
        made = subprocess.run(["gcc", *FLAGS, "-o", program, source], capture_output=True, text=True, check=False, timeout=60)
        if made.returncode:
            raise ToolError(made.stderr)
    return program


def message(symbol: Symbol) -> str:
    """Return a ticker message as the aggregator writes it, with the publisher's marks in the place of number and times."""
    price = 64_012.345678
    sources = tuple(
        Source(
            exchange=exchange,
            price=price + off,
            used_price=price + off,
            weight=weight,
            age_ms=age_ms,
            state="used",
            reason=None,
        )
        for exchange, off, weight, age_ms in (
            ("binance", 0.01, 0.61803398, 12),
            ("bybit", -0.42, 0.21098765, 140),
            ("okx", 1.2, 0.17097837, 88),
        )
    )
    complete = replace(
        ticker(symbol, 4_000_000_001, price=price, time_ms=1_700_000_000_056),
        change24h=-1203.111322,
        change_percent24h=-1.8448,
        open24h=65_215.457,
        volume24h=31_244.87112,
        quote_volume24h=1_700_000_000.000001,
        sources=sources,
        sources_used=len(sources),
        sources_total=len(sources),
        agreed_time_ms=1_700_000_000_055,
        priced_time_ms=1_700_000_000_055,
    )
    text = encode(complete).decode()
    for value, mark in (("4000000001", "@S"), ("1700000000056", "@M"), ("1700000000.000001", "@U")):
        if text.count(f":{value}") != 1:
            raise AssertionError(f"{value} must occur once in a ticker: {text}")
        text = text.replace(f":{value}", f":{mark}")
    return text


def write_messages(file: Path) -> None:
    """Write the messages for the publisher, a line per symbol."""
    file.write_text("".join(f"{kinds.TICKER.channel(symbol)}\t{message(symbol)}\n" for symbol in SYMBOLS))


class Tool:
    """A program that answers each command on its stdin with one line of JSON on its stdout."""

    def __init__(self, program: Path, *arguments: object, cores: set[int]) -> None:
        self._name = program.name.partition("-")[0]
        with pinned_to(cores):
            self._process = subprocess.Popen(
                [program, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
            )
        self._unread = b""

    def ask(self, command: str, within_s: float = PATIENCE_S) -> Any:
        """Send a command and return its answer."""
        self.tell(command)
        return self.answer(within_s)

    def tell(self, command: str) -> None:
        """Send a command. Take its answer with `answer` before sending the next one."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(command.encode() + b"\n")
        except BrokenPipeError:
            raise ToolError(f"{self._name} has ended") from None

    def answer(self, within_s: float = PATIENCE_S) -> Any:
        """Wait for the answer to the last command and return it.

        Raises:
            ToolError: no answer came in time, or the program has ended.
        """
        assert self._process.stdout is not None
        end = time.monotonic() + within_s
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))
            part = os.read(self._process.stdout.fileno(), 65536) if ready else b""
            if not part:
                raise ToolError(f"{self._name} {'has ended' if ready else f'did not answer within {within_s:.0f} s'}")
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return orjson.loads(line)

    def close(self) -> None:
        """End the program and wait for that."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


@dataclass(frozen=True, kw_only=True)
class Group:
    """Streams with the same request and speed of reading. `bytes_per_s`: None reads as fast as data comes, 0 never reads.

    With `gzip` they ask for compressed bodies, of which only the bytes are counted.
    """

    name: str = "all"
    count: int
    path: str
    bytes_per_s: float | None = None
    gzip: bool = False


def readers(port: int, groups: Sequence[Group], cores: set[int], *, only_news: bool = False) -> Tool:
    """Start the program that reads streams. It does not connect yet.

    With `only_news` a tick counts only if its `exchangeTime` is later than all before, and its age runs from that time.
    """
    arguments = [
        f"{one.name}:{one.count}:{-1 if one.bytes_per_s is None else one.bytes_per_s}:{'gzip:' * one.gzip}{one.path}"
        for one in groups
    ]
    return Tool(compiled(HERE / "load" / "readers.c"), f"{port}/news" if only_news else port, *arguments, cores=cores)


def publisher(port: int, messages: Path, cores: set[int], *, by_http: bool) -> Tool:
    """Start the program that publishes to Redis or to an HTTP server's `/publish/`. It does not publish yet."""
    way = ("http", port, "/publish/") if by_http else ("redis", port)
    return Tool(compiled(HERE / "load" / "publisher.c"), *way, messages, cores=cores)
