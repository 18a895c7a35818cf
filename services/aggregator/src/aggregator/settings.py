"""The aggregator's settings: Redis, the publishing rate, and the methodology's parameters."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from market_pulse.process.settings import BusSettings, ConversionSettings, HealthSettings

from .parameters import Parameters

Share = Annotated[float, Field(gt=0, lt=0.5)]
Seconds = Annotated[float, Field(ge=0.1, le=86_400)]
DEFAULTS = Parameters()


class AggregatorSettings(BusSettings, HealthSettings, ConversionSettings):
    """An aggregator's settings. Shares are fractions (0.005 is 0.5 %), times are seconds. See docs/methodology.md."""

    max_rate_hz: float = Field(default=50.0, ge=1, le=1000)  # below 1, heartbeats would be more frequent than changes
    clamp: Share = DEFAULTS.clamp
    exclusion: Share = DEFAULTS.exclusion
    soft_age_s: Seconds = DEFAULTS.soft_age_s
    hard_age_s: Seconds = DEFAULTS.hard_age_s
    max_lag_s: Seconds = DEFAULTS.max_lag_s
    volume_carry_s: Seconds = DEFAULTS.volume_carry_s
    hold_s: Seconds = DEFAULTS.hold_s
    max_aggregated_symbols: int = Field(default=5000, ge=1, le=100_000)

    @field_validator("exclusion")
    @classmethod
    def _exclude_beyond_the_clamp(cls, exclusion: float, others: ValidationInfo) -> float:
        clamp = others.data.get("clamp")
        if clamp is not None and exclusion <= clamp:
            raise ValueError(f"must be above CLAMP ({clamp}): a price within the clamp must not be excluded")
        return exclusion

    @field_validator("hard_age_s")
    @classmethod
    def _fade_before_dropping(cls, hard_age_s: float, others: ValidationInfo) -> float:
        soft_age_s = others.data.get("soft_age_s")
        if soft_age_s is not None and hard_age_s <= soft_age_s:
            raise ValueError(f"must be above SOFT_AGE_S ({soft_age_s}): a source fades between the two")
        return hard_age_s

    @property
    def parameters(self) -> Parameters:
        """The methodology's parameters, as one value."""
        return Parameters(
            clamp=self.clamp,
            exclusion=self.exclusion,
            soft_age_s=self.soft_age_s,
            hard_age_s=self.hard_age_s,
            max_lag_s=self.max_lag_s,
            volume_carry_s=self.volume_carry_s,
            hold_s=self.hold_s,
        )
