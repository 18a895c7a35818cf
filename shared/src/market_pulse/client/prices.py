"""Live tickers of symbols: first each symbol's last one, then each that is published."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from market_pulse.bus import Reader
from market_pulse.conversions import DEFAULT_CONVERSIONS, Conversions
from market_pulse.kinds import TICKER
from market_pulse.messages import Symbol, Ticker, parse_symbol, unique
from market_pulse.process.clock import now_ms

from .inbox import Inbox
from .line import DEFAULT_REDIS_URL, LOOK_INTERVAL_S, Line, OnGap, listening, refuse_unlisted


def subscribe(
    *symbols: str,
    redis_url: str = DEFAULT_REDIS_URL,
    on_gap: OnGap | None = None,
    conversions: Conversions = DEFAULT_CONVERSIONS,
) -> AsyncGenerator[Ticker]:
    """Yield tickers of symbols without end: first the last known ticker of each, then each ticker as it is published.

    - Subscribing creates the demand: if a listed symbol does not stream yet, it starts to.
    - If a ticker is not renewed for five seconds, it is yielded again with quality `stale`, and a minute later as `down`
      without a price. So the last ticker yielded is always true, even while the exchange, the aggregator or Redis is away.
    - While Redis cannot be reached, also at the start, this waits, tries again, and logs a warning to the logger
      `market_pulse`. After that it yields the last values, and then live tickers again.
    - If the reader does not keep up, it gets the newest tickers and the others are dropped. `on_gap` is called with the number
      of tickers that were dropped for this reason or lost with a connection.

    If you leave the loop early, close the generator; `contextlib.aclosing` does it for you.

    Args:
        symbols: as users write them: `btc` is BTC-USDT.
        redis_url: a URL that `market_pulse.process.addresses.read_redis_url` accepts.
        on_gap: called when tickers were missed. Must not block.
        conversions: the aggregator's, if it has others than the default. They only decide what counts as unlisted.

    Raises:
        ValueError: no symbol is given, or a text is not a symbol. At the first step: the URL is not valid.
        RefusedError: at the first step, if Redis rejects the user or password, or this user may not subscribe.
        UnlistedError: at the first step, if by then all exchanges' listings are known and one of the symbols is in no listing.
    """
    wanted = unique(map(parse_symbol, symbols))
    if not wanted:
        raise ValueError("name a symbol to subscribe to, for example BTC")
    return _follow(wanted, redis_url, Inbox(wanted, on_gap), conversions)


async def _follow(symbols: Sequence[Symbol], redis_url: str, inbox: Inbox, conversions: Conversions) -> AsyncGenerator[Ticker]:
    names = [TICKER.channel(symbol) for symbol in symbols]

    def take(channel: str, data: bytes) -> None:
        inbox.take(Symbol(channel.removeprefix(TICKER.prefix)), data, now_ms(), live=True)

    async with Reader.open(redis_url) as bus:

        async def read_last() -> None:
            await read_last_tickers(bus, symbols, inbox)

        async with listening(bus, names, take, read_last) as line:
            await line.stands.wait()
            await refuse_unlisted(bus, symbols, conversions)
            async for ticker in waiting_tickers(inbox, line):
                yield ticker


async def read_last_tickers(bus: Reader, symbols: Sequence[Symbol], inbox: Inbox) -> None:
    """Give an inbox the last ticker of each symbol."""
    for symbol, last in zip(symbols, await bus.last_aged(*map(TICKER.channel, symbols)), strict=True):
        if last is not None:
            inbox.take_last(symbol, last.message, now_ms(), age_ms=last.age_ms)


async def waiting_tickers(inbox: Inbox, line: Line) -> AsyncGenerator[Ticker]:
    """Yield the tickers of an inbox as they come, and those that have become old, without end."""
    clock = asyncio.get_running_loop().time
    look_at = clock()
    while not line.ended:
        if clock() >= look_at:
            inbox.age(now_ms())
            look_at = clock() + LOOK_INTERVAL_S
        if ticker := inbox.next(now_ms()):
            yield ticker
        else:
            await line.wait()
    line.check()
