"""Which point is added to a symbol's history, and when. No I/O: time is an argument, in Unix milliseconds."""

from market_pulse.messages import LIVE, Point, Resolution, Ticker

FRESH_MS = 2_000
"""A running publisher repeats each ticker every second. So an older ticker than this does not have the present price."""
HEARD = frozenset({"used", "fading", "excluded"})  # the states of sources whose price is recorded


def point_due(published: Ticker, recorded_ms: int | None, now_ms: int) -> Point | None:
    """Return the point to add to a symbol's history now, or None: one for each second that has begun.

    Args:
        published: the last published ticker. If its price is not fresh and live, nothing is due.
        recorded_ms: when a point of this symbol was last added; None: never.
        now_ms: the present time.
    """
    if published.price is None or published.quality not in LIVE:
        return None
    if now_ms - published.aggregated_time_ms > FRESH_MS:
        return None
    second_ms = Resolution.SECOND.step_of(now_ms)
    if recorded_ms is not None and Resolution.SECOND.step_of(recorded_ms) == second_ms:
        return None
    sources = {source.exchange: source.price for source in published.sources if source.price and source.state in HEARD}
    return Point(time_ms=second_ms, price=published.price, sources=sources)
