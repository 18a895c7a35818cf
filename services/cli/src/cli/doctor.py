"""Diagnose an installation. Each check examines one thing, reports the result and, if that is wrong, how to repair it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from importlib.metadata import entry_points
from time import monotonic
from typing import Any, Literal

import httpx
from httpx_sse import SSEError, aconnect_sse
from rich.markup import escape

from market_pulse.bus import BusError, DemandBus, Reader, RefusedError
from market_pulse.conversions import DEFAULT_CONVERSIONS, Conversions
from market_pulse.exchange.adapter import Adapter
from market_pulse.kinds import TICKER
from market_pulse.messages import DEFAULT_QUOTE, Symbol, parse_symbol
from market_pulse.process.addresses import read_redis_url
from market_pulse.process.clock import now_ms
from market_pulse.process.logs import scrub

from . import pacing
from .gateway import ANSWER_LIMIT_S, DELIVERS, asking, get_status, message_of, way_out
from .output import Output
from .reach import quality_of, reach, time_in

Result = Literal["ok", "note", "wrong"]

MAX_SKEW_MS = 1_000
LISTEN_S = 8.0
"""How long to time a stream. A running aggregator repeats each ticker every second, so about eight events must arrive."""
EXCHANGES = "market_pulse.exchanges"
"""The entry point group in which each installed ingest registers its adapter."""
MARKS = {"ok": "[green]✓[/]", "note": "[yellow]![/]", "wrong": "[red]✗[/]"}


class ExaminedBus(Reader, DemandBus):
    """The bus with the rights of the Redis user `reader`: to read, and to see which symbols are requested."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. A `note` is worth knowing, but not an error by itself."""

    check: str
    result: Result
    saw: str


async def examine(
    url: str,
    redis_url: str,
    symbol: str,
    output: Output,
    *,
    bus_named: bool,
    ask_exchanges: bool,
    quote: str = DEFAULT_QUOTE,
    symbols: Sequence[Symbol] = (),
    conversions: Conversions = DEFAULT_CONVERSIONS,
) -> bool:
    """Run all checks and print their findings. Returns whether no finding is wrong.

    `symbol` is as users write it. On the bus, `quote` is the currency of a symbol without one. `bus_named` says whether the
    user gave the address of the bus. If not, then a bus that is not found is only a note, because the bus cannot be reached
    from outside the installation. `symbols` and `conversions` are the service's settings: for each symbol, the quality is
    reported that its price has if only the exchanges contribute that serve this place. By default this is `symbol` alone.
    """
    on_the_bus = parse_symbol(symbol, quote)
    well = True

    def report(findings: Sequence[Finding]) -> None:
        nonlocal well
        for seen in findings:
            finding = replace(seen, saw=scrub(seen.saw))
            well = well and finding.result != "wrong"
            if output.json:
                output.object(asdict(finding))
            else:
                output.console.print(f"{MARKS[finding.result]} {finding.check}: {escape(finding.saw)}")

    async def ask() -> None:
        async for findings in _exchanges(symbols or (on_the_bus,), conversions):
            report(findings)

    async with asyncio.TaskGroup() as tasks:
        if ask_exchanges:
            tasks.create_task(ask())
        for check in asyncio.as_completed([_gateway(url), _stream(url, symbol), _bus(redis_url, on_the_bus, bus_named)]):
            report(await check)
    return well


