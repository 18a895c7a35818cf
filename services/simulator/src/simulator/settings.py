"""The simulator's settings, from the environment."""

from pydantic import Field

from market_pulse.process.settings import Host, Port, Seconds
from market_pulse.process.settings import Settings as CommonSettings


class Settings(CommonSettings):
    """The address to listen on, the rate and seed of the market, and the exchanges' own time limits."""

    host: Host = "127.0.0.1"
    port: Port = 9000
    seed: int = 1
    rate: float = Field(default=300.0, ge=0, le=200_000)  # market events per second, over all symbols and exchanges
    binance_max_age_s: Seconds = 86_400.0
    binance_ping_every_s: Seconds = 20.0
    binance_pong_within_s: Seconds = 60.0
    okx_idle_s: Seconds = 30.0
    coinbase_first_request_s: Seconds = 5.0
    kraken_idle_s: Seconds = 60.0
    cryptocom_heartbeat_every_s: Seconds = 30.0
