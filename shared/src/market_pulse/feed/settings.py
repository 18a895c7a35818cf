"""What every ingest reads from the environment."""

from typing import Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from market_pulse.model import Symbol
from market_pulse.settings import BusSettings, HealthSettings, SymbolList


class IngestSettings(BusSettings, HealthSettings):
    """WS_URL and REST_URL replace the exchange's own addresses; a WS_URL without a path gets the exchange's path."""

    symbols: SymbolList = (Symbol("BTC-USDT"), Symbol("ETH-USDT"), Symbol("SOL-USDT"), Symbol("BNB-USDT"))
    max_symbols: PositiveInt = 200
    symbol_grace_s: float = Field(default=60.0, ge=0)
    ws_url: str | None = Field(default=None, pattern=r"^wss?://.+")
    rest_url: str | None = Field(default=None, pattern=r"^https?://.+")
    max_connection_age_s: PositiveFloat | None = None
    blocked_retry_s: PositiveFloat = 300.0
    listing_refresh_s: PositiveFloat = 300.0
    quiet_symbol_s: PositiveFloat = 180.0

    @model_validator(mode="after")
    def _room_for_all(self) -> Self:
        if len(self.symbols) > self.max_symbols:
            raise ValueError(f"SYMBOLS names {len(self.symbols)} symbols, MAX_SYMBOLS allows {self.max_symbols}")
        return self
