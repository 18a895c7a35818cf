"""How a feed is doing: pure functions of the facts of one moment."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from market_pulse.messages import MOST_TURNED_AWAY, FeedState, FeedStatus, Symbol, Tick
from market_pulse.process.logs import scrub

LONGEST_REASON = 300  # characters: exchanges and libraries put texts of any length into a failure
MOST_NAMED = 5  # native symbols


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A feed at one moment. Times are Unix milliseconds, symbols the exchange's own spellings.

    The feed itself says how far it is with its sockets: `phase` since `since_ms`, and the reason for it. The phase is never
    `degraded`: that follows from missing symbols. `simulated`: the other end of its latest socket was the simulator.
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
    # Of the symbols that the feed should carry: how many they are, and those that the socket in use has delivered, that the
    # exchange refuses, that have not come for too long, and those all of whose messages are numbered below what was known.
    wanted: int
    delivered: Collection[str]
    refused: Collection[str]
    overdue: Collection[str]
    held_back: Collection[str]
    # The symbols of which the exchange's numbers began anew lately.
    anew: Collection[str]
    # The symbols that are wanted and found no room, the longest waiting first, in our spelling.
    turned_away: Sequence[Symbol]


def condition(facts: Facts) -> tuple[FeedState, str | None]:
    """Return the state of a feed, and the reason for it where there is one to tell, without secrets."""
    state, reason = _condition(facts)
    return state, reason and scrub(reason)[:LONGEST_REASON]


def _condition(facts: Facts) -> tuple[FeedState, str | None]:
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


def status_of(facts: Facts, before: FeedStatus | None = None) -> FeedStatus:
    """Return the status to publish.

    Args:
        facts: those of this moment.
        before: the status of the moment before, which tells since when the state has been what it is.
    """
    state, reason = condition(facts)
    if before is None or facts.since_ms > before.since_ms:
        since_ms = facts.since_ms  # the feed has entered its phase since then
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
