"""The simulator's settings, from the environment."""

from pydantic import Field

from market_pulse.settings import Settings as CommonSettings


class Settings(CommonSettings):
    """Where it listens, how much happens, and the exchanges' own times."""

    host: str = "127.0.0.1"
    port: int = Field(default=9000, ge=0, le=65535)
    seed: int = 1
    rate: float = Field(default=300.0, ge=0, le=200_000)  # market events per second, over all symbols and exchanges
    binance_max_age_s: float = Field(default=86_400.0, gt=0)
    binance_ping_every_s: float = Field(default=20.0, gt=0)
    binance_pong_within_s: float = Field(default=60.0, gt=0)
    okx_idle_s: float = Field(default=30.0, gt=0)