async def _gateway(url: str) -> Sequence[Finding]:
    """Check the gateway's readiness, the states of the exchanges that it reports, and its clock.

    A gateway that is not connected to the bus only repeats the last states of the exchanges. Then no conclusion is drawn
    from them.
    """
    try:
        async with asking(url) as http:
            ready = await http.get("/readyz", params={"verbose": ""})
            sent_ms = now_ms()
            status = await get_status(http)
            asked_ms = now_ms() - sent_ms
    except (httpx.HTTPError, httpx.InvalidURL) as failed:
        return [Finding("gateway", "wrong", f"{url}: {str(failed) or type(failed).__name__}")]
    findings = [Finding("gateway", *_readiness(url, ready, asked_ms))]
    skew_ms = status["gateway"]["time"] - sent_ms - asked_ms // 2
    findings.append(_clock("gateway's clock", skew_ms, asked_ms))
    for name, feed in sorted(status["exchanges"].items()):
        delivers = feed["state"] in DELIVERS
        reason = f" ({feed['reason']})" if feed["reason"] else ""
        saw = f"{feed['state']}{reason}, {feed['symbols']} symbols"
        findings.append(Finding(f"feed {name}", "ok" if delivers else "note", saw))
        if feed.get("turnedAwayCount"):
            lacking = f"{feed['turnedAwayCount']} requested symbols have no room (MAX_SYMBOLS)"
            findings.append(Finding(f"room at {name}", "note", lacking))
    if not status["gateway"]["busConnected"]:
        findings.append(Finding("feeds", "wrong", "not known: the gateway is not connected to the bus"))
    elif not any(feed["state"] in DELIVERS for feed in status["exchanges"].values()):
        findings.append(Finding("feeds", "wrong", "no exchange delivers, so there are no live prices"))
    return findings


def _readiness(url: str, ready: httpx.Response, asked_ms: int) -> tuple[Result, str]:
    """Judge the answer of /readyz. A status other than 200 and 503 comes from another server, not from a gateway."""
    if ready.is_success:
        return "ok", f"{url} answers in {asked_ms} ms"
    said = ready.text.strip()[:200]
    if ready.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return "wrong", f"not ready: {said}"
    return "wrong", f"{url} answers, but its readiness is unknown: HTTP {ready.status_code} {said}"


async def _stream(url: str, symbol: str) -> Sequence[Finding]:
    """Time the events of a stream, because a proxy that holds them back delivers them in bursts.

    The gateway compresses the stream, as it does for a browser. If a proxy compresses it and waits for more text to do so, the
    bursts show it.
    """
    arrivals: list[pacing.Arrival] = []
    opened_s = monotonic()
    try:
        async with (
            asyncio.timeout(ANSWER_LIMIT_S + LISTEN_S) as limit,
            asking(url) as http,
            aconnect_sse(http, "GET", f"/api/realtime/{symbol}") as source,
        ):
            if not source.response.is_success:
                await source.response.aread()
                return [Finding("stream", "wrong", f"{source.response.status_code}: {source.response.text[:200]}")]
            limit.reschedule(asyncio.get_running_loop().time() + LISTEN_S)
            async for event in source.aiter_sse():
                if event.event != "message":
                    continue
                match message_of(event):
                    case {"type": "ticker", "data": {"aggregatedTime": int(made_ms)} as ticker}:
                        arrivals.append(pacing.Arrival(monotonic() - opened_s, made_ms / 1000, str(ticker.get("publisher"))))
                    case {"type": str(kind)} if kind != "ticker":
                        pass
                    case _:
                        return [Finding("stream", "wrong", f"an event is not a gateway's message: {event.data[:80]}")]
    except TimeoutError:
        pass
    except (httpx.HTTPError, httpx.InvalidURL, SSEError) as failed:
        return [Finding("stream", "wrong", f"the stream broke: {str(failed) or type(failed).__name__}")]
    return [Finding("stream", *pacing.judge(arrivals, LISTEN_S))]


