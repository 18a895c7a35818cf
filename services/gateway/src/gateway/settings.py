"""The gateway's settings, from the environment."""

import re
from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import NoDecode

from market_pulse.model import parse_symbols
from market_pulse.settings import BusSettings, SymbolList

_KEY = re.compile(r"[A-Za-z0-9._~-]{16,200}")  # means itself in a header and in a query


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _split_keys(value: Any) -> Any:
    return re.split(r"[\s,]+", value.strip(" ,\n")) if isinstance(value, str) else value


def _check_keys(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for key in keys:
        if not _KEY.fullmatch(key.get_secret_value()):
            raise ValueError("each key must be 16 to 200 letters, digits or any of - . _ ~")
    return keys


def _networks(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(ip_network(value)) for value in values)


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class GatewaySettings(BusSettings):
    """What the gateway reads. Times are in seconds."""

    symbols: SymbolList = parse_symbols("BTC,ETH,SOL,BNB")  # featured: always subscribed, first on the page
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)  # 0: any free one
    cors_origins: CommaList = ("*",)
    # What opens the data, if anything: none is needed where there are none. Never in a log line.
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split_keys), AfterValidator(_check_keys)] = ()
    trusted_proxies: Annotated[CommaList, AfterValidator(_networks)] = ()  # whose X-Forwarded-For is believed
    max_symbols: PositiveInt = 200  # what each ingest carries: one address gets a quarter of it once room is short
    max_streams: PositiveInt = 10_000
    max_streams_per_ip: PositiveInt = 100
    heartbeat_s: PositiveFloat = 15.0
    stream_max_age_s: PositiveFloat = 1800.0
    max_flush_hz: PositiveFloat | None = None  # None: as often as flushes are cheap
    slow_client_s: PositiveFloat = 30.0  # a client that reads nothing for so long is cut
    drain_s: float = Field(default=3.0, ge=0, le=60)  # twice at a stop: unready first, then the goodbyes spread over it
