"""Which markets in another quote also price a symbol, by the setting CONVERSIONS. No I/O.

`USDT:USD` converts prices in USDT to USD: the exchanges' BTC-USDT markets also price BTC-USD, at our own price of USDT-USD.
There is one step only: no rate is converted itself.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from .messages import Symbol, unique

OFF = "off"
"""The setting's value without any conversion. An empty value counts as unset, so it cannot say that."""
MOST_CONVERSIONS = 16
_CURRENCY = re.compile(r"[^\W_]{1,32}")


class Leg(NamedTuple):
    """Markets that price a symbol in another quote: BTC-USDT for BTC-USD. Their prices are multiplied by the rate, USDT-USD."""

    symbol: Symbol
    rate: Symbol


@dataclass(frozen=True)
class Conversions:
    """The conversions in the order of the setting, each as a pair: the currency that is converted, and the quote it becomes."""

    pairs: tuple[tuple[str, str], ...] = ()

    @cached_property
    def rates(self) -> frozenset[Symbol]:
        """The symbols whose tickers are the rates, for example USDT-USD."""
        return frozenset(Symbol(f"{currency}-{quote}") for currency, quote in self.pairs)

    def legs(self, symbol: Symbol) -> tuple[Leg, ...]:
        """Return the markets that also price a symbol: `BTC-USDT` at `USDT-USD` for BTC-USD, and no markets for USDT-USD."""
        base, _, quote = symbol.partition("-")
        if symbol in self.rates:
            return ()
        return tuple(
            Leg(Symbol(f"{base}-{currency}"), Symbol(f"{currency}-{quote}"))
            for currency, into in self.pairs
            if into == quote and currency != base
        )

    def parts(self, symbol: Symbol, listed: Container[Symbol]) -> tuple[Symbol, ...]:
        """Return the markets whose ticks an exchange contributes to a symbol's ticker, out of those that it lists.

        This is the symbol itself. By `USDT:USD`, an exchange without BTC-USD contributes BTC-USDT instead, and any exchange
        contributes the rate, USDT-USD.
        """
        legs = self.legs(symbol)
        if not legs:
            return (symbol,) if symbol in listed else ()
        markets = [symbol] if symbol in listed else [leg.symbol for leg in legs]
        return unique(part for part in (*markets, *(leg.rate for leg in legs)) if part in listed)

    def can_price(self, symbol: Symbol, listed: Container[Symbol]) -> bool:
        """Return whether a symbol can have a price, if these are all symbols that some exchange lists.

        It can if it is listed itself, or if a market that is converted and its rate are both listed.
        """
        return symbol in listed or any(leg.symbol in listed and leg.rate in listed for leg in self.legs(symbol))

    def unlisted(self, listed: Mapping[Symbol, object]) -> dict[Symbol, Leg]:
        """Return the symbols that are not listed and can have a price all the same, each with the first leg that prices it."""
        found: dict[Symbol, Leg] = {}
        for currency, quote in self.pairs:
            rate = Symbol(f"{currency}-{quote}")
            for market in listed if rate in listed else ():
                base, _, of = market.partition("-")
                symbol = Symbol(f"{base}-{quote}")
                if of == currency and base != quote and symbol not in listed and symbol not in self.rates:
                    found.setdefault(symbol, Leg(market, rate))
        return found


def parse_conversions(text: str) -> Conversions:
    """Read a comma-separated list of conversions, for example `USDT:USD,USDC:USD`, or `off`. Empty entries are ignored.

    Raises:
        ValueError: an entry is no conversion, there is no entry, or there are more than MOST_CONVERSIONS.
    """
    if text.strip().lower() == OFF:
        return Conversions()
    pairs = tuple(dict.fromkeys(_pair(part) for part in text.split(",") if part.strip()))
    if not pairs:
        raise ValueError(f"must name at least one conversion, for example USDT:USD, or be {OFF}")
    if len(pairs) > MOST_CONVERSIONS:
        raise ValueError(f"names {len(pairs)} conversions, and at most {MOST_CONVERSIONS} are possible")
    return Conversions(pairs)


def _pair(text: str) -> tuple[str, str]:
    currency, _, quote = text.strip().upper().partition(":")
    if not (_CURRENCY.fullmatch(currency) and _CURRENCY.fullmatch(quote)) or currency == quote:
        raise ValueError(f"{text.strip()[:40]!r} is not a conversion: write CURRENCY:QUOTE, for example USDT:USD")
    return currency, quote


DEFAULT_CONVERSIONS = parse_conversions("USDT:USD")
