"""Which symbols are mine to publish. One aggregator owns all of them; every copy follows all ticks all the same."""

from collections.abc import Callable

from market_pulse.model import Symbol

Owns = Callable[[Symbol], bool]
"""Says whether this process publishes a symbol's ticker right now. Must not wait."""


def owns_all(symbol: Symbol) -> bool:  # noqa: ARG001 - the answer for any symbol
    """Own every symbol: there is no other aggregator."""
    return True
