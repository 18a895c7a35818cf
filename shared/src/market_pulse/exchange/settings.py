"""What every ingest reads from the environment."""

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from market_pulse.messages import Symbol
from market_pulse.process.addresses import read_node, read_url
from market_pulse.process.settings import BusSettings, HealthSettings, Seconds, SymbolList


def _check_ws_url(text: str) -> str:
    url = read_url(text, "ws", "wss")
    read_node(url.hosts, 443)
    return text


def _check_rest_url(text: str) -> str:
    url = read_url(text, "http", "https")
    read_node(url.hosts, 443)
    if url.query:
        raise ValueError("is followed by the exchange's own paths, so it has no ? in it")
    return text


class IngestSettings(BusSettings, HealthSettings):
    """WS_URL and REST_URL replace the exchange's own addresses; a WS_URL without a path gets the exchange's path."""

    symbols: SymbolList = (Symbol("BTC-USDT"), Symbol("ETH-USDT"), Symbol("SOL-USDT"), Symbol("BNB-USDT"))
    max_symbols: int = Field(default=200, ge=1, le=10_000)
    symbol_grace_s: float = Field(default=60.0, ge=0, le=86_400)
    ws_url: Annotated[str, AfterValidator(_check_ws_url)] | None = None
    rest_url: Annotated[str, AfterValidator(_check_rest_url)] | None = None
    # What an exchange is asked for again and again: more often than this it would take us for an attack.
    max_connection_age_s: Annotated[Seconds, Field(ge=10)] | None = None
    blocked_retry_s: Annotated[Seconds, Field(ge=1)] = 300.0
    listing_refresh_s: Annotated[Seconds, Field(ge=10)] = 300.0
    quiet_symbol_s: Annotated[Seconds, Field(ge=10)] = 180.0

    @field_validator("max_symbols")
    @classmethod
    def _room_for_all(cls, max_symbols: int, others: ValidationInfo) -> int:
        always = len(others.data.get("symbols", ()))  # not there where they are wrong themselves
        if always > max_symbols:
            raise ValueError(f"must be at least {always}: so many symbols are in SYMBOLS")
        return max_symbols
