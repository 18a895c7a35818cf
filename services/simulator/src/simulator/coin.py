"""The value of one coin or currency in USD: a random walk around its usual value.

Pure: times are passed in, in Unix milliseconds.
"""

import math
import random

from .catalogue import CURRENCIES
from .past import DRIFT, Path

# A shock fades over hours, so that prices stay plausible over days. A currency is back within the hour.
REVERSION_PER_S, CURRENCY_REVERSION_PER_S = 1 / 21_600, 1 / 1800
CURRENCY_VOLATILITY = 2e-6  # with that reversion, it keeps a currency within two basis points of its usual value


class Coin:
    """A coin's price in USD: an Ornstein-Uhlenbeck walk of its logarithm around an anchor. The price of USD is always 1."""

    __slots__ = ("anchor", "log_price", "path", "reversion_per_s", "stepped_ms", "volatility")

    def __init__(self, name: str, usual_price: float, now_ms: int, rng: random.Random, seed: int) -> None:
        is_currency = name in CURRENCIES
        self.reversion_per_s = CURRENCY_REVERSION_PER_S if is_currency else REVERSION_PER_S
        usual = CURRENCY_VOLATILITY if is_currency else rng.uniform(1.2e-4, 2.2e-4)
        self.volatility = 0.0 if name == "USD" else usual
        self.anchor = math.log(usual_price)
        self.log_price = self.anchor + rng.gauss(0.0, self.volatility / math.sqrt(2 * self.reversion_per_s))
        self.stepped_ms = now_ms
        drift = 0.0 if is_currency else DRIFT
        self.path = Path(f"{seed}/{name}", self.log_price, self.anchor, self.volatility, self.reversion_per_s, now_ms, drift)

    @property
    def price(self) -> float:
        """The price in USD."""
        return math.exp(self.log_price)

    def step(self, now_ms: int, rng: random.Random) -> None:
        """Walk from the last step to `now_ms`."""
        elapsed_s = (now_ms - self.stepped_ms) / 1000
        if elapsed_s <= 0 or not self.volatility:
            return
        self.stepped_ms = now_ms
        kept = math.exp(-self.reversion_per_s * elapsed_s)
        spread = self.volatility * math.sqrt((1 - kept * kept) / (2 * self.reversion_per_s))
        self.log_price = self.anchor + (self.log_price - self.anchor) * kept + rng.gauss(0.0, spread)

    def move(self, price: float) -> None:
        """Set the price, and the anchor to which it reverts."""
        self.anchor = self.log_price = math.log(price)
