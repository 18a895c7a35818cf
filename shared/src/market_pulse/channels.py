"""The names of the bus: which message travels on which channel, and where its last value is kept. Pure: knows no Redis."""

from .messages import Resolution, Symbol

ALL_TICKS = "ticks:*"
ALL_STATUS = "status:*"
ALL_TICKERS = "ticker:*"
ALL_SYMBOLS = "symbols:*"


def ticks(exchange: str, symbol: Symbol) -> str:
    """Name the channel of one exchange's ticks of one symbol."""
    return f"ticks:{exchange}:{symbol}"


def ticker(symbol: Symbol) -> str:
    """Name the channel of one symbol's ticker. Subscribing to it is what makes the symbol stream."""
    return f"ticker:{symbol}"


def status(exchange: str) -> str:
    """Name the channel of one exchange's feed status."""
    return f"status:{exchange}"


def last(channel: str) -> str:
    """Name the key that keeps a channel's last message (or, of a pattern, all such keys)."""
    return f"last:{channel}"


def listing(exchange: str) -> str:
    """Name the set of the symbols that an exchange lists."""
    return f"symbols:{exchange}"


def history(resolution: Resolution, symbol: Symbol) -> str:
    """Name the stream that keeps a symbol's past prices."""
    return f"history:{resolution}:{symbol}"


def members(group: str) -> str:
    """Name the set of a group's members, and the channel on which each change of them is told."""
    return f"members:{group}"


def epoch(group: str) -> str:
    """Name the hash of a group's state."""
    return f"epoch:{group}"


def sequence(symbol: Symbol) -> str:
    """Name the counter of a symbol's ticker messages."""
    return f"seq:{symbol}"
