"""What the methodology is given and what it hands back: its parameters, and a result. Values only."""

from dataclasses import dataclass

from market_pulse.model import Quality, Source, Ticker


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The methodology's parameters. Shares are fractions of the median (0.005 is 0.5 %), times are seconds.

    `clamp`: how far from the median a price may pull. `exclusion`: beyond this a source is left out. Up to `soft_age_s` a
    silent source counts in full, from `hard_age_s` on not at all. `max_lag_s`: how far an exchange's clock may be from the
    clock that received its tick. `volume_carry_s`: how long a silent source's 24 h volume still counts. `hold_s`: how long
    the last good price is held when there is no source.
    """

    clamp: float = 0.005
    exclusion: float = 0.03
    soft_age_s: float = 10.0
    hard_age_s: float = 60.0
    max_lag_s: float = 5.0
    volume_carry_s: float = 900.0
    hold_s: float = 60.0

    @property
    def readmission(self) -> float:
        """How near to the median an excluded source must come to be used again: half the exclusion bound."""
        return self.exclusion / 2


@dataclass(slots=True)
class Result:
    """One symbol's price at one moment, not yet rounded: made once, never changed.

    `flags` names the exchanges that are excluded until they come back, which the next call needs to know. `clock_skew` is
    true when every fresh source's clock is off in the same direction, so that ours is the likely culprit. The other fields
    are those of the ticker.
    """

    price: float | None
    quality: Quality
    confidence: float | None
    spread_bps: float | None
    open24h: float | None
    change24h: float | None
    change_percent24h: float | None
    high24h: float | None
    low24h: float | None
    bid: float | None
    ask: float | None
    volume24h: float | None
    quote_volume24h: float | None
    sources: tuple[Source, ...]
    sources_used: int
    exchange_time_ms: int | None
    received_time_ms: int | None
    aggregated_time_ms: int
    flags: frozenset[str]
    clock_skew: bool


LastGood = Result | Ticker
"""The last one of quality ok, single or disputed: what is held when there is no source."""
