"""Sample messages of the bus, and a way to age them."""

from market_pulse import kinds
from market_pulse.bus import keys
from market_pulse.messages import FeedStatus, Symbol, Tick
from support.samples import ticker
from support.whole_bus import WholeBus

BTC, ETH = Symbol("BTC-USDT"), Symbol("ETH-USDT")
TICK = Tick(exchange="okx", symbol=BTC, price=64000.5, exchange_time_ms=1, received_time_ms=2)
TICKER = ticker(seq=0, price=64000.5, quality="single")
STATUS = FeedStatus(
    exchange="okx", state="connected", reason=None, since_ms=1, symbols=4, last_tick_time_ms=2, reconnects=0, instance="a:1"
)


async def age_last(bus: WholeBus, symbol: Symbol, by_ms: int) -> None:
    """Make a symbol's last ticker as old as if it had been published `by_ms` ago."""
    await bus.client.pexpire(keys.last(kinds.TICKER.channel(symbol)), kinds.TICKER.expiry_s * 1000 - by_ms)
