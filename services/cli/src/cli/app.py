"""The commands, their options and their exit codes.

0: done. 1: the command failed, or `verify` or `doctor` found an error. 2: a wrong option. 78: a wrong environment variable.
130: stopped by Ctrl-C. 143: stopped by SIGTERM.
"""

import asyncio
import logging
import re
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from math import isfinite
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import httpx
import typer
from pydantic import SecretStr

from market_pulse.bus import BusError
from market_pulse.client import UnlistedError
from market_pulse.messages import Interval, parse_symbol, parse_symbols
from market_pulse.process.addresses import read_node, read_redis_url, read_url
from market_pulse.process.logs import configure_logs, scrub
from market_pulse.process.settings import (
    BusSettings,
    ConversionSettings,
    QuoteSettings,
    SymbolSettings,
    hide_secrets,
    load_settings,
)
from market_pulse.process.way_out import OutwardSettings

from . import bus_tail, candles, doctor, gateway, tape, verify, watch
from .output import Output
from .recompute import Bounds

INTERRUPTED = 130
TERMINATED = 143

app = typer.Typer(
    name="market-pulse",
    help="Live crypto prices on the command line: from a gateway, or straight from the bus.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _gateway_url(given: str) -> str:
    try:
        url = read_url(given, "http", "https")
        read_node(url.hosts, 443)
        if url.query:
            raise ValueError("it must not contain a ?")
    except ValueError as wrong:
        told = f"not the URL of a gateway: {wrong} (--url, or else MARKET_PULSE_URL)"
        raise typer.BadParameter(told, param_hint="--url") from None
    hide_secrets(given)
    # A wrong variable is reported before the command connects to anything.
    load_settings(gateway.Access)
    load_settings(OutwardSettings)
    return given


Url = Annotated[
    str,
    typer.Option(
        "--url",
        envvar="MARKET_PULSE_URL",
        callback=_gateway_url,
        help="The URL of the gateway, or of the proxy in front of it.",
    ),
]


def _redis_url(given: str) -> str:
    return _bus_url(given or load_settings(BusSettings).redis_url.get_secret_value())


def _bus_url(given: str) -> str:
    if given:
        try:
            read_redis_url(given)
        except ValueError as wrong:
            raise typer.BadParameter(f"not the URL of a bus: {wrong}") from None
        hide_secrets(SecretStr(given))
    return given


RedisUrl = Annotated[
    str,
    typer.Option("--redis", callback=_redis_url, help="The URL of the bus; by default REDIS_URL, else Redis on this machine."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line, for other programs.")]


def _finite(given: float) -> float:
    if not isfinite(given):
        raise typer.BadParameter("not a finite number")
    return given


Seconds = Annotated[
    float, typer.Option("--seconds", min=0, callback=_finite, help="Stop after this many seconds; 0: run until Ctrl-C.")
]

DEFAULTS = Bounds()
SAME = "The value that the aggregator uses."
DEFAULT_URL = "http://127.0.0.1:8080"


def _symbol(text: str) -> str:
    """Check a symbol. It is sent to a gateway as it is: the gateway knows which quote `BTC` means there."""
    try:
        parse_symbol(text)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from wrong
    return text.strip().upper()


Symbols = Annotated[
    list[str],
    typer.Argument(
        parser=_symbol,
        metavar="SYMBOL...",
        help="One or more symbols. What BTC means is the gateway's setting QUOTE, or with --redis the variable QUOTE here.",
    ),
]


def _exchange(given: str | None) -> str | None:
    if given is not None and not re.fullmatch("[a-z0-9_-]{1,32}", given):
        raise typer.BadParameter("not the name of an exchange, for example okx")
    return given


@app.command("watch")
def watch_command(
    symbols: Symbols,
    url: Url = DEFAULT_URL,
    redis_url: Annotated[
        str, typer.Option("--redis", callback=_bus_url, help="Read the bus at this URL instead of a gateway.")
    ] = "",
    json: Json = False,
    seconds: Seconds = 0,
) -> None:
    """Show live prices: a table that keeps itself up to date."""
    if redis_url:
        resolved = parse_symbols(",".join(symbols), load_settings(QuoteSettings).quote)
        tickers = watch.from_bus(redis_url, resolved, load_settings(ConversionSettings).conversions)
        _run(watch.show(tickers, resolved, Output(json)), seconds)
    else:
        asked = list(dict.fromkeys(symbols))
        _run(watch.show(watch.from_gateway(url, asked), asked, Output(json)), seconds)


@app.command("tail")
def tail_command(
    patterns: Annotated[
        list[str], typer.Argument(help="Channels or patterns: candle:1m:BTC-USDT, ticker:BTC-USDT, 'ticks:okx:*'.")
    ],
    redis_url: RedisUrl = "",
    json: Json = False,
    seconds: Seconds = 0,
) -> None:
    """Print messages from the bus. A full channel name makes the ingests deliver its symbol; a pattern only listens."""
    _run(bus_tail.tail(redis_url, patterns, Output(json)), seconds)


@app.command("status")
def status_command(url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Show the state of the exchanges and of the gateway. Fails when no exchange delivers prices."""
    _run(gateway.show_status(url, Output(json)))


@app.command("candles")
def candles_command(
    symbol: Annotated[str, typer.Argument(parser=_symbol, help="A symbol. What BTC means is the gateway's setting QUOTE.")],
    interval: Annotated[
        Interval | None,
        typer.Option("--interval", "-i", help="How long each candle lasts; by default 1h, or 1m with --exchange."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1440, help="How many candles, at most.")] = 24,
    exchange: Annotated[
        str | None,
        typer.Option("--exchange", callback=_exchange, help="That exchange's own candles, not those across exchanges."),
    ] = None,
    chart: Annotated[bool, typer.Option("--chart", help="Draw a chart.")] = False,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Show a symbol's past candles and the open one."""
    length = interval or (Interval.MINUTE if exchange else Interval.HOUR)  # of an exchange, only minutes are kept
    _run(candles.show(url, symbol, length, limit, exchange, Output(json), as_chart=chart))


@app.command("verify")
def verify_command(
    redis_url: RedisUrl = "",
    json: Json = False,
    seconds: Seconds = 10,
    clamp: Annotated[float, typer.Option(envvar="CLAMP", min=0, max=0.5, help=SAME)] = DEFAULTS.clamp,
    exclusion: Annotated[float, typer.Option(envvar="EXCLUSION", min=0, max=0.5, help=SAME)] = DEFAULTS.exclusion,
    soft_age_s: Annotated[float, typer.Option(envvar="SOFT_AGE_S", min=0, help=SAME)] = DEFAULTS.soft_age_s,
    hard_age_s: Annotated[float, typer.Option(envvar="HARD_AGE_S", min=0, help=SAME)] = DEFAULTS.hard_age_s,
) -> None:
    """Recompute each published price and quality from the ticker's sources, and compare the sources with the ticks."""
    _run(verify.verify(redis_url, Output(json), seconds, Bounds(clamp, exclusion, soft_age_s, hard_age_s)))


def _columns() -> ModuleType:
    try:
        from . import columns  # noqa: PLC0415 - its packages are optional
    except ImportError as missing:
        told = f"Parquet needs two more packages ({missing}). In a checkout: uv pip install arro3-core arro3-io"
        raise typer.BadParameter(told, param_hint="--parquet") from missing
    return columns


@app.command("record")
def record_command(
    file: Annotated[Path, typer.Argument(help="The file to write, or with --parquet the folder; it must not exist yet.")],
    parquet: Annotated[
        bool,
        typer.Option("--parquet", help="Write a folder of Parquet files, with the tickers and candles too. Not for replay."),
    ] = False,
    redis_url: RedisUrl = "",
    json: Json = False,
    seconds: Seconds = 0,
) -> None:
    """Record the ticks, states and listings of every exchange, until Ctrl-C or SIGTERM."""
    if parquet:
        _run(_columns().record(redis_url, file, Output(json), seconds))
    else:
        _run(tape.record(redis_url, file, Output(json), seconds))


@app.command("replay")
def replay_command(
    file: Annotated[Path, typer.Argument(help="A recording.", exists=True, dir_okay=False)],
    redis_url: Annotated[
        str, typer.Option("--into", callback=_bus_url, help="The bus to publish on. It must have no ingests of its own.")
    ],
    speed: Annotated[
        float,
        typer.Option("--speed", min=0.01, max=1000, callback=_finite, help="How fast to play; 2: twice as fast as recorded."),
    ] = 1,
    json: Json = False,
) -> None:
    """Publish a recording again, with its times moved to now."""
    _run(tape.replay(redis_url, file, speed, Output(json)))


@app.command("doctor")
def doctor_command(
    url: Url = DEFAULT_URL,
    redis_url: Annotated[
        str, typer.Option("--redis", help="The URL of the bus; by default REDIS_URL, else Redis on this machine, if it runs.")
    ] = "",
    symbol: Annotated[str, typer.Option("--symbol", parser=_symbol, help="The symbol whose stream is timed.")] = "BTC",
    offline: Annotated[bool, typer.Option("--offline", help="Do not contact the exchanges.")] = False,
    json: Json = False,
) -> None:
    """Look for faults: in DNS, at the exchanges, in clocks, on the bus, and a proxy that holds events back.

    It also tells which exchanges serve this place, and which quality that gives the symbols of SYMBOLS.
    """
    settings = load_settings(BusSettings)
    bus_named = bool(redis_url) or "redis_url" in settings.model_fields_set
    where = redis_url or settings.redis_url.get_secret_value()
    featured, conversions = load_settings(SymbolSettings), load_settings(ConversionSettings).conversions
    _run(
        doctor.examine(
            url,
            where,
            symbol,
            Output(json),
            quote=featured.quote,
            bus_named=bus_named,
            ask_exchanges=not offline,
            symbols=featured.symbols,
            conversions=conversions,
        )
    )


def _run(command: Coroutine[Any, Any, bool], seconds: float = 0) -> None:
    """Run a command until it ends, or for `seconds` if that is not 0, then end the process with its exit code."""
    configure_logs("market-pulse", "warning", "console", uncaught=False)  # __main__ logs uncaught exceptions
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)  # standard output is for the command's results

    async def bounded() -> bool:
        if command_task := asyncio.current_task():
            with suppress(NotImplementedError):  # Windows has no such signal
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, command_task.cancel)
        try:
            async with asyncio.timeout(seconds or None):
                return await command
        except TimeoutError:
            return True

    try:
        well = asyncio.run(bounded())
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except asyncio.CancelledError:
        raise typer.Exit(TERMINATED) from None
    except BrokenPipeError:
        raise
    except httpx.InvalidURL as wrong:
        raise typer.BadParameter(f"not the URL of a gateway: {scrub(str(wrong))}") from None
    except httpx.HTTPError as failed:
        where = getattr(failed, "_request", None)  # the property `request` raises if it is unset
        typer.echo(scrub(f"market-pulse: {f'{where.url}: ' if where else ''}{str(failed) or type(failed).__name__}"), err=True)
        raise typer.Exit(1) from failed
    except (BusError, UnlistedError, OSError) as failed:
        typer.echo(scrub(f"market-pulse: {failed}"), err=True)
        raise typer.Exit(1) from failed
    raise typer.Exit(0 if well else 1)
