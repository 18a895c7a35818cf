"""The methodology's parameters and their defaults."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The methodology's parameters. Shares are fractions of the median (0.005 is 0.5 %), times are seconds.

    A source whose price is within `clamp` of the median counts in full, and no source's price counts as further away than that.
    A source counts less the further it is beyond `clamp`, and not at all from `exclusion` on. A silent source counts in full up
    to `soft_age_s`, then less and less, and not at all from `hard_age_s` on. `max_lag_s` is how far an exchange's clock may be
    from the clock that received its tick. `volume_carry_s` is how long a silent source's 24 h volume still counts. `hold_s` is
    how long the last price is held if there is no source, and how long the last agreed price may decide between two sides.
    """

    clamp: float = 0.005
    exclusion: float = 0.03
    soft_age_s: float = 10.0
    hard_age_s: float = 60.0
    max_lag_s: float = 5.0
    volume_carry_s: float = 900.0
    hold_s: float = 60.0
