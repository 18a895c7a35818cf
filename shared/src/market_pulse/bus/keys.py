"""The names of keys in Redis. Beside the last messages they hold listings, histories, counters and the group of aggregators."""

from market_pulse.messages import Resolution, Symbol

MEMBERS = "members:aggregator"
"""The set of the group's members, and the channel on which each change of them is announced."""
EPOCH = "epoch:aggregator"
"""The hash of the group's state."""


def last(channel: str) -> str:
    """Name the key that keeps a channel's last message (or, of a pattern, all such keys)."""
    return f"last:{channel}"


def listing(exchange: str) -> str:
    """Name the set of the symbols that an exchange lists (or, of `*`, all such sets)."""
    return f"symbols:{exchange}"


def history(resolution: Resolution, symbol: Symbol) -> str:
    """Name the stream that keeps a symbol's past prices."""
    return f"history:{resolution}:{symbol}"


def sequence(symbol: Symbol) -> str:
    """Name the counter of a symbol's ticker messages."""
    return f"seq:{symbol}"
