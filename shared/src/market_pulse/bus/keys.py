"""The names of all keys in Redis: last messages, listings, histories, counters, and the group of aggregators."""

from market_pulse.messages import Interval, Resolution, Symbol

MEMBERS = "members:aggregator"
"""The sorted set of the group's members. Each change of it is published on the channel of the same name."""
EPOCH = "epoch:aggregator"
"""The hash with the group's epoch, and the time since when this server has known the group."""


def last(channel: str) -> str:
    """Return the key of a channel's last message. For a pattern of channels, return the pattern of these keys."""
    return f"last:{channel}"


def listing(exchange: str) -> str:
    """Return the key of the set of symbols that an exchange lists. For `*`, return the pattern of these keys."""
    return f"symbols:{exchange}"


def history(resolution: Resolution, symbol: Symbol) -> str:
    """Return the key of the stream that holds a symbol's past prices."""
    return f"history:{resolution}:{symbol}"


def bars(interval: Interval, symbol: Symbol, exchange: str | None = None) -> str:
    """Return the key of the sorted set that holds a symbol's past candles: an exchange's, or ours if no exchange is given."""
    return f"bar:{interval}:{symbol}" if exchange is None else f"bars:{interval}:{exchange}:{symbol}"


def sequence(symbol: Symbol) -> str:
    """Return the key of the counter from which a symbol's tickers get their `seq`."""
    return f"seq:{symbol}"
