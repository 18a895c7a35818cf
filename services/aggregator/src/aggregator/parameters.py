"""The methodology's parameters, as a value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The methodology's parameters. Shares are fractions of the median (0.005 is 0.5 %), times are seconds.

    `clamp`: up to this far from the median a source counts in full, and no price pulls further. `exclusion`: from here on a
    source does not count; between the two it counts less and less. Up to `soft_age_s` a silent source counts in full, from
    `hard_age_s` on not at all. `max_lag_s`: how far an exchange's clock may be from the clock that received its tick.
    `volume_carry_s`: how long a silent source's 24 h volume still counts. `hold_s`: how long the last price is held when there
    is no source, and for how long the last agreed price may decide between two sides.
    """

    clamp: float = 0.005
    exclusion: float = 0.03
    soft_age_s: float = 10.0
    hard_age_s: float = 60.0
    max_lag_s: float = 5.0
    volume_carry_s: float = 900.0
    hold_s: float = 60.0
