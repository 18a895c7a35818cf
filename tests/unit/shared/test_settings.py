"""Wrong values are refused at start. The message names the variable and contains no password."""

import pytest

from market_pulse.process.settings import EXIT_BAD_CONFIGURATION, BusSettings, load_settings


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
