"""Wrong settings are refused at start, with the variable's name."""

import pytest

from gateway.settings import GatewaySettings
from market_pulse.process.settings import EXIT_BAD_CONFIGURATION, load_settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SYMBOLS", "BTC,!"), ("PORT", "99999"), ("MAX_STREAMS", "0"), ("HEARTBEAT_S", "-1"),
        ("TRUSTED_PROXIES", "edge"), ("TRUSTED_PROXIES", "10.0.0.1/8"), ("MAX_FLUSH_HZ", "0"), ("DRAIN_S", "soon"),
    ],
)  # fmt: skip
def test_wrong_values(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as refused:
        load_settings(GatewaySettings)
    assert refused.value.code == EXIT_BAD_CONFIGURATION
    assert variable in capsys.readouterr().err


def test_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "127.0.0.1, 172.16.0.0/12")
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example,https://b.example")
    settings = load_settings(GatewaySettings)
    assert settings.trusted_proxies == ("127.0.0.1/32", "172.16.0.0/12")
    assert settings.cors_origins == ("https://a.example", "https://b.example")
