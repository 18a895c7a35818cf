"""Invariants of every message, which hold under all faults. Pure: the time is an argument."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import fsum, inf
from typing import Any

from market_pulse.tickers import STALE_AFTER_MS
from support.stack import HASTE

LIVE = {"ok", "single", "disputed"}
HARD_AGE_MS = float(HASTE["HARD_AGE_S"]) * 1000
CLAMP = 0.005
WORTH_DISPUTE = 2 * CLAMP
SLACK_MS = 2_000
"""A margin for this machine, which runs the system and the watchers, and for the gateway's check for old prices each second."""
LIVE_FOR_MS = STALE_AFTER_MS + SLACK_MS
TAKEOVER_S = (2_000 + SLACK_MS) / 1000
"""How long a symbol may be silent on the bus after one of several aggregators has died."""
MIXED_S = 4.5
"""After this long without a tick, one with lower numbers may follow: the script allows it after 5 s by Redis's clock."""
FAR_MS = 5_000  # a tick that is newer by more than this is published, even with lower numbers
RESTAMPED_MS = 1_000  # the second of two copies to publish may have received the tick a moment earlier
HANGS_FOR_MS = 8_000 + SLACK_MS
"""How long the edge takes to cut the streams of a hanging gateway, which cannot report by itself that its prices are old."""
LIE_LINGERS_MS = 5_000  # another fault may delay the messages of the lie


@dataclass
class Lie:
    """A time during which an exchange states wrong prices, of one symbol or of all (None)."""

    exchange: str
    symbol: str | None
    start_ms: float
    end_ms: float = inf

    def covers(self, ticker: dict[str, Any], source: dict[str, Any]) -> bool:
        """Return whether the last tick of a source is from the time of the lie."""
        said_ms = ticker["aggregatedTime"] - source["ageMs"]
        return (
            self.exchange in {"*", source["exchange"]}
            and self.symbol in {None, ticker["symbol"]}
            and self.start_ms <= said_ms <= self.end_ms + LIE_LINGERS_MS
        )


def wrongs_of(ticker: dict[str, Any], now_ms: float, lies: Iterable[Lie]) -> Iterator[str]:
    """Find each error that a ticker shows by itself at its arrival."""
    quality, price = ticker["quality"], ticker["price"]
    if (price is None) is not (quality == "down"):
        yield f"price {price} of quality {quality}"
    if quality not in LIVE or price is None:
        return
    age_ms = now_ms - ticker["aggregatedTime"]
    if age_ms > LIVE_FOR_MS:
        yield f"{quality}, though it was made {age_ms:.0f} ms ago"
    used = [source for source in ticker["sources"] if source["weight"]]
    oldest_ms = max((source["ageMs"] for source in used), default=inf)
    if oldest_ms >= HARD_AGE_MS:
        yield f"{quality}, though a source that is used was silent for {oldest_ms:.0f} ms"
    if used and all("its feed is away" in (source.get("reason") or "") for source in used):
        yield f"{quality}, though none of its ingests is connected"
    if abs(fsum(source["weight"] * source["usedPrice"] for source in used) - price) > 10 ** -(ticker["dp"] + 2):
        yield "the price is not that of its sources"
    yield from _beyond_honesty(ticker, used, list(lies))


def _beyond_honesty(ticker: dict[str, Any], used: list[dict[str, Any]], lies: list[Lie]) -> Iterator[str]:
    """Check that a majority of honest sources bounds the price, to the clamp, and that half of them never yields `ok`.

    Among three votes, a liar moves the median no further than to the next honest price, whether the liar counts or not.

    A majority with the same lie cannot be detected: a real move of the market, one exchange after another, looks the same.
    """
    fresh = [source for source in ticker["sources"] if source["state"] not in {"stale", "lagging"}]
    liars = [source for source in fresh if any(lie.covers(ticker, source) for lie in lies)]
    honest = [source["price"] for source in fresh if source not in liars]
    if not honest or not used:
        return
    low, high = min(honest), max(honest)
    believed = [one for one in liars if one in used and not low / (1 + CLAMP) <= one["price"] <= high * (1 + CLAMP)]
    honest += [one["price"] for one in liars if one in used and one not in believed]  # its price now agrees with the others
    if len(honest) > len(believed):
        margin = CLAMP if any(one in used for one in liars) else 1e-9
        if not low * (1 - margin) <= ticker["price"] <= high * (1 + margin):
            yield f"price {ticker['price']} beyond {low} to {high}, the prices of honest exchanges"
    elif (
        len(honest) == len(believed)
        and ticker["quality"] == "ok"
        and any(not low / (1 + WORTH_DISPUTE) <= one["price"] <= high * (1 + WORTH_DISPUTE) for one in believed)
    ):
        yield f"ok, though as many exchanges say {believed[0]['price']} as say {low}"


