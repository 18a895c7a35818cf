"""A gateway, over HTTP: its status, and a stream that comes back by itself."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Annotated, Any

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse
from pydantic import AfterValidator, SecretStr
from rich.table import Table
from rich.text import Text

from market_pulse.messages import Symbol
from market_pulse.process.backoff import backoff_s, heed_cancellation
from market_pulse.process.clock import now_ms
from market_pulse.process.logs import scrub
from market_pulse.process.settings import Settings, load_settings
from market_pulse.process.way_out import OutwardSettings, WayOut

from .output import Output

ANSWER_LIMIT_S = 10.0
LONGEST_WAIT_S = 300.0  # however long a gateway asks for
SILENCE_LIMIT_S = 40.0  # two heartbeats of 15 s and some
DELIVERS = {"connected", "degraded"}
LATER = {408, 425, 429}
"""Refusals below 500 that say nothing of the request itself: it was late, early or one too many."""
STATE_STYLES = {"connected": "green", "degraded": "yellow", "connecting": "yellow", "reconnecting": "yellow"}


class RefusedError(httpx.HTTPError):
    """The gateway has no stream to give for now: it says why, and after how many seconds to ask again."""

    def __init__(self, event: ServerSentEvent) -> None:
        self.wait_s = min((event.retry or 0) / 1000, LONGEST_WAIT_S)
        match _object_in(event):
            case {"detail": str(detail)}:
                super().__init__(detail)
            case _:
                super().__init__("refused for now")


def _check_key(key: SecretStr) -> SecretStr:
    if not re.fullmatch("[A-Za-z0-9._~-]+", key.get_secret_value()):
        raise ValueError("a key is letters, digits or any of - . _ ~")
    return key


class Access(Settings):
    """The key for a gateway that wants one."""

    market_pulse_api_key: Annotated[SecretStr, AfterValidator(_check_key)] | None = None


def asking(url: str, timeout: httpx.Timeout | float = ANSWER_LIMIT_S) -> httpx.AsyncClient:
    """Return a client of a gateway, with the key in MARKET_PULSE_API_KEY for one that wants it."""
    key = load_settings(Access).market_pulse_api_key
    headers = {} if key is None else {"X-API-Key": key.get_secret_value()}
    return way_out().http_client(base_url=url, timeout=timeout, headers=headers)


def way_out() -> WayOut:
    """Return how servers elsewhere are reached, as the environment says."""
    return WayOut(load_settings(OutwardSettings))


async def show_status(url: str, output: Output) -> bool:
    """Print what `/api/status` says. Returns whether any exchange delivers.

    Raises:
        httpx.HTTPError: the gateway cannot be reached or does not answer as one.
    """
    async with asking(url) as http:
        status = await get_status(http)
    if output.json:
        output.object(status)
    else:
        output.console.print(_table_of(status))
    return any(feed["state"] in DELIVERS for feed in status["exchanges"].values())


async def get_status(http: httpx.AsyncClient) -> dict[str, Any]:
    """Ask how the exchanges and the gateway are doing; what is read here of the answer is there.

    Raises:
        httpx.HTTPError: no answer, an error, or not what a gateway answers.
    """
    answer = await http.get("/api/status")
    answer.raise_for_status()
    with suppress(ValueError):
        match status := answer.json():
            case {
                "exchanges": {**feeds},
                "gateway": {
                    "time": int(),
                    "instance": str(),
                    "streams": int(),
                    "symbols": [*_],
                    "busConnected": bool(),
                    "resyncs": int(),
                },
            } if all(map(_is_feed, feeds.values())):
                return dict(status)
    raise httpx.DecodingError("not what a Market Pulse gateway answers", request=answer.request)


def _is_feed(feed: Any) -> bool:
    match feed:
        case {
            "exchange": str(),
            "state": str(),
            "reason": str() | None,
            "since": int(),
            "symbols": int(),
            "lastTickTime": int() | None,
            "reconnects": int(),
        }:
            return True
    return False


async def events(url: str, symbols: Sequence[Symbol]) -> AsyncGenerator[dict[str, Any]]:
    """Yield a stream's messages, `{"type": …, "data": …}`, over as many connections as it takes.

    Between two connections comes `{"type": "lost", "data": {"reason": …}}`: what was shown so far is not live any more.

    Raises:
        RefusedError: the gateway had no stream to give at the start.
        httpx.HTTPError: it could not be reached at the start, or it refuses the request itself (4xx), so that asking
            again is of no use.
    """
    failures = 0
    reached = False
    async with asking(url, httpx.Timeout(ANSWER_LIMIT_S, read=SILENCE_LIMIT_S)) as http:
        while True:
            try:
                async with aconnect_sse(http, "GET", "/api/realtime", params={"symbols": ",".join(symbols)}) as source:
                    if not source.response.is_success:
                        await source.response.aread()
                    source.response.raise_for_status()
                    async for event in source.aiter_sse():
                        if event.event == "refused":
                            raise RefusedError(event)
                        failures = 0
                        reached = True
                        if message := message_of(event):
                            yield message
                reason, wait_s = "the server ended the stream", 0.0
            except httpx.HTTPError as failed:
                if not reached or _is_final(failed):
                    raise
                reason = scrub(str(failed)) or type(failed).__name__
                wait_s = failed.wait_s if isinstance(failed, RefusedError) else 0.0
            heed_cancellation()
            yield {"type": "lost", "data": {"reason": reason}}
            failures += 1
            await asyncio.sleep(max(wait_s, backoff_s(failures, base_s=0.5, cap_s=15)))


def _is_final(failed: httpx.HTTPError) -> bool:
    if not isinstance(failed, httpx.HTTPStatusError):
        return False
    code = failed.response.status_code
    return code < 500 and code not in LATER


def message_of(event: ServerSentEvent) -> dict[str, Any] | None:
    """Read one event, None where it is no message: heartbeats have a name of their own, and proxies add what they like."""
    if event.event != "message":
        return None
    match message := _object_in(event):
        case {"type": str(), "data": dict()}:
            return message
    return None


def _object_in(event: ServerSentEvent) -> dict[str, Any]:
    with suppress(ValueError):
        match data := event.json():
            case dict():
                return dict(data)
    return {}


def _table_of(status: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("exchange", "state", "since", "symbols", "last tick", "reconnects", "copies"):
        table.add_column(name, justify="right" if name in {"symbols", "reconnects", "copies"} else "left", no_wrap=True)
    table.add_column("reason")
    now = status["gateway"]["time"]
    for feed in sorted(status["exchanges"].values(), key=lambda feed: feed["exchange"]):
        table.add_row(
            feed["exchange"],
            Text(feed["state"], STATE_STYLES.get(feed["state"], "red")),
            f"{_duration(now - feed['since'])} ago",
            str(feed["symbols"]),
            "never" if feed["lastTickTime"] is None else f"{_duration(now - feed['lastTickTime'])} ago",
            str(feed["reconnects"]),
            str(feed.get("instances", 1)),
            feed["reason"] or "",
        )
    gateway = status["gateway"]
    table.caption = (
        f"gateway {gateway['instance']}: {gateway['streams']} streams, {len(gateway['symbols'])} symbols, "
        f"bus {'connected' if gateway['busConnected'] else 'NOT connected'}, resyncs {gateway['resyncs']}, "
        f"clock {now - now_ms():+d} ms"
    )
    table.caption_justify = "left"
    return table


def _duration(milliseconds: float) -> str:
    seconds = max(0, round(milliseconds / 1000))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
