"""Simulates the streams of many browsers: each client reconnects like an EventSource and records what its user would see."""

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

LIVE = tuple(b'"quality":"%b"' % quality for quality in (b"ok", b"single", b"disputed"))
DEFAULT_RETRY_S = 3.0  # a browser's default, until the server sets another
IDLE_LIMIT_S = 45.0
END_LIMIT_S = 10.0


@dataclass
class Watcher:
    """One client. Times are in seconds. A gap is the time between two successive live tickers, reconnects included."""

    instance: str = ""
    moved_from: list[str] = field(default_factory=list)
    resyncs: int = 0
    byes: int = 0
    losses: int = 0
    not_live: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    longest_gap_s: float = 0.0
    longest_return_s: float = 0.0
    live_at_s: float = 0.0
    lost_at_s: float = 0.0

    def take(self, line: bytes) -> None:
        """Take in one `data:` line."""
        now_s = time.monotonic()
        if line.startswith(b'data: {"type":"ticker"'):
            if self.lost_at_s:
                self.longest_return_s = max(self.longest_return_s, now_s - self.lost_at_s)
                self.lost_at_s = 0.0
            if any(quality in line for quality in LIVE):
                if self.live_at_s:
                    self.longest_gap_s = max(self.longest_gap_s, now_s - self.live_at_s)
                self.live_at_s = now_s
            else:
                self.not_live["stale" if b'"quality":"stale"' in line else "down"] += 1
        elif line.startswith(b'data: {"type":"connected"'):
            self.moved_from.append(self.instance)
            self.instance = json.loads(line[6:])["data"]["instance"].partition(":")[0]
        elif line.startswith(b'data: {"type":"resync"'):
            self.resyncs += 1
        elif line.startswith(b'data: {"type":"bye"'):
            self.byes += 1

    def begin(self) -> None:
        """Reset the figures."""
        self.resyncs = self.byes = self.losses = 0
        self.not_live.clear()
        self.errors.clear()
        self.moved_from.clear()
        self.longest_gap_s = self.longest_return_s = 0.0


class Crowd:
    """Watchers of one URL."""

    def __init__(self, url: str, count: int) -> None:
        self._url = urlsplit(url)
        self.watchers = [Watcher() for _ in range(count)]

    def begin(self) -> None:
        for watcher in self.watchers:
            watcher.begin()

    def live(self, within_s: float = 3.0) -> bool:
        """Return whether each client received a live ticker within this time."""
        return all(time.monotonic() - watcher.live_at_s < within_s for watcher in self.watchers)

    def spread(self) -> Counter[str]:
        """Return how many clients are on each gateway."""
        return Counter(watcher.instance for watcher in self.watchers)

    def seen(self) -> dict[str, Any]:
        """Return the figures of all clients since `begin`: the worst of each kind."""
        now_s = time.monotonic()
        return {
            "gap_s": round(max(max(one.longest_gap_s, now_s - one.live_at_s) for one in self.watchers), 2),
            "return_s": round(max(one.longest_return_s for one in self.watchers), 2),
            "losses": sum(one.losses for one in self.watchers),
            "byes": sum(one.byes for one in self.watchers),
            "resynced": sum(one.resyncs > 0 for one in self.watchers),
            "not_live": dict(sum((one.not_live for one in self.watchers), Counter())),
            "errors": dict(Counter(error for one in self.watchers for error in one.errors)),
        }

    async def watch(self, watcher: Watcher) -> None:
        """Stream until cancelled, or until a response at which an EventSource would give up."""
        retry_s = DEFAULT_RETRY_S
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                reader, writer = await asyncio.open_connection(self._url.hostname, self._url.port)
                try:
                    target = f"{self._url.path}?{self._url.query}"
                    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".encode())
                    async with asyncio.timeout(IDLE_LIMIT_S):  # `wait_for` may swallow a cancellation before Python 3.12
                        head = await reader.readuntil(b"\r\n\r\n")
                    if b" 200 " not in head.split(b"\r\n", 1)[0]:
                        watcher.errors.append(head.split(b"\r\n", 1)[0].decode())
                        return
                    # The last chunk; the connection may stay open.
                    while (line := await reader.readline()) not in {
                        b"",
                        b"0\r\n",
                    }:
                        if line.startswith(b"data: "):
                            watcher.take(line)
                        elif line.startswith(b"retry: "):
                            retry_s = int(line[7:]) / 1000
                finally:
                    writer.close()
            watcher.losses += 1
            watcher.lost_at_s = watcher.lost_at_s or time.monotonic()
            await asyncio.sleep(retry_s)


@contextlib.asynccontextmanager
async def crowd(url: str, count: int) -> AsyncIterator[Crowd]:
    """Run `count` clients on a stream while the context lasts. Fifty start at a time."""
    watching = Crowd(url, count)
    tasks: list[asyncio.Task[None]] = []
    try:
        for number, watcher in enumerate(watching.watchers, start=1):
            tasks.append(asyncio.create_task(watching.watch(watcher)))
            if number % 50 == 0:
                await asyncio.sleep(0.1)
        yield watching
    finally:
        for task in tasks:
            task.cancel()
        _, left = await asyncio.wait(tasks, timeout=END_LIMIT_S)
        assert not left, f"{len(left)} clients do not end"


async def main(url: str, count: str) -> None:
    """Watch until interrupted. Each line on stdin prints the figures and resets them."""
    loop = asyncio.get_running_loop()
    async with crowd(url, int(count)) as watching:
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(watching.seen() | {"live": watching.live(), "spread": watching.spread()}), flush=True)  # noqa: T201
            watching.begin()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
