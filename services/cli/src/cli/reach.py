"""Which exchanges serve this place, at which host, and which quality prices made here would have. For `doctor`."""

import asyncio
import base64
import os
import socket
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import orjson

from market_pulse.conversions import Conversions
from market_pulse.exchange.adapter import Adapter, read
from market_pulse.exchange.errors import FrameError
from market_pulse.messages import Symbol
from market_pulse.process.clock import now_ms
from market_pulse.process.way_out import WayOut

from .gateway import ANSWER_LIMIT_S

BLOCKED = {403, 451}
NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
"""The DNS errors which mean that a name does not exist. Its other errors mean that DNS did not answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A host's answer: the milliseconds that it took, and its content."""

    host: str
    took_ms: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Reached:
    """The hosts of an exchange that answer from here. `failures` has a reason for each host that was tried in vain.

    `clock` is the answer with its time, with the moment before the request in Unix milliseconds; None if REST does not answer.
    `stream` is the host whose WebSocket opens, or None. `listed` has the symbols that the exchange trades; it is empty if its
    listing was not read.
    """

    name: str
    clock: tuple[int, Answer] | None
    stream: str | None
    listed: AbstractSet[Symbol]
    failures: tuple[str, ...]

    @property
    def delivers(self) -> bool:
        """Whether an ingest here would have a stream, and would know the symbols to subscribe to."""
        return self.stream is not None and bool(self.listed)

    @property
    def said(self) -> str:
        """The result in one sentence."""
        if self.clock is not None and self.stream is not None:
            _, answer = self.clock
            unread = "" if self.listed else ", but its listing cannot be read"
            return f"{answer.host} answers in {answer.took_ms} ms, and {self.stream} opens a stream{unread}"
        return "; ".join(self.failures) + ": prices are made without it"


async def reach(adapter: Adapter, way_out: WayOut) -> Reached:
    """Try an exchange's addresses in the order in which its ingest tries them, until one answers. Never raises."""
    async with way_out.http_client(timeout=ANSWER_LIMIT_S) as http:
        return await _reach(adapter, _Asking(http, way_out))


class _Asking:
    """Sends requests to exchanges."""

    def __init__(self, http: httpx.AsyncClient, way_out: WayOut) -> None:
        self._http = http
        self._way_out = way_out

    async def ask(self, url: str, headers: Mapping[str, str] | None = None, status: int = 200) -> Answer | str:
        """Return the answer if it has this HTTP status, else the reason why this host is of no use."""
        host = urlsplit(url).hostname or ""
        if self._way_out.proxy(url) is None and (unknown := await _unresolved(host)):
            return unknown
        sent_ms = now_ms()
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S), self._http.stream("GET", url, headers=headers) as answer:
                content = b"" if answer.status_code == httpx.codes.SWITCHING_PROTOCOLS else await answer.aread()
        except (httpx.HTTPError, OSError, TimeoutError) as failed:
            return f"{host} cannot be reached: {str(failed) or type(failed).__name__}"
        if answer.status_code == status:
            return Answer(host, now_ms() - sent_ms, content)
        if answer.status_code in BLOCKED:
            return f"{host} does not serve this country or address (HTTP {answer.status_code})"
        return f"{host} answers with HTTP {answer.status_code}"


async def _reach(adapter: Adapter, asking: _Asking) -> Reached:
    failures: list[str] = []
    clock: tuple[int, Answer] | None = None
    listed: AbstractSet[Symbol] = frozenset()
    for base in adapter.rest_urls:
        sent_ms = now_ms()
        answer = await asking.ask(base + adapter.clock_path)
        if isinstance(answer, Answer):
            clock = sent_ms, answer
            listed = await _listing(adapter, base, asking)
            break
        failures.append(answer)
    stream: str | None = None
    for url in adapter.ws_urls:
        opened = await asking.ask(url.replace("ws", "http", 1), _handshake(), status=101)
        if isinstance(opened, Answer):
            stream = opened.host
            break
        failures.append(opened)
    return Reached(adapter.exchange, clock, stream, listed, tuple(dict.fromkeys(failures)))


def quality_of(symbol: Symbol, listings: Mapping[str, AbstractSet[Symbol]], conversions: Conversions) -> tuple[str, list[str]]:
    """Return the quality of a symbol's price if these exchanges deliver, and the exchanges that it is made of.

    All markets that are converted at the same rate count as one source, as docs/methodology.md says.
    """
    direct = [name for name, listed in listings.items() if symbol in listed]
    everywhere = frozenset().union(*listings.values())
    converted: list[str] = []
    votes = len(direct)
    for leg in conversions.legs(symbol):
        beside = [name for name, listed in listings.items() if leg.symbol in listed and name not in direct]
        if beside and leg.rate in everywhere:
            converted += beside
            votes += 1
    return "down" if not votes else "single" if votes == 1 else "ok", sorted({*direct, *converted})


def time_in(answer: bytes) -> int | None:
    """Read the server's time, in Unix milliseconds, from the answer of any exchange."""
    try:
        match orjson.loads(answer):
            case {"serverTime": int(time_ms)} | {"time": int(time_ms)}:
                return time_ms
            case {"data": [{"ts": str(text)}]} if text.isdecimal():
                return int(text)
            case {"epoch": int() | float() as seconds}:
                return round(seconds * 1000)
    except orjson.JSONDecodeError:
        pass
    return None


async def _unresolved(host: str) -> str | None:
    """Return why a host's name does not resolve, or None if it does."""
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S):
            await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except TimeoutError:
        return f"DNS does not answer for {host}"
    except OSError as failed:
        unknown = isinstance(failed, socket.gaierror) and failed.errno in NO_SUCH_NAME
        saw = f"DNS does not know {host}" if unknown else f"DNS does not answer for {host}"
        return f"{saw}: {failed.strerror or failed}"
    return None


async def _listing(adapter: Adapter, base: str, asking: _Asking) -> AbstractSet[Symbol]:
    answer = await asking.ask(base + adapter.listing_path)
    if not isinstance(answer, Answer):
        return frozenset()
    try:
        listing = await asyncio.to_thread(read, adapter.parse_listing, answer.content)
    except FrameError:
        return frozenset()
    return {one.symbol for one in listing}


def _handshake() -> dict[str, str]:
    """Return the headers of a WebSocket's opening request. The answer decides only whether a host would open a stream."""
    return {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
