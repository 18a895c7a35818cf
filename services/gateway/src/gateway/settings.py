"""The gateway's settings, from the environment."""

import re
from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from market_pulse.process.addresses import read_node, read_url
from market_pulse.process.settings import BusSettings, ConversionSettings, Host, Port, Seconds, SymbolSettings

_KEY = re.compile(r"[A-Za-z0-9._~-]{16,200}")  # characters that need no escaping in a header or in a query


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _split_keys(value: Any) -> Any:
    return re.split(r"[\s,]+", value.strip(" ,\n")) if isinstance(value, str) else value


def _check_keys(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for key in keys:
        if not _KEY.fullmatch(key.get_secret_value()):
            raise ValueError("each key must be 16 to 200 letters, digits or any of - . _ ~")
    return keys


def _origins(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError("names no origin: give at least one, or * for any")
    return tuple(map(_origin, values))


def _origin(text: str) -> str:
    """Return an origin as browsers send it: in lower case, without a path, a default port or a slash at the end."""
    if text in {"*", "null"}:
        return text
    scheme, found, _ = text.lower().partition("://")
    if not found:
        raise ValueError("each is scheme://host[:port], for example https://example.org, or * for any")
    url = read_url(text.lower(), scheme)
    if url.user is not None or url.path not in {"", "/"} or url.query:
        raise ValueError("each is scheme://host[:port], without a path")
    default = {"https": 443, "http": 80}.get(scheme, 0)
    host, port = read_node(url.hosts, default)
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" if port == default else f"{scheme}://{shown}:{port}"


def _networks(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(ip_network(value)) for value in values)


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class GatewaySettings(BusSettings, ConversionSettings, SymbolSettings):
    """The variables that the gateway reads. Times are in seconds. Featured symbols come first on the page."""

    host: Host = "127.0.0.1"
    port: Port = 8000
    cors_origins: Annotated[CommaList, AfterValidator(_origins)] = ("*",)
    # Without keys anybody may read prices. With keys a client must send one of them. Never write them to a log line.
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split_keys), AfterValidator(_check_keys)] = ()
    trusted_proxies: Annotated[CommaList, AfterValidator(_networks)] = ()  # the proxies whose X-Forwarded-For is believed
    # How many symbols each ingest carries. Once room is short, one address gets at most a quarter of them.
    max_symbols: int = Field(default=200, ge=1, le=10_000)
    # How many symbols have candles that are not featured. The share of one address is a quarter of them too.
    max_candle_symbols: int = Field(default=50, ge=1, le=10_000)
    max_streams: int = Field(default=10_000, ge=1, le=1_000_000)
    max_streams_per_ip: int = Field(default=100, ge=1, le=1_000_000)
    max_answers: int = Field(default=1000, ge=1, le=1_000_000)  # open at the same time; streams do not count
    max_answers_per_ip: int = Field(default=100, ge=1, le=1_000_000)
    # The edge closes a stream that is silent for 60 s, so that two heartbeats must fit into this time.
    heartbeat_s: float = Field(default=15.0, ge=0.1, lt=30)
    stream_max_age_s: Seconds = 1800.0
    # If None, the cost of the flushes limits them. With less than one a second, prices renewed each second would look stale.
    max_flush_hz: Annotated[float, Field(ge=1, le=1000)] | None = None
    # A client is disconnected if it reads nothing of its stream for this time, or not all of another answer.
    slow_client_s: float = Field(default=30.0, ge=0.1, le=3600)
    # A stop takes twice this time: first the gateway is not ready, then it says goodbye to one stream after another.
    drain_s: float = Field(default=3.0, ge=0, le=60)
