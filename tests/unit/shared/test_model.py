"""The spellings of symbols that users may write."""

import pytest

from market_pulse.messages import parse_currency, parse_symbol, parse_symbols


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        pytest.param("BTC", "BTC-USDT", id="no quote means USDT"),
        pytest.param(" btc ", "BTC-USDT", id="case and blanks do not matter"),
        pytest.param("eth-btc", "ETH-BTC", id="a quote is kept"),
        pytest.param("1000SATS-USDT", "1000SATS-USDT", id="digits"),
        pytest.param("币安人生", "币安人生-USDT", id="names beyond ASCII exist"),
    ],
)
def test_parse_symbol(text: str, symbol: str) -> None:
    assert parse_symbol(text) == symbol


def test_a_symbol_without_a_quote_is_in_the_quote_given() -> None:
    assert parse_symbol("btc", "USD") == "BTC-USD"
    assert parse_symbol("btc-usdt", "USD") == "BTC-USDT"
    assert parse_symbols("eth,BTC,btc-usd", "USD") == ("ETH-USD", "BTC-USD")


def test_parse_currency() -> None:
    assert parse_currency(" usd ") == "USD"


@pytest.mark.parametrize("text", ["", " ", "US-D", "US D", "U_S", "A" * 33])
def test_no_currency(text: str) -> None:
    with pytest.raises(ValueError, match="is not a currency"):
        parse_currency(text)


@pytest.mark.parametrize("text", ["", "-", "BTC-", "-USDT", "A-B-C", "BTC USDT", "BTC/USDT", "*", "A" * 40, "../x", "ticker:*"])
def test_no_symbol(text: str) -> None:
    with pytest.raises(ValueError, match="is not a symbol"):
        parse_symbol(text)


def test_parse_symbols_keeps_order_and_each_once() -> None:
    assert parse_symbols("ETH, btc,,BTC-USDT") == ("ETH-USDT", "BTC-USDT")
