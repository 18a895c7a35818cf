"""Which points are added to a symbol's history, and when. No I/O: time is an argument, in Unix milliseconds."""

from market_pulse.messages import LIVE, Point, Resolution, Ticker

FRESH_MS = 2_000
"""A running publisher repeats each ticker every second. So an older ticker than this does not have the present price."""
HEARD = frozenset({"used", "fading", "excluded"})  # the states of sources whose price is recorded


def points_due(published: Ticker, recorded_ms: int | None, now_ms: int) -> dict[Resolution, Point]:
    """Return the points to add to a symbol's history now: one for each resolution of which a new step has begun.

    Args:
        published: the last published ticker. If its price is not fresh and live, nothing is due.
        recorded_ms: when points of this symbol were last added; None: never.
        now_ms: the present time.
    """
    if published.price is None or published.quality not in LIVE:
        return {}
    if now_ms - published.aggregated_time_ms > FRESH_MS:
        return {}
    begun = [one for one in Resolution if recorded_ms is None or one.step_of(recorded_ms) != one.step_of(now_ms)]
    if not begun:
        return {}
    sources = {source.exchange: source.price for source in published.sources if source.price and source.state in HEARD}
    return {one: Point(time_ms=one.step_of(now_ms), price=published.price, sources=sources) for one in begun}
