"""Which points a symbol's history gets, and when. Pure: time is an argument, in Unix milliseconds."""

from market_pulse.messages import LIVE, Point, Resolution, Ticker

FRESH_MS = 2_000
"""A living publisher repeats each ticker every second: the price of an older one is not the price of now."""
HEARD = frozenset({"used", "fading", "excluded"})


def points_due(published: Ticker, recorded_ms: int | None, now_ms: int) -> dict[Resolution, Point]:
    """Return the points to add to a symbol's history now: of each resolution of which a step has begun since the last time.

    Args:
        published: the ticker that was published last. Without a fresh and live price nothing is due.
        recorded_ms: when points of this symbol were last added, if ever.
        now_ms: now.
    """
    if published.price is None or published.quality not in LIVE:
        return {}
    if now_ms - published.aggregated_time_ms > FRESH_MS:
        return {}
    begun = [one for one in Resolution if recorded_ms is None or one.step_of(recorded_ms) != one.step_of(now_ms)]
    if not begun:
        return {}
    sources = {source.exchange: source.price for source in published.sources if source.state in HEARD}
    return {one: Point(time_ms=one.step_of(now_ms), price=published.price, sources=sources) for one in begun}
