"""The settings that every ingest reads from the environment."""

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from market_pulse.process.addresses import read_node, read_url
from market_pulse.process.settings import BusSettings, ConversionSettings, HealthSettings, Seconds, SymbolSettings


def _check_ws_url(text: str) -> str:
    url = read_url(text, "ws", "wss")
    read_node(url.hosts, 443)
    return text


def _check_rest_url(text: str) -> str:
    url = read_url(text, "http", "https")
    read_node(url.hosts, 443)
    if url.query:
        raise ValueError("must have no query (?): the exchange's paths are appended to it")
    return text


class IngestSettings(BusSettings, HealthSettings, ConversionSettings, SymbolSettings):
    """An ingest's settings.

    WS_URL and REST_URL replace the exchange's own URLs. If WS_URL has no path, the exchange's path is added.
    """

    max_symbols: int = Field(default=200, ge=1, le=10_000)
    symbol_grace_s: float = Field(default=60.0, ge=0, le=86_400)
    ws_url: Annotated[str, AfterValidator(_check_ws_url)] | None = None
    rest_url: Annotated[str, AfterValidator(_check_rest_url)] | None = None
    # The lower limits keep us from sending requests so often that an exchange takes them for an attack.
    max_connection_age_s: Annotated[Seconds, Field(ge=10)] | None = None
    blocked_retry_s: Annotated[Seconds, Field(ge=1)] = 300.0
    listing_refresh_s: Annotated[Seconds, Field(ge=10)] = 300.0
    quiet_symbol_s: Annotated[Seconds, Field(ge=10)] = 180.0

    @field_validator("max_symbols")
    @classmethod
    def _room_for_all(cls, max_symbols: int, others: ValidationInfo) -> int:
        always = len(others.data.get("symbols", ()))  # pydantic leaves out a field that is wrong itself
        if always > max_symbols:
            raise ValueError(f"must be at least {always}, the number of symbols in SYMBOLS")
        return max_symbols
