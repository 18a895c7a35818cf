"""Requests carry the key of MARKET_PULSE_API_KEY, and no key if that is not set."""

import pytest

from cli.gateway import asking


@pytest.mark.parametrize(("key", "sent"), [("k" * 16, "k" * 16), ("", None), (None, None)])
async def test_the_key_is_the_variable_s(monkeypatch: pytest.MonkeyPatch, key: str | None, sent: str | None) -> None:
    monkeypatch.delenv("MARKET_PULSE_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("MARKET_PULSE_API_KEY", key)
    async with asking("http://gateway") as http:
        assert http.headers.get("X-API-Key") == sent