async def _bus(redis_url: str, symbol: Symbol, is_named: bool) -> Sequence[Finding]:
    """Check whether Redis answers, its clock, and the rights of this user."""
    try:
        where = read_redis_url(redis_url).place
        async with ExaminedBus.open(redis_url) as bus:
            await bus.ping()  # connects, which must not count in the time of the next one
            started_s = monotonic()
            await bus.ping()
            answered_ms = (monotonic() - started_s) * 1000
            findings = [Finding("bus", "ok", f"{where} answers in {answered_ms:.1f} ms")]
            sent_ms = now_ms()
            time_ms = await bus.time_ms()
            asked_ms = now_ms() - sent_ms
            findings.append(_clock("bus's clock", time_ms - sent_ms - asked_ms // 2, asked_ms))
            findings += [await _right(name, attempt) for name, attempt in _rights(bus, symbol)]
    except ValueError as wrong:
        return [Finding("bus", "wrong", f"REDIS_URL is not the URL of a bus: {wrong}")]
    except BusError as failed:
        if not is_named and _is_nobody(failed):
            return [Finding("bus", "note", f"no bus at {where}; give its address with --redis or REDIS_URL")]
        return [Finding("bus", "wrong", f"{where}: {failed}")]
    return findings


def _is_nobody(failed: BusError) -> bool:
    """Tell whether no server listens at the address. A server that refuses the user or does not answer does listen."""
    cause: BaseException | None = failed
    while cause is not None and not isinstance(cause, ConnectionRefusedError | FileNotFoundError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def _rights(bus: ExaminedBus, symbol: Symbol) -> list[tuple[str, Callable[[], Awaitable[Any]]]]:
    return [
        ("subscribe", lambda: _subscribe(bus, TICKER.channel(symbol))),
        ("read last values", lambda: bus.last(TICKER.channel(symbol))),
        ("see what is asked for", bus.demanded),
        ("read listings", bus.listings),
    ]


async def _subscribe(bus: ExaminedBus, channel: str) -> None:
    subscriber = bus.subscriber(lambda *_: None, lambda _: asyncio.sleep(0))
    await subscriber.subscribe(channel)
    await subscriber.attempt()


async def _right(name: str, attempt: Callable[[], Awaitable[Any]]) -> Finding:
    try:
        await attempt()
    except RefusedError as refused:
        return Finding(f"right to {name}", "wrong", str(refused))
    except BusError as failed:
        return Finding(f"right to {name}", "wrong", f"could not be checked: {failed}")
    return Finding(f"right to {name}", "ok", "granted")


async def _exchanges(symbols: Sequence[Symbol], conversions: Conversions) -> AsyncIterator[Sequence[Finding]]:
    """Check each installed exchange: which of its hosts serve this place, and its clock. At last, which prices that gives."""
    adapters: list[Adapter] = [found.load() for found in entry_points(group=EXCHANGES)]
    listings: dict[str, AbstractSet[Symbol]] = {}
    for checked in asyncio.as_completed([reach(adapter, way_out()) for adapter in adapters]):
        reached = await checked
        findings = [Finding(reached.name, "ok" if reached.delivers else "note", reached.said)]
        if reached.delivers:
            listings[reached.name] = reached.listed
        if reached.clock is not None:
            sent_ms, answer = reached.clock
            if (time_ms := time_in(answer.content)) is not None:
                clock = _clock(f"{reached.name}'s clock", time_ms - sent_ms - answer.took_ms // 2, answer.took_ms)
                findings.append(clock)
        yield findings
    if not adapters:  # as in the container of the command line
        yield [
            Finding("exchanges", "note", "no ingest is installed here; the feeds' states tell which exchanges serve this place")
        ]
    for symbol in symbols if adapters else ():
        quality, names = quality_of(symbol, listings, conversions)
        made_of = f", made of {', '.join(names)}" if names else ": no exchange that serves this place can price it"
        yield [Finding(f"{symbol} from here", "ok" if quality == "ok" else "note", f"quality {quality}{made_of}")]


def _clock(check: str, skew_ms: int, asked_ms: int) -> Finding:
    """Judge a clock that was read during a request of `asked_ms`. Its skew is known only to within half of that time."""
    if abs(skew_ms) - asked_ms // 2 <= MAX_SKEW_MS:
        return Finding(check, "ok", f"{skew_ms:+d} ms against this machine's")
    return Finding(check, "wrong", f"{skew_ms / 1000:+.1f} s against this machine's: one of the two needs NTP")
