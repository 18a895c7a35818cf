"""Wrong values are refused at start. The message names the variable and contains no password."""

import pytest

from market_pulse.process.settings import EXIT_BAD_CONFIGURATION, BusSettings, SymbolSettings, load_settings


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "rediss://u:p@h:1/2",
        "unix:///tmp/redis.sock",
        "redis+sentinel://a:1,b:2/main",
        "redis+sentinel://u:p@a:1/main/3",
    ],
)
def test_redis_urls(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    assert load_settings(BusSettings).redis_url.get_secret_value() == url


@pytest.mark.parametrize("url", ["http://secret@h", "localhost:6379", "redis+sentinel://secret", "redis://"])
def test_a_wrong_redis_url(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(SystemExit) as ended:
        load_settings(BusSettings)
    assert ended.value.code == EXIT_BAD_CONFIGURATION
    told = capsys.readouterr().err
    assert "REDIS_URL" in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("quote", "symbols", "expected"),
    [
        pytest.param(None, None, ("BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT"), id="the default"),
        pytest.param("usd", None, ("BTC-USD", "ETH-USD", "SOL-USD", "BNB-USD"), id="the default in another quote"),
        pytest.param("USD", "btc,ETH-BTC,DOGE-USDT", ("BTC-USD", "ETH-BTC", "DOGE-USDT"), id="a quote that is given stays"),
    ],
)
def test_featured_symbols(
    monkeypatch: pytest.MonkeyPatch, quote: str | None, symbols: str | None, expected: tuple[str, ...]
) -> None:
    for name, value in (("QUOTE", quote), ("SYMBOLS", symbols)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert load_settings(SymbolSettings).symbols == expected


def test_a_wrong_quote(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("QUOTE", "US-D")
    with pytest.raises(SystemExit):
        load_settings(SymbolSettings)
    assert capsys.readouterr().err.startswith("configuration: QUOTE: 'US-D' is not a currency")
