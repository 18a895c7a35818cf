"""Which conversions CONVERSIONS names, and which markets and rates a symbol's price needs by them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_pulse.conversions import DEFAULT_CONVERSIONS, Conversions, Leg, parse_conversions
from market_pulse.messages import Symbol
from market_pulse.process.settings import ConversionSettings, load_settings


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        pytest.param("USDT:USD", (("USDT", "USD"),), id="one"),
        pytest.param(" usdt:usd , USDC:USD,,usdt:USD", (("USDT", "USD"), ("USDC", "USD")), id="two, one of them twice"),
        pytest.param("off", (), id="off"),
        pytest.param(" OFF ", (), id="off, in capitals"),
    ],
)
def test_parse(text: str, pairs: tuple[tuple[str, str], ...]) -> None:
    assert parse_conversions(text).pairs == pairs


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "at least one"),
        (",", "at least one"),
        ("USDT", "'USDT' is not a conversion"),
        ("USDT-USD", "not a conversion"),
        ("USDT:", "not a conversion"),
        (":USD", "not a conversion"),
        ("USDT:USD:EUR", "not a conversion"),
        ("USDT: USD", "not a conversion"),
        ("USD:usd", "not a conversion"),
        ("US*:USD", "not a conversion"),
        (",".join(f"C{n}:USD" for n in range(17)), "names 17 conversions"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_conversions(text)


@pytest.mark.parametrize(
    ("conversions", "symbol", "legs"),
    [
        pytest.param("USDT:USD", "BTC-USD", [("BTC-USDT", "USDT-USD")], id="converted"),
        pytest.param("USDT:USD", "BTC-USDT", [], id="another quote"),
        pytest.param("USDT:USD", "USDT-USD", [], id="the rate itself"),
        pytest.param("USDT:USD", "USDC-USD", [("USDC-USDT", "USDT-USD")], id="a currency that is no rate here"),
        pytest.param("USDT:USD,USDC:USD", "USDC-USD", [], id="a rate is not converted, not even by another rate"),
        pytest.param("USDC:USD,USDT:USD", "BTC-USD", [("BTC-USDC", "USDC-USD"), ("BTC-USDT", "USDT-USD")], id="in this order"),
        pytest.param("USDT:USD,USD:EUR", "BTC-EUR", [("BTC-USD", "USD-EUR")], id="one step, no chain"),
        pytest.param("off", "BTC-USD", [], id="off"),
    ],
)
def test_legs(conversions: str, symbol: str, legs: list[tuple[str, str]]) -> None:
    assert parse_conversions(conversions).legs(Symbol(symbol)) == tuple(Leg(Symbol(leg), Symbol(rate)) for leg, rate in legs)


def test_the_setting(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("CONVERSIONS", raising=False)
    assert load_settings(ConversionSettings).conversions == DEFAULT_CONVERSIONS
    monkeypatch.setenv("CONVERSIONS", "")
    assert load_settings(ConversionSettings).conversions.rates == {"USDT-USD"}
    monkeypatch.setenv("CONVERSIONS", "usdc:usd")
    assert load_settings(ConversionSettings).conversions.pairs == (("USDC", "USD"),)
    monkeypatch.setenv("CONVERSIONS", "USDC")
    with pytest.raises(SystemExit):
        load_settings(ConversionSettings)
    assert capsys.readouterr().err.startswith("configuration: CONVERSIONS: 'USDC' is not a conversion")


USDT, BOTH, NO = parse_conversions("USDT:USD"), parse_conversions("USDT:USD,USDC:USD"), parse_conversions("off")
KRAKEN = {"BTC-USD", "BTC-USDT", "BTC-USDC", "USDT-USD", "USDC-USD", "ETH-USD"}
OKX = {"BTC-USDT", "BTC-USDC", "ETH-USDT", "USDC-USDT"}


@pytest.mark.parametrize(
    ("wanted", "conversions", "listed", "parts"),
    [
        pytest.param("BTC-USD", USDT, KRAKEN, ["BTC-USD", "USDT-USD"], id="the market itself, and the rate"),
        pytest.param("BTC-USD", USDT, OKX, ["BTC-USDT"], id="only the market that is converted"),
        pytest.param("BTC-USD", BOTH, OKX, ["BTC-USDT", "BTC-USDC"], id="two that are converted"),
        pytest.param("BTC-USD", BOTH, KRAKEN, ["BTC-USD", "USDT-USD", "USDC-USD"], id="two rates"),
        pytest.param("DOGE-USD", USDT, KRAKEN, ["USDT-USD"], id="only the rate: DOGE-USDT is at other exchanges"),
        pytest.param("BTC-USD", NO, KRAKEN, ["BTC-USD"], id="no conversion"),
        pytest.param("BTC-USD", NO, OKX, [], id="no conversion, and not listed"),
        pytest.param("BTC-USDT", USDT, KRAKEN, ["BTC-USDT"], id="not the quote that is converted into"),
        pytest.param("USDT-USD", USDT, KRAKEN, ["USDT-USD"], id="a rate needs only itself"),
        pytest.param("USDC-USD", USDT, OKX, ["USDC-USDT"], id="not a rate here, so converted"),
        pytest.param("USDC-USD", BOTH, OKX, [], id="a rate is never converted"),
    ],
)
def test_parts(wanted: str, conversions: Conversions, listed: set[str], parts: list[str]) -> None:
    assert list(conversions.parts(Symbol(wanted), {Symbol(one) for one in listed})) == parts


@pytest.mark.parametrize(
    ("wanted", "conversions", "listed", "expected"),
    [
        pytest.param("BTC-USD", NO, {"BTC-USD"}, True, id="listed"),
        pytest.param("BTC-USD", USDT, {"BTC-USDT", "USDT-USD"}, True, id="converted"),
        pytest.param("BTC-USD", USDT, {"BTC-USDT"}, False, id="no rate"),
        pytest.param("BTC-USD", USDT, {"ETH-USDT", "USDT-USD"}, False, id="no market"),
        pytest.param("BTC-USD", BOTH, {"BTC-USDT", "USDC-USD"}, False, id="a market, and another rate"),
        pytest.param("BTC-USD", NO, {"BTC-USDT", "USDT-USD"}, False, id="no conversion"),
    ],
)
def test_can_price(wanted: str, conversions: Conversions, listed: set[str], expected: bool) -> None:
    assert conversions.can_price(Symbol(wanted), {Symbol(one) for one in listed}) is expected


CURRENCIES = st.sampled_from(["BTC", "USDT", "USDC", "USD", "EUR"])
PAIRS = st.lists(st.tuples(CURRENCIES, CURRENCIES).filter(lambda pair: pair[0] != pair[1]), max_size=8, unique=True)


@given(PAIRS, CURRENCIES, CURRENCIES)
def test_no_setting_makes_a_chain_or_a_cycle(pairs: list[tuple[str, str]], base: str, quote: str) -> None:
    """A rate is never converted itself, so no price is made of itself."""
    conversions = Conversions(tuple(pairs))
    symbol = Symbol(f"{base}-{quote}")
    for leg in conversions.legs(symbol):
        assert leg.rate in conversions.rates
        assert conversions.legs(leg.rate) == ()
        assert symbol not in {leg.symbol, leg.rate}
        assert leg.symbol.partition("-")[0] == base
        assert leg.rate.partition("-")[2] == quote


def test_unlisted() -> None:
    names = "BTC-USD BTC-USDT PEPE-USDT USD-USDT USDT-USD USDC-USD SOL-USDC PEPE-USDC"
    listed = dict.fromkeys(map(Symbol, names.split()))
    both = parse_conversions("USDT:USD,USDC:USD")
    assert both.unlisted(listed) == {"PEPE-USD": ("PEPE-USDT", "USDT-USD"), "SOL-USD": ("SOL-USDC", "USDC-USD")}
    assert all(both.can_price(symbol, listed) for symbol in both.unlisted(listed))
    del listed[Symbol("USDT-USD")]
    assert both.unlisted(listed) == {"PEPE-USD": ("PEPE-USDC", "USDC-USD"), "SOL-USD": ("SOL-USDC", "USDC-USD")}
    assert parse_conversions("off").unlisted(listed) == {}
