"""A feed's status, computed from the facts of one moment. No I/O."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from market_pulse.messages import MOST_TURNED_AWAY, FeedState, FeedStatus, Symbol, Tick
from market_pulse.process.logs import scrub

LONGEST_REASON = 300  # characters, because the error texts of exchanges and libraries may have any length
MOST_NAMED = 5  # native symbols in a reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A feed of tickers at one moment. Times are Unix milliseconds.

    Symbols are in the exchange's spelling unless stated otherwise.

    `phase` is the state of the feed's socket, since `since_ms`, with a reason. It is never `degraded`: `condition` derives that
    from missing or halted symbols. `simulated` is whether the latest socket that delivered led to the simulator.
    """

    exchange: str
    instance: str
    now_ms: int
    phase: FeedState
    phase_reason: str | None
    since_ms: int
    simulated: bool
    reconnects: int
    last_tick: Tick | None
    # How many symbols the feed should carry. The next four are subsets of them.
    wanted: int
    # The symbols that the socket in use has delivered.
    delivered: Collection[str]
    # The symbols that the exchange refuses.
    refused: Collection[str]
    # The symbols that were asked for too long ago and have not delivered.
    overdue: Collection[str]
    # The symbols whose messages are all rejected, because their numbers are lower than the known ones.
    held_back: Collection[str]
    # The symbols for which the exchange's numbers started again lately.
    anew: Collection[str]
    # The wanted symbols for which there is no room, the longest waiting first, in our spelling.
    turned_away: Sequence[Symbol]
    # Why the exchange says that symbols are halted; by None if it says that all of it is closed.
    halted: Mapping[str | None, str] = field(default_factory=dict)
    # In words, which kinds other than the ticker are missing. They do not change the state.
    lacking: Sequence[str] = ()


def condition(facts: Facts) -> tuple[FeedState, str | None]:
    """Return the state of a feed, and the reason for it if there is one. Secrets are removed from the reason."""
    state, reason = _condition(facts)
    if facts.lacking and state != "down":
        reason = "; ".join(one for one in (reason, *facts.lacking) if one)
    return state, reason and scrub(reason)[:LONGEST_REASON]


def _condition(facts: Facts) -> tuple[FeedState, str | None]:
    if facts.halted and facts.phase != "down":
        return "degraded", closed(facts.halted, facts.wanted)
    if facts.phase != "connected":
        return facts.phase, facts.phase_reason
    for lacking, what in (
        (facts.refused, "refused"),
        (facts.overdue, "without data"),
        (facts.held_back, "held back, numbered below what was known"),
    ):
        if lacking:
            return "degraded", f"{len(lacking)} of {facts.wanted} symbols {what}: {_named(lacking)}"
    notes = ["simulated prices"] if facts.simulated else []
    if facts.anew:
        notes.append(f"numbers or times began anew: {_named(facts.anew)}")
    return "connected", "; ".join(notes) or None


def closed(halted: Mapping[str | None, str], wanted: int) -> str:
    """Return in words what the exchange says about itself or about some of the wanted symbols. `halted` is not empty."""
    if None in halted:
        return f"closed by the exchange: {halted[None]}"
    natives = sorted(native for native in halted if native is not None)
    return f"{len(natives)} of {wanted} symbols halted by the exchange: {_named(natives)} ({halted[natives[0]]})"


def status_of(facts: Facts, before: FeedStatus | None = None) -> FeedStatus:
    """Return the status to publish.

    Args:
        facts: the feed at this moment.
        before: the status before; if its state was the same, its `since_ms` is kept.
    """
    state, reason = condition(facts)
    if before is None or facts.since_ms > before.since_ms:
        since_ms = facts.since_ms  # the feed has entered its phase since the status before
    else:
        since_ms = before.since_ms if state == before.state else facts.now_ms
    return FeedStatus(
        exchange=facts.exchange,
        state=state,
        reason=reason,
        since_ms=since_ms,
        symbols=len(facts.delivered) if facts.phase == "connected" else 0,
        last_tick_time_ms=facts.last_tick.received_time_ms if facts.last_tick else None,
        reconnects=facts.reconnects,
        instance=facts.instance,
        simulated=facts.simulated,
        turned_away=tuple(facts.turned_away[:MOST_TURNED_AWAY]),
        turned_away_count=len(facts.turned_away),
    )


def _named(natives: Collection[str]) -> str:
    return ", ".join(sorted(natives)[:MOST_NAMED])
