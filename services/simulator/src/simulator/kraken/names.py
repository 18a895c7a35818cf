"""Kraken's two vocabularies: the current names (BTC/USD), and the old ones of its REST API (XXBTZUSD, XBTUSD, XBT/USD)."""

from dataclasses import dataclass
from typing import Final

_RENAMED: Final = {"BTC": "XBT", "DOGE": "XDG"}
# The first coins and currencies have a prefix in their codes.
_PREFIXED: Final = frozenset({"XBT", "XDG", "ETH", "ETC", "LTC", "XRP", "XLM", "XMR", "ZEC", "MLN", "REP"})
_CURRENCIES: Final = frozenset({"USD", "EUR", "GBP", "CAD", "JPY"})
# Pairs of two such codes are named by them, but Dogecoin's are not. This pair is another exception.
_KEYS: Final = {"USDTUSD": "USDTZUSD"}


@dataclass(frozen=True, slots=True)
class OldNames:
    """A pair's names in the old vocabulary: the key of REST answers, the short name, that of WebSocket v1, and both codes."""

    key: str
    altname: str
    wsname: str
    base: str
    quote: str


def old_names(base: str, quote: str) -> OldNames:
    """Return a pair's old names. `base` and `quote` are the current ones."""
    short, short_quote = _RENAMED.get(base, base), _RENAMED.get(quote, quote)
    code, quote_code = _code(short), _code(short_quote)
    altname = short + short_quote
    is_prefixed = code != short and quote_code != short_quote and short != "XDG"
    key = code + quote_code if is_prefixed else _KEYS.get(altname, altname)
    return OldNames(key, altname, f"{short}/{short_quote}", code, quote_code)


def _code(name: str) -> str:
    if name in _CURRENCIES:
        return f"Z{name}"
    return f"X{name}" if name in _PREFIXED else name
