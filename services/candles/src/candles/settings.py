"""The settings of the candle maker: Redis, the featured symbols, and how many symbols may have candles."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from market_pulse.process.settings import BusSettings, HealthSettings, SymbolSettings


class CandlesSettings(BusSettings, HealthSettings, SymbolSettings):
    """The candle maker's settings. `symbol_grace_s` is in seconds."""

    symbol_grace_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    max_candle_symbols: int = Field(default=50, ge=1, le=1000, validate_default=True)

    @field_validator("max_candle_symbols")
    @classmethod
    def _hold_the_featured(cls, most: int, others: ValidationInfo) -> int:
        featured = len(others.data.get("symbols", ()))
        if most < featured:
            raise ValueError(f"must be at least {featured}: SYMBOLS names as many, and they always have candles")
        return most
