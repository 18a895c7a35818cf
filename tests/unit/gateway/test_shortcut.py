"""Which requests the shortcut takes on itself, and that it reads them as the route does."""

import pytest

from gateway.api.shortcut import plain_wish


def scope(target: str, method: str = "GET") -> dict[str, object]:
    path, _, query = target.partition("?")
    return {"method": method, "path": path, "query_string": query.encode()}


@pytest.mark.parametrize(
    ("target", "symbols", "max_hz"),
    [
        ("/api/realtime/btc", ("BTC-USDT",), None),
        ("/api/realtime/ETH-BTC?max_hz=10", ("ETH-BTC",), 10.0),
        ("/api/realtime?symbols=ETH,btc,BTC-USDT,", ("ETH-USDT", "BTC-USDT"), None),
        ("/api/realtime?symbols=BTC%2CETH&max_hz=1", ("BTC-USDT", "ETH-USDT"), 1.0),
        ("/api/realtime?symbols=SOL&symbols=BTC", ("SOL-USDT", "BTC-USDT"), None),
        ("/api/realtime?symbols=SOL&max_hz=2&symbols=BTC,sol&symbols=", ("SOL-USDT", "BTC-USDT"), 2.0),
    ],
)
def test_usual_requests_are_taken(target: str, symbols: tuple[str, ...], max_hz: float | None) -> None:
    assert plain_wish(scope(target)) == (symbols, max_hz)


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/BTC",
        "/api/ticker/BTC",
        "/api/realtimes/BTC",
        "/api/realtime/",
        "/api/realtime/BTC/",
        "/api/realtime//BTC",
        "/api/realtime/B!",
        "/api/realtime/BTC?symbols=ETH",
        "/api/realtime/BTC?max_hz=",
        "/api/realtime/BTC?max_hz=0",
        "/api/realtime/BTC?max_hz=2.5",
        "/api/realtime/BTC?max_hz=1001",
        "/api/realtime/BTC?max_hz=nan",
        "/api/realtime/BTC?max_hz=%D9%A1",
        "/api/realtime/BTC?last_event_id=BTC-USDT:7",
        "/api/realtime",
        "/api/realtime/BTC?symbols=",
        "/api/realtime/BTC?max_hz=1&max_hz=2",
        "/api/realtime?symbols=BTC&symbols=B!",
        "/api/realtime?symbols=",
        "/api/realtime?symbols=%FF",
        "/api/realtime?symbols=" + ",".join(f"A{number}" for number in range(101)),
    ],
)
def test_what_is_wrong_or_rare_is_the_route_s(target: str) -> None:
    assert plain_wish(scope(target)) is None


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS"])
def test_other_methods_are_the_route_s(method: str) -> None:
    assert plain_wish(scope("/api/realtime/BTC", method)) is None