class Numbers:
    """Checks the numbers of each symbol's tickers on one connection: numbers and the times of prices never go back.

    On the bus (`contiguous`) no number is missing. A stream may leave some out, since it sends only the newest ticker, and may
    repeat the last one when it has become old or after a resync.
    """

    def __init__(self, *, contiguous: bool) -> None:
        self._contiguous = contiguous
        self._last: dict[str, int] = {}
        self._made_ms: dict[str, int] = {}
        self._interrupted: set[str] = set()

    def interrupted(self) -> None:
        """Note that messages may have been missed."""
        self._interrupted = set(self._last)

    def wrong(self, ticker: dict[str, Any]) -> str | None:
        """Take the next ticker; return the error in its number, if any."""
        symbol, seq = ticker["symbol"], ticker["seq"]
        last = self._last.get(symbol)
        self._last[symbol] = seq
        made_ms, self._made_ms[symbol] = self._made_ms.get(symbol, 0), ticker["aggregatedTime"]
        if ticker["aggregatedTime"] < made_ms:  # an aggregator that was suspended has published late
            return f"number {seq} was made {made_ms - ticker['aggregatedTime']} ms before the one before it"
        interrupted = symbol in self._interrupted
        self._interrupted.discard(symbol)
        if last is None or seq == last + 1:
            return None
        if seq < last:
            return f"number {seq} after {last}"
        if seq == last:
            may_repeat = not self._contiguous and (interrupted or ticker["quality"] not in LIVE)
            return None if may_repeat else f"number {seq} twice"
        return f"number {seq} after {last}" if self._contiguous and not interrupted else None


def began_anew(known: Sequence[float], order: Sequence[float]) -> bool:
    """Return whether an order may be lower: its numbers began anew, or its quote or day is more than five seconds newer."""
    is_later = any(order[at] > known[at] + FAR_MS for at in (2, 4) if at < min(len(order), len(known)))
    return is_later or list(order[5:]) > list(known[5:])


class Line:
    """Checks the ticks of each channel on one connection: with several copies of an ingest, no tick comes twice or late.

    The line of a symbol ends when no client requests it, and may start again with any number. `always` has the symbols that
    are always requested.
    """

    def __init__(self, always: Collection[str]) -> None:
        self._always = always
        self._last: dict[str, tuple[dict[str, Any], float]] = {}
        self._received_ms: dict[str, int] = {}

    def interrupted(self) -> None:
        """Note that messages may have been missed."""
        self._last.clear()
        self._received_ms.clear()

    def wrong(self, channel: str, tick: dict[str, Any], now_s: float) -> str | None:
        """Take the next tick; return its error compared with the tick before, if any."""
        content = {name: value for name, value in tick.items() if name not in {"receivedTime", "publishedTime"}}
        before, before_s = self._last.get(channel, ({}, now_s))
        self._last[channel] = content, now_s
        self._received_ms[channel] = max(self._received_ms.get(channel, 0), tick["receivedTime"])
        if content == before:
            return f"the same tick twice: {tick}"
        known, order = before.get("order"), content.get("order")
        if channel.rpartition(":")[2] not in self._always or not known or not order or now_s - before_s >= MIXED_S:
            return None
        if any(new < old for new, old in zip(order, known, strict=False)) and not began_anew(known, order):
            return f"order {order} after {known}"
        return None

    def unheard(self, ticker: dict[str, Any]) -> Iterator[str]:
        """Report each source whose state in a ticker is younger than all ticks of it that came."""
        for source in ticker["sources"]:
            heard_ms = self._received_ms.get(f"ticks:{source['exchange']}:{ticker['symbol']}")
            said_ms = ticker["aggregatedTime"] - source["ageMs"]
            if heard_ms is not None and said_ms > heard_ms + RESTAMPED_MS:
                yield f"{source['exchange']} of {said_ms}, {said_ms - heard_ms} ms younger than its newest tick"
