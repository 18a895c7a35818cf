"""A client of a gateway over HTTP: its status, and a stream that reconnects by itself."""

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

from market_pulse.process.backoff import backoff_s, heed_cancellation
from market_pulse.process.clock import now_ms
from market_pulse.process.logs import scrub
from market_pulse.process.settings import Settings, load_settings
from market_pulse.process.way_out import OutwardSettings, WayOut

from .output import Output

ANSWER_LIMIT_S = 10.0
LONGEST_WAIT_S = 300.0  # the longest wait before a retry, even if the gateway asks for a longer one
SILENCE_LIMIT_S = 40.0  # two heartbeats, which come every 15 s, and a margin
DELIVERS = {"connected", "degraded"}
LATER = {408, 425, 429}
"""HTTP statuses below 500 for a request that may succeed later: it timed out, came too early, or was one too many."""
STATE_STYLES = {"connected": "green", "degraded": "yellow", "connecting": "yellow", "reconnecting": "yellow"}


class RefusedError(httpx.HTTPError):
    """The gateway refuses a stream for now. The message gives its reason, `wait_s` when to ask again."""

    def __init__(self, event: ServerSentEvent) -> None:
        self.wait_s = min((event.retry or 0) / 1000, LONGEST_WAIT_S)
        match _object_in(event):
            case {"detail": str(detail)}:
                super().__init__(detail)
            case _:
                super().__init__("refused for now")


def _check_key(key: SecretStr) -> SecretStr:
    if not re.fullmatch("[A-Za-z0-9._~-]+", key.get_secret_value()):
        raise ValueError("a key consists of letters, digits and - . _ ~")
    return key


class Access(Settings):
    """The API key, for a gateway that requires one."""

    market_pulse_api_key: Annotated[SecretStr, AfterValidator(_check_key)] | None = None


def asking(url: str, timeout: httpx.Timeout | float = ANSWER_LIMIT_S) -> httpx.AsyncClient:
    """Return an HTTP client for a gateway. It sends the key in MARKET_PULSE_API_KEY, if that is set."""
    key = load_settings(Access).market_pulse_api_key
    headers = {} if key is None else {"X-API-Key": key.get_secret_value()}
    return way_out().http_client(base_url=url, timeout=timeout, headers=headers)


def way_out() -> WayOut:
    """Return the way to servers elsewhere (proxy, certificates), as the environment sets it."""
    return WayOut(load_settings(OutwardSettings))


async def show_status(url: str, output: Output) -> bool:
    """Print the answer of `/api/status`. Returns whether any exchange delivers.

    Raises:
        httpx.HTTPError: the gateway cannot be reached, or the answer is not a gateway's.
    """
    async with asking(url) as http:
        status = await get_status(http)
    if output.json:
        output.object(status)
    else:
        output.console.print(_table_of(status))
    return any(feed["state"] in DELIVERS for feed in status["exchanges"].values())


async def get_status(http: httpx.AsyncClient) -> dict[str, Any]:
    """Request the state of the exchanges and of the gateway. Every field that this module reads is present in the result.

    Raises:
        httpx.HTTPError: no answer came, or an error, or the answer is not a gateway's.
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
    raise httpx.DecodingError("not the answer of a Market Pulse gateway", request=answer.request)


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


async def events(url: str, symbols: Sequence[str]) -> AsyncGenerator[dict[str, Any]]:
    """Yield a stream's messages, `{"type": …, "data": …}`. Reconnects whenever the connection is lost.

    Between two connections it yields `{"type": "lost", "data": {"reason": …}}`: the prices shown so far are no longer live.

    Raises:
        RefusedError: the gateway refused a stream at the start.
        httpx.HTTPError: the gateway could not be reached at the start, or it refuses the request itself (4xx), so that a
            retry is useless.
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
    """Read the message in an event. Return None for a heartbeat, whose event has another name, and for a proxy's events."""
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
