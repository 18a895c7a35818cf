"""The settings that every ingest reads from the environment."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_settings import NoDecode

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


def read_exchanges(text: str) -> tuple[str, ...]:
    """Return the exchanges that a list names, in small letters. An empty list means all exchanges.

    Raises:
        ValueError: a name has other characters than letters and digits.
    """
    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    for name in names:
        if not re.fullmatch("[a-z0-9]{1,40}", name):
            raise ValueError(f"{name[:40]!r} is not the name of an exchange")
    return names


def _read_exchanges(value: Any) -> Any:
    return read_exchanges(value) if isinstance(value, str) else value


class IngestSettings(BusSettings, HealthSettings, ConversionSettings, SymbolSettings):
    """An ingest's settings.

    EXCHANGES names the exchanges that are read. The ingest of any other exchange does nothing. If it is empty, all are read.
    WS_URL and REST_URL replace the exchange's own URLs. If WS_URL has no path, the exchange's path is added.
    """

    exchanges: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_read_exchanges)] = ()
    max_symbols: int = Field(default=200, ge=1, le=10_000)
    max_candle_symbols: int = Field(default=50, ge=1, le=1000)
    symbol_grace_s: float = Field(default=60.0, ge=0, le=86_400)
    ws_url: Annotated[str, AfterValidator(_check_ws_url)] | None = None
    rest_url: Annotated[str, AfterValidator(_check_rest_url)] | None = None
    # The lower limits keep us from sending requests so often that an exchange takes them for an attack.
    max_connection_age_s: Annotated[Seconds, Field(ge=10)] | None = None
    blocked_retry_s: Annotated[Seconds, Field(ge=1)] = 300.0
    listing_refresh_s: Annotated[Seconds, Field(ge=10)] = 300.0
    quiet_symbol_s: Annotated[Seconds, Field(ge=10)] = 180.0

    @field_validator("max_symbols", "max_candle_symbols")
    @classmethod
    def _room_for_all(cls, max_symbols: int, others: ValidationInfo) -> int:
        always = len(others.data.get("symbols", ()))  # pydantic leaves out a field that is wrong itself
        if always > max_symbols:
            raise ValueError(f"must be at least {always}, the number of symbols in SYMBOLS")
        return max_symbols
