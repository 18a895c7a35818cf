"""The facts of a healthy feed."""

from market_pulse.exchange.status import Facts

CONNECTED = Facts(
    exchange="okx",
    instance="host:1",
    now_ms=9_000,
    phase="connected",
    phase_reason=None,
    since_ms=1_000,
    simulated=False,
    reconnects=2,
    last_tick=None,
    wanted=6,
    delivered={"BTC-USDT", "ETH-USDT"},
    refused=(),
    overdue=(),
    held_back=(),
    anew=(),
    turned_away=(),
)
